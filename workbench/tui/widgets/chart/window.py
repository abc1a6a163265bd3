"""Which part of a chart's plane is in sight: all of it, or what a person has zoomed and panned to."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import tzinfo

from workbench.tui.widgets.chart.axis import nice_range, widened
from workbench.tui.widgets.chart.canvas import Frame
from workbench.tui.widgets.chart.series import ChartData, Points

_SMALLEST_SHARE = 1e-6
_MARGIN = 0.02  # of a logarithmic range, above and below


@dataclass(frozen=True)
class Window:
    """Ranges in the axes' own coordinates (logarithms on logarithmic axes); None follows the points."""

    x: tuple[float, float] | None = None
    y: tuple[float, float] | None = None

    @property
    def is_whole(self) -> bool:
        return self.x is None and self.y is None

    def zoomed_x(self, whole: tuple[float, float], factor: float, about: float) -> Window:
        """With `factor` times as much in sight around `about`, and never more than `whole`."""
        left, right = self.x or whole
        smallest = (whole[1] - whole[0]) * _SMALLEST_SHARE
        if factor < 1 and (right - left) * factor < smallest:
            return self
        left, right = about + (left - about) * factor, about + (right - about) * factor
        if right - left >= whole[1] - whole[0]:
            return replace(self, x=None)
        return replace(self, x=_within((left, right), whole))

    def panned_x(self, whole: tuple[float, float], share: float) -> Window:
        """Moved right by a `share` of what is in sight, as far as there is something."""
        if self.x is None:
            return self
        by = (self.x[1] - self.x[0]) * share
        return replace(self, x=_within((self.x[0] + by, self.x[1] + by), whole))

    def zoomed_y(self, now: tuple[float, float], factor: float) -> Window:
        """With `factor` times as much in sight around the middle."""
        low, high = self.y or now
        middle, half = (low + high) / 2, (high - low) / 2 * factor
        wanted = middle - half, middle + half
        return replace(self, y=wanted) if widened(*wanted) == wanted else self

    def panned_y(self, now: tuple[float, float], share: float) -> Window:
        """Moved up by a `share` of what is in sight."""
        low, high = self.y or now
        by = (high - low) * share
        return replace(self, y=(low + by, high + by))


@dataclass(frozen=True, eq=False)
class ChartView:
    """How a person looks at the data."""

    window: Window = field(default_factory=Window)
    y_log: bool = False
    smoothing: float = 0.0
    cursor: float | None = None
    """Where the cursor is, in the x axis' own coordinates."""

    selected: int | None = None
    """The series drawn on top of the others."""

    zone: tzinfo | None = None


def whole_x(data: ChartData, points: Iterable[Points]) -> tuple[float, float]:
    """The range that all points take; with names, half a place more on either side."""
    if data.x_names:
        return -0.5, len(data.x_names) - 0.5
    ends = [end for each in points if each.x for end in (min(each.x), max(each.x))]
    if not ends:
        ends = [mark.x for mark in data.marks] or [0.0, 1.0]
    return widened(min(ends), max(ends))


def frame_for(
    data: ChartData, points: Sequence[Points], thresholds: Sequence[float], window: Window, *, y_log: bool
) -> Frame:
    """What to show: y follows the points that are in sight, and thresholds, to nice numbers."""
    left, right = window.x or whole_x(data, points)
    if window.y is not None:
        return Frame(left, right, *window.y)
    lows: list[float] = list(thresholds)
    highs: list[float] = list(thresholds)
    for each in points:
        for values in (each.y, each.low, each.high):
            if not values:
                continue
            seen = values
            if window.x is not None:
                seen = [value for x, value in zip(each.x, values, strict=True) if left <= x <= right]
            if math.isnan(sum(seen)):
                seen = [value for value in seen if value == value]
            if seen:
                lows.append(min(seen))
                highs.append(max(seen))
    low, high = (min(lows), max(highs)) if lows else (0.0, 1.0)
    if y_log:
        low, high = widened(low, high)
        return Frame(left, right, low - (high - low) * _MARGIN, high + (high - low) * _MARGIN)
    low, high = nice_range(low, high)
    fixed_low, fixed_high = data.y_range
    low = low if fixed_low is None else fixed_low
    high = high if fixed_high is None else fixed_high
    return Frame(left, right, *widened(min(low, high), max(low, high)))


def _within(range_: tuple[float, float], whole: tuple[float, float]) -> tuple[float, float]:
    left, right = range_
    if left < whole[0]:
        left, right = whole[0], right + whole[0] - left
    if right > whole[1]:
        left, right = left + whole[1] - right, whole[1]
    return max(left, whole[0]), right
