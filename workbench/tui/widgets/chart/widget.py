"""The chart widget: what keys and the mouse do to a chart."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import replace
from datetime import tzinfo
from typing import ClassVar

from textual import events
from textual.actions import SkipAction
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from workbench.tui.widgets.chart.plot import Drawing, draw_chart
from workbench.tui.widgets.chart.series import ChartData, prepared
from workbench.tui.widgets.chart.styles import ON_DARK, ON_LIGHT, ChartStyles
from workbench.tui.widgets.chart.window import ChartView, Window
from workbench.tui.widgets.painter import LinePainter, text_only

SMOOTHINGS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.99)
_ZOOM = 0.7
_PAN = 0.2
_TONES = ("muted", "accent", "success", "warning", "error")


def _key(keys: str, action: str, description: str, name: str, show: bool = False) -> Binding:
    return Binding(keys, action, description, show=show, id=f"chart.{name}")


class Chart(LinePainter, Widget, can_focus=True):
    """Curves over steps or time, with a cursor that reads their values."""

    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = [
        _key("right,l", "cursor(1)", "Cursor right", "right"),
        _key("left,h", "cursor(-1)", "Cursor left", "left"),
        _key("home,g", "cursor_end(-1)", "First point", "first"),
        _key("end,G", "cursor_end(1)", "Last point", "last"),
        _key("plus,equals_sign", "zoom(1)", "Zoom in", "zoom_in", show=True),
        _key("minus", "zoom(-1)", "Zoom out", "zoom_out", show=True),
        _key("shift+right,L", "pan(1)", "Pan right", "pan_right"),
        _key("shift+left,H", "pan(-1)", "Pan left", "pan_left"),
        _key("up,k", "pan_y(1)", "Pan up", "pan_up"),
        _key("down,j", "pan_y(-1)", "Pan down", "pan_down"),
        _key("shift+up,K", "zoom_y(1)", "Zoom in upright", "zoom_in_y"),
        _key("shift+down,J", "zoom_y(-1)", "Zoom out upright", "zoom_out_y"),
        _key("0,r", "reset", "Show all", "reset", show=True),
        _key("n", "select(1)", "Next series", "next_series"),
        _key("N", "select(-1)", "Previous series", "previous_series"),
        _key("s", "smooth(1)", "Smooth", "smoother", show=True),
        _key("S", "smooth(-1)", "Smooth less", "rougher"),
        _key("y", "toggle_log", "Log scale", "log", show=True),
        _key("escape", "back", "Put the cursor away, then show all", "back"),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "chart--axis",
        "chart--label",
        "chart--cursor",
        *(f"chart--{tone}" for tone in _TONES),
    }
    DEFAULT_CSS = """
    Chart {
        height: 1fr;
        width: 1fr;
        background: $surface;
        color: $foreground;

        & > .chart--axis { color: $foreground 45%; }
        &:focus > .chart--axis { color: $foreground 70%; }
        & > .chart--label { color: $foreground 75%; }
        & > .chart--cursor { color: $text-accent; }
        & > .chart--muted { color: $foreground 60%; }
        & > .chart--accent { color: $text-accent; }
        & > .chart--success { color: $text-success; }
        & > .chart--warning { color: $text-warning; }
        & > .chart--error { color: $text-error; }
    }
    """

    class CursorMoved(Message):
        """The cursor is at another `x` (in the data's own units), or away where it is None."""

        def __init__(self, chart: Chart, x: float | None) -> None:
            super().__init__()
            self.chart = chart
            self.x = x

        @property
        def control(self) -> Chart:
            return self.chart

    def __init__(
        self,
        data: ChartData | None = None,
        *,
        zone: tzinfo | None = None,
        y_log: bool = False,
        smoothing: float = 0.0,
        name: str | None = None,
        id: str | None = None,  # noqa: A002 - Textual's own name for it
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._data = data or ChartData()
        self._chart_view = ChartView(y_log=y_log, smoothing=smoothing, zone=zone)
        self._drawing: Drawing | None = None
        self._chart_styles: ChartStyles | None = None
        self._dragged_from: tuple[int, Window] | None = None
        self._xs: list[float] | None = None

    @property
    def data(self) -> ChartData:
        return self._data

    @property
    def view(self) -> ChartView:
        """Zoom, scale, smoothing, cursor and selection."""
        return self._chart_view

    @property
    def drawing(self) -> Drawing | None:
        """What was drawn last."""
        return self._drawing

    def set_data(self, data: ChartData) -> None:
        """Show other data as the person was looking at the last."""
        self._data = data
        self._xs = None
        if self.view.selected is not None and self.view.selected >= len(data.series):
            self._look(selected=None)
        self.lines_changed()

    def set_view(self, view: ChartView) -> None:
        """Zoom, scale, smooth and select as given."""
        moved = view.cursor != self._chart_view.cursor
        if view.y_log != self._chart_view.y_log:
            view = replace(view, window=replace(view.window, y=None))
        self._chart_view = view
        self.lines_changed()
        if moved:
            x = view.cursor
            self.post_message(self.CursorMoved(self, 10**x if x is not None and self._x_log else x))

    def draw_lines(self) -> list[Strip]:
        size = self.scrollable_content_region.size
        self._drawing = draw_chart(self._data, self.view, self._styles(), size.width, size.height)
        return self._drawing.lines

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._chart_styles = None
        self.lines_changed()

    def _styles(self) -> ChartStyles:
        if self._chart_styles is None:
            base = self.rich_style

            style = self.get_component_rich_style
            self._chart_styles = ChartStyles(
                base=base,
                axis=base + text_only(style("chart--axis")),
                label=base + text_only(style("chart--label")),
                cursor=base + text_only(style("chart--cursor")),
                tones={tone: text_only(style(f"chart--{tone}")) for tone in _TONES},
                palette=ON_DARK if self.app.current_theme.dark else ON_LIGHT,
                has_color=not self.app.no_color and self.app.console.color_system is not None,
            )
        return self._chart_styles

    # Keys.

    def action_cursor(self, by: int) -> None:
        drawing = self._drawing
        xs = self._all_x()
        if drawing is None or not xs:
            return
        left, right = drawing.frame.left, drawing.frame.right
        cursor = self.view.cursor
        if cursor is None or not left <= cursor <= right:
            self._put_cursor(self._snapped(right if by < 0 else left))
            return
        step = (right - left) / max(1, 2 * drawing.columns - 1)
        target = self._snapped(cursor + by * step)
        if (target - cursor) * by <= 0:
            place = bisect_left(xs, cursor) + (1 if by > 0 else -1)
            if not 0 <= place < len(xs):
                return
            target = xs[place]
        self._put_cursor(target)

    def action_cursor_end(self, side: int) -> None:
        xs = self._all_x()
        if xs:
            self._put_cursor(xs[-1] if side > 0 else xs[0])

    def action_zoom(self, by: int) -> None:
        if self._drawing is None:
            return
        frame = self._drawing.frame
        cursor = self.view.cursor
        about = cursor if cursor is not None and frame.left <= cursor <= frame.right else None
        self._zoom(by, (frame.left + frame.right) / 2 if about is None else about)

    def action_pan(self, by: int) -> None:
        if self._drawing is not None:
            self._look(window=self.view.window.panned_x(self._drawing.whole, by * _PAN))

    def action_pan_y(self, by: int) -> None:
        if self._drawing is not None:
            frame = self._drawing.frame
            self._look(window=self.view.window.panned_y((frame.bottom, frame.top), by * _PAN))

    def action_zoom_y(self, by: int) -> None:
        if self._drawing is not None:
            frame = self._drawing.frame
            factor = _ZOOM if by > 0 else 1 / _ZOOM
            self._look(window=self.view.window.zoomed_y((frame.bottom, frame.top), factor))

    def action_reset(self) -> None:
        self._look(window=Window())

    def action_select(self, by: int) -> None:
        count = len(self._data.series)
        if count:
            now = self.view.selected
            places: list[int | None] = [None, *range(count)]
            self._look(selected=places[(places.index(now) + by) % len(places)])

    def action_smooth(self, by: int) -> None:
        nearest = min(range(len(SMOOTHINGS)), key=lambda at: abs(SMOOTHINGS[at] - self.view.smoothing))
        self._look(smoothing=SMOOTHINGS[(nearest + by) % len(SMOOTHINGS)])

    def action_toggle_log(self) -> None:
        self._look(y_log=not self.view.y_log)

    def action_back(self) -> None:
        if self.view.cursor is not None:
            self._put_cursor(None)
        elif not self.view.window.is_whole:
            self.action_reset()
        else:
            raise SkipAction

    # Mouse.

    def on_mouse_down(self, event: events.MouseDown) -> None:
        place = event.get_content_offset(self)
        if place is not None and self._drawing is not None and event.button == 1:
            self._dragged_from = event.screen_x, self.view.window
            self.capture_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        drawing = self._drawing
        if drawing is None:
            return
        if self._dragged_from is not None:
            start, window = self._dragged_from
            share = (start - event.screen_x) / max(1, drawing.columns)
            self._look(window=window.panned_x(drawing.whole, share))
            return
        place = event.get_content_offset(self)
        if place is not None and drawing.is_in_plot(place.x, place.y) and self._all_x():
            self._put_cursor(self._snapped(drawing.x_at(place.x)))

    def on_mouse_up(self) -> None:
        if self._dragged_from is not None:
            self._dragged_from = None
            self.release_mouse()

    def on_click(self, event: events.Click) -> None:
        if event.chain == 2:
            self.action_reset()

    def on_leave(self) -> None:
        if not self.has_focus:
            self._put_cursor(None)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self._wheel(event, 1)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self._wheel(event, -1)

    def on_mouse_scroll_right(self, event: events.MouseScrollRight) -> None:
        event.stop()
        self.action_pan(1)

    def on_mouse_scroll_left(self, event: events.MouseScrollLeft) -> None:
        event.stop()
        self.action_pan(-1)

    def _wheel(self, event: events.MouseEvent, by: int) -> None:
        place = event.get_content_offset(self)
        if place is None or self._drawing is None:
            return
        event.stop()
        event.prevent_default()
        if event.shift or event.ctrl:
            self.action_pan(-by)
        else:
            self._zoom(by, self._drawing.x_at(place.x))

    # What both share.

    def _look(self, **changes: object) -> None:
        self.set_view(replace(self.view, **changes))  # type: ignore[arg-type]

    def _put_cursor(self, x: float | None) -> None:
        if x == self.view.cursor:
            return
        window = self.view.window
        if x is not None and window.x is not None and not window.x[0] <= x <= window.x[1]:
            middle = (window.x[0] + window.x[1]) / 2
            share = (x - middle) / (window.x[1] - window.x[0])
            window = window.panned_x(self._drawing.whole if self._drawing else window.x, share)
        self._look(cursor=x, window=window)

    def _zoom(self, by: int, about: float) -> None:
        if self._drawing is not None:
            factor = _ZOOM if by > 0 else 1 / _ZOOM
            self._look(window=self.view.window.zoomed_x(self._drawing.whole, factor, about))

    @property
    def _x_log(self) -> bool:
        return self._data.x_kind == "log"

    def _all_x(self) -> list[float]:
        if self._xs is None:
            points = (prepared(series, self._x_log, False, 0.0) for series in self._data.series)
            self._xs = sorted({x for each in points for x in each.x})
        return self._xs

    def _snapped(self, x: float) -> float:
        return _nearest_of(self._all_x(), x)


def _nearest_of(values: list[float], x: float) -> float:
    place = bisect_left(values, x)
    around: Iterable[float] = values[max(0, place - 1) : place + 1]
    return min(around, key=lambda value: abs(value - x))
