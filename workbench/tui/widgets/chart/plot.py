"""A chart's lines, drawn from plain values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from workbench.tui.widgets.cells import clean, clip, fit, width
from workbench.tui.widgets.chart.axis import Tick, linear_ticks, log_ticks, time_ticks
from workbench.tui.widgets.chart.canvas import Frame
from workbench.tui.widgets.chart.legend import draw_legend, nearest_point
from workbench.tui.widgets.chart.picture import BAND, Picture
from workbench.tui.widgets.chart.series import ChartData, Points, prepared
from workbench.tui.widgets.chart.styles import ChartStyles
from workbench.tui.widgets.chart.window import ChartView, frame_for, whole_x

_CELLS_A_Y_TICK = 3
_CELLS_A_GLYPH = 12
_SCATTER_GLYPH = "•"
_RAW = 1_000_000  # owners from here on are the series' points before smoothing


@dataclass(frozen=True, eq=False)
class Drawing:
    """A chart's lines, and what of the plane they show, for the mouse to find its way."""

    lines: list[Strip]
    frame: Frame
    whole: tuple[float, float]
    left: int
    top: int
    columns: int
    rows: int

    def x_at(self, cell: float) -> float:
        """The x in the middle of a cell of the widget."""
        share = (cell - self.left + 0.5) / max(1, self.columns)
        return self.frame.left + min(1.0, max(0.0, share)) * (self.frame.right - self.frame.left)

    def is_in_plot(self, x: int, y: int) -> bool:
        return 0 <= x - self.left < self.columns and 0 <= y - self.top < self.rows


def draw_chart(data: ChartData, view: ChartView, styles: ChartStyles, columns: int, rows: int) -> Drawing:
    """The chart in `columns` × `rows` cells: legend, plot, axes, as much of them as there is room for."""
    x_log = data.x_kind == "log"
    points = [prepared(series, x_log, view.y_log, view.smoothing) for series in data.series]
    levels = [_level(threshold.y, view.y_log) for threshold in data.thresholds]
    lines_in_range = zip(levels, data.thresholds, strict=True)
    in_range = [level for level, line in lines_in_range if line.in_range and level == level]
    frame = frame_for(data, points, in_range, view.window, y_log=view.y_log)
    whole = whole_x(data, points)

    legend = (
        draw_legend(data, view, points, frame, styles, columns, max_lines=2 if rows >= 12 else 1)
        if rows >= 4
        else []
    )
    axis_lines = 2 if rows - len(legend) >= 5 else 1 if rows - len(legend) >= 3 else 0
    plot_rows = max(1, rows - len(legend) - axis_lines)
    y_ticks = _y_ticks(frame, plot_rows, y_log=view.y_log)
    gutter = max((width(tick.label) for tick in y_ticks), default=0) + 1
    if gutter > columns // 2:
        gutter, y_ticks = 1, []
    plot_columns = max(1, columns - gutter)
    x_ticks = _x_ticks(data, view, frame, plot_columns)

    picture = Picture(plot_columns, plot_rows, styles)
    _draw_series(picture, data, view, points, frame, styles)
    for level, threshold in zip(levels, data.thresholds, strict=True):
        if frame.bottom <= level <= frame.top:
            row = frame.row(level, 4 * plot_rows) // 4
            picture.horizontal(row, clean(threshold.label), styles.tone(threshold.tone))
    for mark in data.marks:
        at = _level(mark.x, x_log)
        if frame.left <= at <= frame.right:
            column = frame.column(at, 2 * plot_columns) // 2
            picture.vertical(column, "┊", clean(mark.label), styles.tone(mark.tone))
    if view.cursor is not None and frame.left <= view.cursor <= frame.right:
        picture.vertical(frame.column(view.cursor, 2 * plot_columns) // 2, "│", "", styles.cursor)
    if not any(each.x for each in points):
        picture.message("no points yet", styles.label)

    lines = [*legend, *_with_y_axis(picture, y_ticks, gutter, frame, styles)]
    lines += _x_axis(x_ticks, gutter, plot_columns, frame, styles, axis_lines, clean(data.x_title))
    blank = Strip.blank(columns, styles.base)
    lines += [blank] * (rows - len(lines))
    lines = [line.adjust_cell_length(columns, styles.base) for line in lines[:rows]]
    return Drawing(lines, frame, whole, gutter, len(legend), plot_columns, plot_rows)


def _draw_series(
    picture: Picture,
    data: ChartData,
    view: ChartView,
    points: Sequence[Points],
    frame: Frame,
    styles: ChartStyles,
) -> None:
    order = sorted(range(len(points)), key=lambda place: place == view.selected)
    canvas = picture.canvas
    show_raw = view.smoothing > 0 and (len(points) == 1 or view.selected is not None)
    for place in order:
        series, each = data.series[place], points[place]
        color = _color(data, place)
        style = styles.series(color)
        picture.owner_styles[place] = style + Style(bold=True) if place == view.selected else style
        if not each.x:
            continue
        if each.low and each.high:
            picture.owner_styles[BAND + place] = style + Style(dim=True)
            canvas.band(each.x, each.low, each.high, frame, BAND + place)
        if show_raw and not series.is_scatter and (len(points) == 1 or place == view.selected):
            raw = prepared(series, data.x_kind == "log", view.y_log, 0.0)
            picture.owner_styles[_RAW + place] = style + Style(dim=True)
            canvas.line(raw.x, raw.y, frame, _RAW + place)
        if not series.is_scatter:
            canvas.line(each.x, each.y, frame, place)
        if series.is_scatter or not styles.has_color:
            glyph = _SCATTER_GLYPH if styles.has_color else styles.glyph(color)
            _draw_glyphs(picture, each, frame, glyph, style, place, every_point=series.is_scatter)
    if view.cursor is None:
        return
    for place in order:
        nearest = nearest_point(points[place], view.cursor, frame)
        cell = canvas.point(*nearest, frame) if nearest and nearest[1] == nearest[1] else None
        if cell is not None:
            glyph = styles.glyph(_color(data, place))
            picture.put(cell[1], cell[0], glyph, picture.owner_styles[place])


def _color(data: ChartData, place: int) -> int:
    color = data.series[place].color
    return place if color is None else color


def _draw_glyphs(
    picture: Picture,
    points: Points,
    frame: Frame,
    glyph: str,
    style: Style,
    place: int,
    *,
    every_point: bool,
) -> None:
    next_column = 0 if every_point else (place * 5) % _CELLS_A_GLYPH
    for x, y in zip(points.x, points.y, strict=True):
        cell = picture.canvas.point(x, y, frame) if y == y else None
        if cell is None or (not every_point and cell[0] < next_column):
            continue
        picture.put(cell[1], cell[0], glyph, style)
        next_column = cell[0] + _CELLS_A_GLYPH


def _level(value: float, log: bool) -> float:
    if log:
        return math.log10(value) if value > 0 else math.nan
    return value


def _y_ticks(frame: Frame, rows: int, *, y_log: bool) -> list[Tick]:
    make = log_ticks if y_log else linear_ticks
    return make(frame.bottom, frame.top, max(1, rows // _CELLS_A_Y_TICK))


def _x_ticks(data: ChartData, view: ChartView, frame: Frame, columns: int) -> list[Tick]:
    if data.x_names:
        room = max(1, columns // len(data.x_names) - 2)
        return [Tick(place, clip(clean(name), room)) for place, name in enumerate(data.x_names)]
    if data.x_kind == "time":
        return time_ticks(frame.left, frame.right, columns // 14, view.zone)
    make = log_ticks if data.x_kind == "log" else linear_ticks
    return make(frame.left, frame.right, columns // 10)


def _with_y_axis(
    picture: Picture, ticks: Sequence[Tick], gutter: int, frame: Frame, styles: ChartStyles
) -> list[Strip]:
    labels: dict[int, str] = {}
    for tick in ticks:
        row = frame.row(tick.at, 4 * picture.rows) // 4
        if 0 <= row < picture.rows:
            labels.setdefault(row, tick.label)
    lines = []
    for row in range(picture.rows):
        label = labels.get(row)
        axis = fit(label, gutter - 1, "right") + "┤" if label is not None else " " * (gutter - 1) + "│"
        segments = [Segment(axis, styles.axis), *picture.segments(row)]
        lines.append(Strip(segments, gutter + picture.columns))
    return lines


def _x_axis(
    ticks: Sequence[Tick],
    gutter: int,
    columns: int,
    frame: Frame,
    styles: ChartStyles,
    lines: int,
    title: str,
) -> list[Strip]:
    rule, labels = ["─"] * columns, [" "] * columns
    room = columns - width(title) - 2 if title and width(title) <= columns // 3 else columns
    end = -2
    for tick in ticks:
        column = frame.column(tick.at, 2 * columns) // 2
        if not 0 <= column < columns:
            continue
        rule[column] = "┬"
        size = width(tick.label)
        start = min(max(0, column - size // 2), columns - size)
        if size and end + 1 < start and start + size <= room:
            labels[start : start + size] = [tick.label, *[""] * (size - 1)]
            end = start + size
    if room < columns:
        labels[columns - width(title) :] = [title]
    corner = " " * (gutter - 1)
    drawn = [Strip([Segment(corner + "└" + "".join(rule), styles.axis)])] if lines == 2 else []
    if lines:
        drawn.append(Strip([Segment(corner + " " + "".join(labels), styles.label)]))
    return drawn
