from __future__ import annotations

import math
from datetime import UTC

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.style import Style

from workbench.tui.widgets.chart.plot import Drawing, draw_chart
from workbench.tui.widgets.chart.series import ChartData, Mark, Series, Threshold
from workbench.tui.widgets.chart.styles import ChartStyles
from workbench.tui.widgets.chart.window import ChartView, Window

STYLES = ChartStyles()
LOSS = ChartData(series=[Series("loss", [0, 50, 100], [1.0, 0.2, 0.1])], x_title="step")


def draw(data: ChartData = LOSS, columns: int = 40, rows: int = 12, **view: object) -> Drawing:
    return draw_chart(data, ChartView(zone=UTC, **view), STYLES, columns, rows)  # type: ignore[arg-type]


def text(drawing: Drawing) -> list[str]:
    return [line.text.rstrip() for line in drawing.lines]


def test_a_chart_has_a_legend_axes_and_a_line() -> None:
    assert text(draw()) == [
        "━ loss",
        "1.0┤⠑⠤⡀",
        "   │  ⠈⠒⢄",
        "   │     ⠑⠢⡀",
        "   │       ⠈⠑⢄",
        "0.5┤          ⠉⠢⣀",
        "   │             ⠑⢄⡀",
        "   │               ⠈⠢⢄",
        "   │                  ⠉⠉⠑⠒⠒⠒⠒⠢⠤⠤⠤⠤⢄⣀⣀⣀⣀⡀",
        "  0┤                                   ⠈",
        "   └┬─────────────────┬────────────────┬",
        "    0                50             step",
    ]


def test_parts_are_given_up_where_there_is_no_room() -> None:
    assert text(draw(rows=3))[-1].split()[0] == "0"
    assert not any("└" in line for line in text(draw(rows=3)))
    assert len(draw(rows=1).lines) == 1
    assert draw(columns=5).lines[0].cell_length == 5


def test_without_points_it_says_so() -> None:
    assert any("no points yet" in line for line in text(draw(ChartData())))
    assert any("no points yet" in line for line in text(draw(ChartData(series=[Series("a", [], [])]))))


def test_a_threshold_is_a_labelled_line_and_in_range() -> None:
    drawing = draw(ChartData(series=LOSS.series, thresholds=[Threshold(3, "critical")]))
    assert drawing.frame.top >= 3
    line = next(line for line in text(drawing) if "critical" in line)
    assert "──" in line
    outside = ChartData(series=LOSS.series, thresholds=[Threshold(3, "critical", in_range=False)])
    assert draw(outside).frame.top < 3


def test_a_mark_is_a_labelled_vertical_line() -> None:
    drawing = text(draw(ChartData(series=LOSS.series, marks=[Mark(60, "v3 deployed")])))
    assert any("┊" in line for line in drawing)
    assert any("v3 deployed" in line for line in drawing)


def test_a_label_never_hides_the_line() -> None:
    crowded = ChartData(
        series=LOSS.series,
        marks=[Mark(x, "a rather long label") for x in range(0, 100, 5)],
        thresholds=[Threshold(y / 10, "another label") for y in range(10)],
    )
    dots = [[character for character in line if "\u2801" <= character <= "\u28ff"] for line in text(draw())]
    with_labels = [
        [character for character in line if "\u2801" <= character <= "\u28ff"] for line in text(draw(crowded))
    ]
    assert with_labels[1:-2] == dots[1:-2]


def test_the_cursor_reads_the_values() -> None:
    two = ChartData(series=[*LOSS.series, Series("val", [0, 100], [1.0, 0.5])], x_title="step")
    lines = text(draw(two, columns=60, cursor=50.0))
    assert lines[0].startswith("step 50  ● loss 0.2  ▲ val")
    assert any("│" in line[5:] for line in lines[1:])


def test_a_series_that_ends_before_the_cursor_has_no_value_there() -> None:
    two = ChartData(series=[*LOSS.series, Series("val", [0, 10], [1.0, 0.5])])
    assert "val —" in text(draw(two, columns=60, cursor=100.0))[0]


def test_values_on_a_logarithmic_axis_are_the_data_s_own() -> None:
    drawing = text(draw(cursor=50.0, y_log=True, columns=60))
    assert "loss 0.2" in drawing[0]
    assert "log" in drawing[0]


def test_what_a_logarithmic_axis_hides_is_said() -> None:
    data = ChartData(series=[Series("loss", [0, 1, 2], [1, 0, -1])])
    assert "2 at or below 0 not shown" in text(draw(data, y_log=True, columns=60))[0]


def test_times_are_on_the_axis_and_at_the_cursor() -> None:
    day = 1_795_219_200.0
    data = ChartData(series=[Series("psi", [day, day + 7200], [0.1, 0.2])], x_kind="time")
    assert "01:00" in text(draw(data))[-1]
    assert text(draw(data, cursor=day))[0].startswith("2026-11-21 00:00:00")


def test_a_scatter_has_a_dot_for_every_point() -> None:
    data = ChartData(series=[Series("runs", [1, 10, 100], [3, 1, 2], is_scatter=True)], x_kind="log")
    assert sum(line.count("•") for line in text(draw(data))) == 3


def test_without_colour_every_series_has_a_glyph() -> None:
    series = [Series(name, range(100), [place / 9] * 100) for place, name in enumerate("abc")]
    lines = draw_chart(ChartData(series=series), ChartView(), ChartStyles(has_color=False), 60, 14).lines
    assert lines[0].text.split() == ["●", "a", "▲", "b", "■", "c"]
    body = "".join(line.text for line in lines[1:])
    assert all(body.count(glyph) >= 3 for glyph in "●▲■")
    assert {segment.style for line in lines for segment in line} == {Style()}


def test_names_that_do_not_fit_are_counted() -> None:
    many = ChartData(series=[Series(f"a rather long name {place}", [0, 1], [0, 1]) for place in range(9)])
    assert text(draw(many, columns=50, rows=8))[0].endswith("+7")
    assert text(draw(many, columns=50, rows=14))[1].endswith("+5")


def test_markup_and_control_characters_in_names_are_only_shown() -> None:
    data = ChartData(
        series=[Series("[red]a\x1b[31m", [0, 1], [0, 1])],
        marks=[Mark(0.5, "two\nlines")],
        x_title="日本",
    )
    lines = text(draw(data))
    assert "[red]a␛[31m" in lines[0]
    assert any("two␊lines" in line for line in lines)
    assert lines[-1].endswith("日本")


def test_the_selected_series_is_on_top() -> None:
    same = [Series(name, [0, 1], [0, 1], color=place) for place, name in enumerate("ab")]

    def colors(selected: int) -> set[str | None]:
        lines = draw(ChartData(series=same), selected=selected).lines[1:-2]
        dotted = [segment for line in lines for segment in line if any(c >= "\u2801" for c in segment.text)]
        return {
            segment.style.color.name for segment in dotted[1:] if segment.style and segment.style.color
        } - {None}

    assert colors(0) == {STYLES.palette[0]}
    assert colors(1) == {STYLES.palette[1]}


def test_smoothing_shows_the_raw_line_of_a_single_series_behind() -> None:
    noisy = ChartData(series=[Series("loss", range(200), [math.sin(x * 7) for x in range(200)])])
    dim = [
        segment
        for line in draw(noisy, smoothing=0.95).lines[1:]
        for segment in line
        if segment.style and segment.style.dim
    ]
    assert dim
    assert "smoothed 0.95" in text(draw(noisy, smoothing=0.95))[0]


def test_the_mouse_finds_its_way_in_a_drawing() -> None:
    drawing = draw()
    assert drawing.is_in_plot(drawing.left, drawing.top)
    assert not drawing.is_in_plot(0, drawing.top)
    assert drawing.x_at(-5) == 0
    assert drawing.x_at(drawing.left + drawing.columns) == 100


VALUES = st.one_of(st.none(), st.floats(), st.floats(-10, 10), st.integers(-5, 5).map(float))
SERIES = st.builds(
    lambda name, points, scatter: Series(
        name, [x for x, _ in points], [y for _, y in points], is_scatter=scatter
    ),
    st.text(max_size=8),
    st.lists(st.tuples(VALUES, VALUES), max_size=20),
    st.booleans(),
)
DATA = st.builds(
    ChartData,
    series=st.lists(SERIES, max_size=4),
    thresholds=st.lists(st.builds(Threshold, st.floats(-1e9, 1e9), st.text(max_size=8)), max_size=2),
    marks=st.lists(st.builds(Mark, st.floats(-1e9, 1e9), st.text(max_size=8)), max_size=2),
    x_kind=st.sampled_from(["linear", "log", "time"]),
    x_title=st.text(max_size=5),
)
VIEWS = st.builds(
    ChartView,
    window=st.one_of(st.just(Window()), st.just(Window(x=(-1.0, 2.0))), st.just(Window(y=(0.0, 0.5)))),
    y_log=st.booleans(),
    smoothing=st.sampled_from([0.0, 0.9]),
    cursor=st.one_of(st.none(), st.floats(-10, 10)),
    selected=st.one_of(st.none(), st.integers(0, 3)),
    zone=st.just(UTC),
)


@given(DATA, VIEWS, st.integers(1, 70), st.integers(1, 16), st.booleans())
def test_anything_is_drawn_in_exactly_its_cells(
    data: ChartData, view: ChartView, columns: int, rows: int, has_color: bool
) -> None:
    lines = draw_chart(data, view, ChartStyles(has_color=has_color), columns, rows).lines
    assert len(lines) == rows
    for line in lines:
        assert line.cell_length == columns
        assert cell_len(line.text) == columns
