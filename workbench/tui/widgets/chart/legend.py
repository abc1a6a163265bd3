"""The lines over a chart: names, the values at the cursor, and what the picture does not show."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from workbench.tui.widgets.cells import clean, clip
from workbench.tui.widgets.chart.axis import time_text
from workbench.tui.widgets.chart.canvas import Frame
from workbench.tui.widgets.chart.series import ChartData, Points, hidden_by_log
from workbench.tui.widgets.chart.styles import LINE, ChartStyles
from workbench.tui.widgets.chart.window import ChartView
from workbench.tui.widgets.formats import MISSING, number

_GAP = 2


def nearest_point(points: Points, x: float, frame: Frame) -> tuple[float, float] | None:
    """The point nearest to `x`, unless `x` is beyond the points' ends by more than a cell's width."""
    xs = points.x
    if not xs:
        return None
    if not points.is_sorted:
        place = min(range(len(xs)), key=lambda at: abs(xs[at] - x))
    else:
        place = bisect_left(xs, x)
        if place == len(xs) or (place > 0 and x - xs[place - 1] <= xs[place] - x):
            place -= 1
    slack = (frame.right - frame.left) * 0.01
    first, last = (xs[0], xs[-1]) if points.is_sorted else (min(xs), max(xs))
    return (xs[place], points.y[place]) if first - slack <= x <= last + slack else None


def draw_legend(
    data: ChartData,
    view: ChartView,
    points: Sequence[Points],
    frame: Frame,
    styles: ChartStyles,
    columns: int,
    *,
    max_lines: int,
) -> list[Strip]:
    entries: list[list[Segment]] = []
    if view.cursor is not None:
        title = clean(data.x_title) + " " if data.x_title else ""
        entries.append([Segment(title + x_text(data, view, view.cursor), styles.cursor)])
    for place, series in enumerate(data.series):
        if not series.name and len(data.series) == 1 and view.cursor is None:
            continue
        color = place if series.color is None else series.color
        style = styles.series(color)
        is_glyph = series.is_scatter or not styles.has_color or view.cursor is not None
        sign = styles.glyph(color) if is_glyph else LINE
        name = styles.label + Style(bold=True, underline=True) if place == view.selected else styles.label
        entry = [Segment(sign, style), Segment(" ", styles.base), Segment(clip(clean(series.name), 32), name)]
        if view.cursor is not None:
            nearest = nearest_point(points[place], view.cursor, frame)
            value = nearest[1] if nearest else None
            text = MISSING if value is None else number(10**value if view.y_log else value)
            entry.append(Segment(f" {text}", style + Style(bold=True)))
        entries.append(entry)
    notes = _notes(data, view)
    if notes:
        entries.append([Segment(" · ".join(notes), styles.label + Style(dim=True))])
    return _wrapped(entries, styles, columns, max_lines)


def _notes(data: ChartData, view: ChartView) -> list[str]:
    notes = []
    if view.smoothing > 0:
        notes.append(f"smoothed {view.smoothing:g}")
    if view.y_log:
        notes.append("log")
        hidden = sum(map(hidden_by_log, data.series))
        if hidden:
            notes.append(f"{hidden:,} at or below 0 not shown")
    if not view.window.is_whole:
        notes.append("zoomed")
    return notes


def _wrapped(
    entries: Sequence[Sequence[Segment]], styles: ChartStyles, columns: int, max_lines: int
) -> list[Strip]:
    lines: list[list[Segment]] = [[]]
    used = 0
    for place, entry in enumerate(entries):
        size = sum(segment.cell_length for segment in entry)
        rest = len(entries) - place - 1
        reserve = len(f"+{rest}") + _GAP if rest and len(lines) == max_lines else 0
        if used and used + _GAP + size + reserve > columns:
            if len(lines) == max_lines:
                lines[-1].append(Segment(" " * _GAP + f"+{rest + 1}", styles.label))
                break
            lines.append([])
            used = 0
        if used:
            lines[-1].append(Segment(" " * _GAP, styles.base))
            used += _GAP
        lines[-1].extend(entry)
        used += size
    return [Strip(line) for line in lines if line]


def x_text(data: ChartData, view: ChartView, x: float) -> str:
    """An x as the cursor's line gives it."""
    if data.x_names:
        return clean(data.x_names[min(len(data.x_names) - 1, max(0, round(x)))])
    if data.x_kind == "time":
        return time_text(x, view.zone)
    if data.x_kind == "log":
        return number(10**x)
    return f"{int(x):,}" if x == int(x) and abs(x) < 1e15 else number(x)
