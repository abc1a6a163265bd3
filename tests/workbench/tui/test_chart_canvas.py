from __future__ import annotations

import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from workbench.tui.widgets.chart.canvas import BLANK, Canvas, Frame

UNIT = Frame(0.0, 1.0, 0.0, 1.0)


def text(canvas: Canvas) -> list[str]:
    cells = "".join(chr(BLANK + bits) for bits in canvas.bits)
    return [cells[row * canvas.columns :][: canvas.columns] for row in range(canvas.rows)]


def drawn(columns: int, rows: int, x: list[float], y: list[float], frame: Frame = UNIT) -> Canvas:
    canvas = Canvas(columns, rows)
    canvas.line(x, y, frame, 0)
    return canvas


def lit(canvas: Canvas) -> set[tuple[int, int]]:
    return {
        (column, row)
        for column in range(2 * canvas.columns)
        for row in range(4 * canvas.rows)
        if canvas.is_lit(column, row)
    }


def test_a_diagonal_joins_the_corners() -> None:
    assert text(drawn(4, 2, [0, 1], [0, 1])) == ["⠀⠀⡠⠊", "⡠⠊⠀⠀"]


def test_a_flat_line_fills_every_column() -> None:
    assert text(drawn(4, 1, [0, 1], [1, 1])) == ["⠉⠉⠉⠉"]


def test_a_single_point_is_a_dot() -> None:
    assert lit(drawn(4, 2, [0.5], [0.5])) == {(4, 4)}


def test_nan_is_a_gap() -> None:
    canvas = drawn(5, 1, [0, 0.2, 0.5, 0.8, 1], [0, 0, math.nan, 0, 0])
    columns = {column for column, _ in lit(canvas)}
    assert columns == {0, 1, 2, 7, 8, 9}


def test_a_spike_among_thousands_of_points_is_seen() -> None:
    x = [place / 9999 for place in range(10_000)]
    y = [0.0] * 10_000
    y[5000] = 1.0
    assert {row for _, row in lit(drawn(10, 3, x, y))} == set(range(12))


def test_a_line_enters_and_leaves_at_the_sides() -> None:
    zoomed = Frame(0.4, 0.6, 0.0, 1.0)
    assert {column for column, _ in lit(drawn(5, 2, [0, 1], [0, 1], zoomed))} == set(range(10))
    rows = [row for column, row in sorted(lit(drawn(5, 2, [0, 1], [0, 1], zoomed)))]
    assert max(rows) - min(rows) <= 2


def test_a_line_above_and_below_the_frame_is_cut_off() -> None:
    zoomed = Frame(0.0, 1.0, 0.4, 0.6)
    columns = sorted(column for column, _ in lit(drawn(10, 2, [0, 1], [0, 1], zoomed)))
    assert columns[0] >= 6
    assert columns[-1] <= 13
    assert lit(drawn(10, 2, [0, 1], [0.9, 0.9], zoomed)) == set()


def test_points_on_either_side_of_the_frame_do_not_join_across_a_gap() -> None:
    zoomed = Frame(0.4, 0.6, 0.0, 1.0)
    assert lit(drawn(5, 2, [0, 0.5, 1], [0.5, math.nan, 0.5], zoomed)) == set()
    assert lit(drawn(5, 2, [0, 0.1], [0.5, 0.5], zoomed)) == set()
    assert lit(drawn(5, 2, [], [], zoomed)) == set()


def test_the_last_series_owns_the_cells_it_crosses() -> None:
    canvas = Canvas(2, 1)
    canvas.line([0, 1], [1, 1], UNIT, 0)
    canvas.line([0.9, 1], [0, 0], UNIT, 1)
    assert canvas.owners == [0, 1]


def test_a_band_is_shaded_between_its_edges_even_beyond_the_frame() -> None:
    canvas = Canvas(4, 2)
    canvas.band([0, 1], [-5, -5], [0.5, 0.5], UNIT, 3)
    rows = {row for _, row in lit(canvas)}
    assert rows == {4, 5, 6, 7}
    assert {column % 2 for column, _ in lit(canvas)} == {0}


def test_a_point_has_a_cell_unless_it_is_out_of_the_frame() -> None:
    canvas = Canvas(4, 2)
    assert canvas.point(0, 1, UNIT) == (0, 0)
    assert canvas.point(1, 0, UNIT) == (3, 1)
    assert canvas.point(1.1, 0, UNIT) is None


NUMBERS = st.floats(-1e3, 1e3)
POINTS = st.lists(st.tuples(NUMBERS, st.one_of(NUMBERS, st.just(math.nan))), max_size=60).map(sorted)
FRAMES = st.tuples(NUMBERS, st.floats(0.01, 2e3), NUMBERS, st.floats(0.01, 2e3)).map(
    lambda ends: Frame(ends[0], ends[0] + ends[1], ends[2], ends[2] + ends[3])
)


@given(POINTS, FRAMES, st.integers(1, 20), st.integers(1, 8))
def test_every_point_in_the_frame_is_within_what_is_drawn_in_its_column(
    points: list[tuple[float, float]], frame: Frame, columns: int, rows: int
) -> None:
    points.sort(key=lambda point: point[0])
    canvas = drawn(columns, rows, [x for x, _ in points], [y for _, y in points], frame)
    for x, y in points:
        if frame.left <= x <= frame.right and frame.bottom <= y <= frame.top:
            assert canvas.is_lit(frame.column(x, 2 * columns), frame.row(y, 4 * rows))


@given(POINTS, FRAMES, st.integers(1, 12), st.integers(1, 5))
def test_nothing_is_drawn_where_the_line_is_not(
    points: list[tuple[float, float]], frame: Frame, columns: int, rows: int
) -> None:
    points.sort(key=lambda point: point[0])
    canvas = drawn(columns, rows, [x for x, _ in points], [y for _, y in points], frame)
    finite = [(x, y) for x, y in points if y == y]
    x_step = (frame.right - frame.left) / max(1, 2 * columns - 1)
    y_step = (frame.top - frame.bottom) / max(1, 4 * rows - 1)
    for column, row in lit(canvas):
        x, y = frame.left + column * x_step, frame.top - row * y_step
        assert any(near <= x + 1.001 * x_step for near, _ in finite)
        assert any(near >= x - 1.001 * x_step for near, _ in finite)
        assert min(value for _, value in finite) - y_step <= y <= max(value for _, value in finite) + y_step


@given(st.floats(0, 1), st.floats(0, 1), st.integers(2, 20), st.integers(1, 8))
def test_a_line_is_unbroken_and_one_dot_thin(start: float, end: float, columns: int, rows: int) -> None:
    canvas = drawn(columns, rows, [0, 1], [start, end])
    by_column = [
        [row for row in range(4 * rows) if canvas.is_lit(column, row)] for column in range(2 * columns)
    ]
    assert all(by_column)
    for before, after in pairwise(by_column):
        assert min(abs(one - other) for one in before for other in after) <= 1
    steepness = abs(end - start) * (4 * rows - 1) / (2 * columns - 1)
    assert max(map(len, by_column)) <= steepness + 1.5
