"""Braille dots: two columns and four rows of them in every cell of a terminal."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
_MASKS = tuple(
    tuple(tuple(sum(side[first : last + 1]) for last in range(4)) for first in range(4)) for side in _DOTS
)
"""The dots of one column of a cell from row `first` to row `last`: _MASKS[column][first][last]."""

BLANK = 0x2800
NOBODY = -1


@dataclass(frozen=True)
class Frame:
    """The part of the plane that a canvas shows."""

    left: float
    right: float
    bottom: float
    top: float

    def column(self, x: float, columns: int) -> int:
        """The dot column, of `columns`, that `x` falls into; it may lie outside."""
        return int((x - self.left) * ((columns - 1) / (self.right - self.left)) + 0.5)

    def row(self, y: float, rows: int) -> int:
        """The dot row, of `rows` from the top, that `y` falls into; it may lie outside."""
        return math.floor((self.top - y) * ((rows - 1) / (self.top - self.bottom)) + 0.5)


class Canvas:
    """Dots and, for every cell, whose they are."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns = columns
        self.rows = rows
        self.bits = [0] * (columns * rows)
        self.owners = [NOBODY] * (columns * rows)

    def line(self, x: Sequence[float], y: Sequence[float], frame: Frame, owner: int) -> None:
        """Join points that are sorted by `x`, broken at NaN.

        The points that share a dot column are drawn as one span from the least to the greatest of them, so
        that no spike is lost however many points there are.
        """
        height = 4 * self.rows
        tops, bottoms = column_spans(x, y, frame, 2 * self.columns, height)
        bits, owners, columns = self.bits, self.owners, self.columns
        lowest, beneath = height - 1, height - 0.5
        for column, (top, bottom) in enumerate(zip(tops, bottoms, strict=True)):
            if top > bottom or bottom < -0.5 or top >= beneath:
                continue
            first = int(top + 0.5) if top > 0 else 0
            last = int(bottom + 0.5) if bottom < lowest else lowest
            masks = _MASKS[column & 1]
            cell = (first >> 2) * columns + (column >> 1)
            cells = (last >> 2) - (first >> 2)
            owners[cell] = owner
            if cells == 0:
                bits[cell] |= masks[first & 3][last & 3]
                continue
            bits[cell] |= masks[first & 3][3]
            full = masks[0][3]
            for _ in range(1, cells):
                cell += columns
                bits[cell] |= full
                owners[cell] = owner
            cell += columns
            bits[cell] |= masks[0][last & 3]
            owners[cell] = owner

    def band(
        self, x: Sequence[float], low: Sequence[float], high: Sequence[float], frame: Frame, owner: int
    ) -> None:
        """Shade between two lines with every other dot."""
        height = 4 * self.rows
        _, lower = column_spans(x, low, frame, 2 * self.columns, height)
        upper, _ = column_spans(x, high, frame, 2 * self.columns, height)
        for column in range(0, 2 * self.columns, 2):
            up, down = upper[column], lower[column]
            if not (math.isfinite(up) and math.isfinite(down)):
                continue
            first, last = max(0, round(up)), min(height - 1, round(down))
            for row in range(first + (first + column // 2) % 2, last + 1, 2):
                cell = (row >> 2) * self.columns + (column >> 1)
                self.bits[cell] |= _DOTS[0][row & 3]
                self.owners[cell] = owner

    def point(self, x: float, y: float, frame: Frame) -> tuple[int, int] | None:
        """The cell (column, row) that a point falls into, or None when it is out of the frame."""
        if not (frame.left <= x <= frame.right and frame.bottom <= y <= frame.top):
            return None
        return frame.column(x, 2 * self.columns) // 2, frame.row(y, 4 * self.rows) // 4

    def is_lit(self, column: int, row: int) -> bool:
        """Whether a dot is set."""
        bits = self.bits[row // 4 * self.columns + column // 2]
        return bool(bits & _DOTS[column % 2][row % 4])


def column_spans(
    x: Sequence[float], y: Sequence[float], frame: Frame, width: int, height: int
) -> tuple[list[float], list[float]]:
    """The least and greatest row, of `height` from the top, of a line in each of `width` dot columns.

    Where it has none, the least is infinite. A line enters and leaves the frame where it crosses its sides.
    """
    tops, bottoms = [math.inf] * width, [-math.inf] * width
    left, top = frame.left, frame.top
    x_scale = (width - 1) / (frame.right - left)
    y_scale = (height - 1) / (top - frame.bottom)
    first, last = bisect_left(x, left), bisect_right(x, frame.right)
    before, before_row = -1, 0.0
    if 0 < first < len(x):
        entry = _between(x[first - 1], y[first - 1], x[first], y[first], left)
        if entry == entry:
            before, before_row = 0, (top - entry) * y_scale
            tops[0] = bottoms[0] = before_row
    for start, end in _runs(y, first, last):
        if start > first:
            before = -1
        while start < end:
            column = int((x[start] - left) * x_scale + 0.5)
            after = bisect_left(x, left + (column + 0.5) / x_scale, start + 1, end)
            # Rounding may put the boundary a point too far or too near; the column's own formula decides.
            following = column + 1
            while after < end and (x[after] - left) * x_scale + 0.5 < following:
                after += 1
            while after > start + 1 and (x[after - 1] - left) * x_scale + 0.5 >= following:
                after -= 1
            row = (top - y[start]) * y_scale
            if after == start + 1:
                upper = lower = row
            else:
                shared = y[start:after]
                upper, lower = (top - max(shared)) * y_scale, (top - min(shared)) * y_scale
            if before == column - 1 >= 0:  # by far the most frequent case of joining
                middle = (before_row + row) / 2
                if row > before_row:
                    if middle - 0.5 > bottoms[before]:
                        bottoms[before] = middle - 0.5
                    if middle + 0.5 < upper:
                        upper = middle + 0.5
                else:
                    if middle + 0.5 < tops[before]:
                        tops[before] = middle + 0.5
                    if middle - 0.5 > lower:
                        lower = middle - 0.5
            elif 0 <= before < column:
                _join(tops, bottoms, before, before_row, column, row)
            if upper < tops[column]:
                tops[column] = upper
            if lower > bottoms[column]:
                bottoms[column] = lower
            before, before_row = column, (top - y[after - 1]) * y_scale
            start = after
        if end < last:
            before = -1
    if before >= 0 and last < len(x) and last > 0:
        leave = _between(x[last - 1], y[last - 1], x[last], y[last], frame.right)
        if leave == leave and before < width - 1:
            _join(tops, bottoms, before, before_row, width - 1, (top - leave) * y_scale)
    return tops, bottoms


def _runs(values: Sequence[float], first: int, last: int) -> Iterator[tuple[int, int]]:
    """The stretches of `values` from `first` to `last` that have no NaN in them."""
    total = sum(values[first:last])
    if total == total:
        if first < last:
            yield first, last
        return
    start = first
    for place in range(first, last):
        if values[place] != values[place]:
            if start < place:
                yield start, place
            start = place + 1
    if start < last:
        yield start, last


def _join(
    tops: list[float], bottoms: list[float], first: int, first_row: float, last: int, last_row: float
) -> None:
    """Add the line between two points in different columns to the spans of the columns it passes.

    Neighbouring columns meet half a dot before and after their boundary, so that the line is one dot thin.
    """
    slope = (last_row - first_row) / (last - first)
    half = 0.5 if slope > 0 else -0.5
    boundary = first_row
    for column in range(first, last + 1):
        start = first_row if column == first else boundary + half
        boundary = first_row + slope * (column + 0.5 - first)
        end = last_row if column == last else boundary - half
        upper, lower = (start, end) if half > 0 else (end, start)
        if upper > lower:  # less than a dot of the line in this column
            upper = lower = end if column == last else first_row if column == first else (start + end) / 2
        if upper < tops[column]:
            tops[column] = upper
        if lower > bottoms[column]:
            bottoms[column] = lower


def _between(x0: float, y0: float, x1: float, y1: float, x: float) -> float:
    share = (x - x0) / (x1 - x0) if x1 > x0 else 0.0
    return y0 * (1 - share) + y1 * share
