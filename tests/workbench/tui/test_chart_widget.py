from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from textual import events
from textual.app import App, ComposeResult
from textual.geometry import Region
from textual.pilot import Pilot

from workbench.tui.widgets.chart import Chart, ChartData, ChartView, Series, Window
from workbench.tui.widgets.chart.styles import ON_DARK, ON_LIGHT

Drive = Callable[..., None]


def loss(points: int = 101, offset: float = 0.0) -> ChartData:
    x = list(range(points))
    return ChartData(
        series=[
            Series("rf", x, [math.exp(-at / 30) + offset for at in x]),
            Series("gbm", x, [math.exp(-at / 60) for at in x]),
        ]
    )


class RecordingChart(Chart):
    sent: list[Region]

    def refresh(self, *regions: Region, **options: Any) -> Any:
        self.sent = [*getattr(self, "sent", []), *(regions or (Region(0, 0, 999, 999),))]
        return super().refresh(*regions, **options)


class ChartApp(App[None]):
    def __init__(self, data: ChartData | None = None) -> None:
        super().__init__()
        self.chart = RecordingChart(data or loss())
        self.cursors: list[float | None] = []
        self.was_escaped = False

    def compose(self) -> ComposeResult:
        yield self.chart

    def on_mount(self) -> None:
        self.chart.focus()

    def on_chart_cursor_moved(self, message: Chart.CursorMoved) -> None:
        assert message.control is self.chart
        self.cursors.append(message.x)

    def key_escape(self) -> None:
        self.was_escaped = True


def first_line(app: ChartApp) -> str:
    return app.chart.render_line(0).text


@pytest.mark.parametrize(
    ("keys", "cursor"),
    [
        (["right"], 0),
        (["l", "l"], 1),
        (["left"], 100),
        (["end"], 100),
        (["G", "h"], 99),
        (["home", "right", "right"], 2),
        (["end", "g"], 0),
        (["home", "left"], 0),
    ],
)
def test_keys_move_the_cursor(drive: Drive, keys: list[str], cursor: float) -> None:
    app = ChartApp()

    async def script(pilot: Pilot[None]) -> None:
        await pilot.press(*keys)
        await pilot.pause()
        assert app.chart.view.cursor == cursor
        assert app.cursors[-1] == cursor
        assert first_line(app).startswith(f"{cursor} ")
        assert "● rf" in first_line(app)

    drive(app, script)


def test_with_more_points_than_columns_a_key_moves_by_a_dot(drive: Drive) -> None:
    app = ChartApp(loss(10_001))

    async def script(pilot: Pilot[None]) -> None:
        await pilot.press("home", "right")
        cursor = app.chart.view.cursor
        assert cursor is not None
        assert 50 < cursor < 80

    drive(app, script)


def test_keys_zoom_about_the_cursor_and_pan_and_reset(drive: Drive) -> None:
    app = ChartApp()

    async def script(pilot: Pilot[None]) -> None:
        await pilot.press("home", "plus")
        await pilot.pause()
        assert app.chart.view.window.x == pytest.approx((0, 70))
        assert "zoomed" in first_line(app)
        await pilot.press("equals_sign", "L")
        await pilot.pause()
        assert app.chart.view.window.x == pytest.approx((9.8, 58.8))
        await pilot.press("shift+left", "minus", "minus")
        await pilot.pause()
        assert app.chart.view.window.is_whole
        await pilot.press("plus", "shift+right", "H", "0")
        assert app.chart.view.window.is_whole
        await pilot.press("plus", "r")
        assert app.chart.view.window.is_whole

    drive(app, script)


def test_keys_zoom_and_pan_upright(drive: Drive) -> None:
    app = ChartApp()

    async def script(pilot: Pilot[None]) -> None:
        await pilot.press("K")
        await pilot.pause()
        low, high = app.chart.view.window.y or (0, 0)
        assert high - low == pytest.approx(0.7)
        await pilot.press("up")
        assert (app.chart.view.window.y or (0, 0))[0] == pytest.approx(low + 0.14)
        await pilot.pause()
        await pilot.press("down", "k", "j", "shift+down")
        await pilot.pause()
        assert app.chart.view.window.y == pytest.approx((0, 1))
        await pilot.press("J", "shift+up")
        await pilot.press("r")
        assert app.chart.view.window.is_whole

    drive(app, script)


def test_keys_smooth_select_and_change_the_scale(drive: Drive) -> None:
    app = ChartApp()

    async def script(pilot: Pilot[None]) -> None:
        await pilot.press("s", "s")
        await pilot.pause()
        assert app.chart.view.smoothing == 0.8
        assert "smoothed 0.8" in first_line(app)
        await pilot.press("S", "S")
        assert app.chart.view.smoothing == 0
        await pilot.press("n", "n")
        assert app.chart.view.selected == 1
        await pilot.press("n")
        assert app.chart.view.selected is None
        await pilot.press("N")
        assert app.chart.view.selected == 1
        await pilot.press("y")
        await pilot.pause()
        assert app.chart.view.y_log
        assert "log" in first_line(app)
        await pilot.press("y")
        assert not app.chart.view.y_log

    drive(app, script)


def test_escape_puts_the_cursor_away_then_shows_all_then_leaves(drive: Drive) -> None:
    app = ChartApp()

    async def script(pilot: Pilot[None]) -> None:
        await pilot.press("home", "plus", "escape")
        await pilot.pause()
        assert app.chart.view.cursor is None
        assert app.cursors[-1] is None
        assert not app.chart.view.window.is_whole
        await pilot.press("escape")
        assert app.chart.view.window.is_whole
        assert not app.was_escaped
        await pilot.press("escape")
        await pilot.pause()
        assert app.was_escaped

    drive(app, script)


def test_the_mouse_reads_zooms_and_pans(drive: Drive) -> None:
    app = ChartApp()

    async def script(pilot: Pilot[None]) -> None:
        await pilot.hover(app.chart, offset=(42, 10))
        await pilot.pause()
        assert app.chart.view.cursor == pytest.approx(50, abs=3)
        await pilot._post_mouse_events([events.MouseScrollUp], app.chart, offset=(4, 10))
        await pilot.pause()
        left, right = app.chart.view.window.x or (-1, -1)
        assert left == pytest.approx(0, abs=1)
        assert right - left == pytest.approx(70)
        await pilot.mouse_down(app.chart, offset=(42, 10))
        await pilot.hover(app.chart, offset=(4, 10))
        await pilot.mouse_up(app.chart, offset=(4, 10))
        await pilot.pause()
        assert app.chart.view.window.x == pytest.approx((30, 100), abs=2)
        await pilot._post_mouse_events([events.MouseScrollUp], app.chart, offset=(40, 10), shift=True)
        assert (app.chart.view.window.x or (0, 0))[0] == pytest.approx(16, abs=2)
        await pilot._post_mouse_events([events.MouseScrollRight], app.chart, offset=(40, 10))
        assert (app.chart.view.window.x or (0, 0))[0] == pytest.approx(30, abs=2)
        await pilot._post_mouse_events([events.MouseScrollLeft], app.chart, offset=(40, 10))
        await pilot._post_mouse_events([events.MouseScrollDown], app.chart, offset=(40, 10))
        await pilot.pause()
        assert app.chart.view.window.is_whole
        await pilot.press("plus")
        await pilot.click(app.chart, offset=(40, 10), times=2)
        assert app.chart.view.window.is_whole

    drive(app, script)


def test_the_cursor_stays_in_sight(drive: Drive) -> None:
    app = ChartApp()

    async def script(pilot: Pilot[None]) -> None:
        await pilot.press("home", "plus", "plus", "plus", "end")
        await pilot.pause()
        left, right = app.chart.view.window.x or (0, 0)
        assert left <= 100 <= right + 1e-9

    drive(app, script)


def test_at_rest_and_with_equal_data_nothing_is_sent(drive: Drive) -> None:
    app = ChartApp()

    async def script(pilot: Pilot[None]) -> None:
        await pilot.pause()
        app.chart.sent = []
        app.chart.set_data(loss())
        await pilot.pause()
        assert app.chart.sent == []

    drive(app, script)


def test_a_point_more_sends_only_the_lines_it_changed(drive: Drive) -> None:
    data = loss()
    app = ChartApp(data)

    async def script(pilot: Pilot[None]) -> None:
        app.chart.sent = []
        y = [*list(data.series[0].y)[:-1], 0.05]
        app.chart.set_data(ChartData(series=[Series("rf", data.series[0].x, y), data.series[1]]))
        await pilot.pause()
        assert 0 < len(app.chart.sent) <= 3
        assert sum(region.area for region in app.chart.sent) < 60

    drive(app, script)


def test_other_data_keep_the_view_as_far_as_it_fits(drive: Drive) -> None:
    app = ChartApp()

    async def script(pilot: Pilot[None]) -> None:
        await pilot.press("n", "n", "s", "end")
        app.chart.set_data(ChartData(series=loss().series[:1]))
        await pilot.pause()
        assert app.chart.view.selected is None
        assert app.chart.view.smoothing == 0.5
        assert app.chart.view.cursor == 100

    drive(app, script)


def test_a_view_can_be_given(drive: Drive) -> None:
    app = ChartApp()

    async def script(pilot: Pilot[None]) -> None:
        app.chart.set_view(ChartView(window=Window(x=(10, 20)), cursor=15))
        await pilot.pause()
        assert app.chart.drawing is not None
        assert (app.chart.drawing.frame.left, app.chart.drawing.frame.right) == (10, 20)
        assert app.cursors == [15]

    drive(app, script)


def test_keys_on_an_empty_chart_do_nothing(drive: Drive) -> None:
    app = ChartApp(ChartData())

    async def script(pilot: Pilot[None]) -> None:
        await pilot.press(*"lhgG+-LHkjKJ0rnNsSy", "escape")
        await pilot.hover(app.chart, offset=(40, 10))
        assert app.chart.view.cursor is None

    drive(app, script)


@pytest.mark.parametrize("size", [(1, 1), (4, 3), (200, 60)])
def test_a_chart_follows_its_size(drive: Drive, size: tuple[int, int]) -> None:
    app = ChartApp()

    async def script(pilot: Pilot[None]) -> None:
        await pilot.press("right", "plus")
        await pilot.resize_terminal(60, 20)
        await pilot.pause()
        assert app.chart.drawing is not None
        assert [line.cell_length for line in app.chart.drawing.lines] == [60] * 20

    drive(app, script, size=size)


def test_colours_follow_the_theme(drive: Drive) -> None:
    app = ChartApp()

    def colors() -> set[str]:
        lines = [app.chart.render_line(y) for y in range(24)]
        return {s.style.color.name for line in lines for s in line if s.style and s.style.color}

    async def script(pilot: Pilot[None]) -> None:
        assert set(ON_DARK[:2]) <= colors()
        app.theme = "textual-light"
        await pilot.pause()
        assert set(ON_LIGHT[:2]) <= colors()

    drive(app, script)


def test_without_colour_series_carry_glyphs(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = ChartApp()

    async def script(pilot: Pilot[None]) -> None:
        assert first_line(app).split() == ["●", "rf", "▲", "gbm"]

    drive(app, script)


def test_keys_have_ids_that_a_keymap_can_change() -> None:
    ids = [binding.id for binding in Chart.BINDINGS]  # type: ignore[union-attr]
    assert all(ids)
    assert len(set(ids)) == len(ids)
