"""A row of numbers as a row of bars: ▁▂▃▄▅▆▇█."""

from __future__ import annotations

import math
from collections.abc import Sequence

BARS = "▁▂▃▄▅▆▇█"
GAP = " "


def sparkline(
    values: Sequence[float | None],
    width: int | None = None,
    *,
    low: float | None = None,
    high: float | None = None,
) -> str:
    """`values` as at most `width` bars, scaled to their own range unless `low` or `high` say otherwise.

    Values that share a bar are averaged. One that is missing or not finite has no part in it, and a bar with
    none left is a gap. Values that are all the same are drawn half high.
    """
    heights = _averages(values, width)
    finite = [height for height in heights if height is not None]
    if not finite:
        return GAP * len(heights)
    low = min(finite) if low is None else low
    high = max(finite) if high is None else high
    if high > low:
        return "".join(GAP if height is None else _bar(height, low, high) for height in heights)
    middle = BARS[len(BARS) // 2 - 1]
    return "".join(GAP if height is None else middle for height in heights)


def _bar(height: float, low: float, high: float) -> str:
    if math.isinf(high - low):  # the widest range there is overflows, the narrowest has no half
        height, low, high = height / 2, low / 2, high / 2
    share = (height - low) / (high - low)
    return BARS[min(len(BARS) - 1, max(0, int(share * len(BARS))))]


def _averages(values: Sequence[float | None], width: int | None) -> list[float | None]:
    usable = [value if value is not None and math.isfinite(value) else None for value in values]
    count = len(usable)
    if width is None or count <= width:
        return usable
    averages: list[float | None] = []
    for bar in range(max(width, 0)):
        bucket = usable[bar * count // width : (bar + 1) * count // width]
        finite = [value for value in bucket if value is not None]
        averages.append(_average(finite) if finite else None)
    return averages


def _average(values: Sequence[float]) -> float:
    """Of parts of the largest: a sum of the values, or of their shares of the average, can overflow."""
    largest = max(map(abs, values))
    return largest * (math.fsum(value / largest for value in values) / len(values)) if largest else 0.0
