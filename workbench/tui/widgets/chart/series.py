"""What a chart shows: series, thresholds and marks, as given and as prepared for drawing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from operator import le
from typing import Literal

Numbers = Sequence["float | None"]
XKind = Literal["linear", "log", "time"]

_LARGEST = 1e300  # beyond it, the difference of two numbers may not be one


@dataclass(frozen=True, eq=False)
class Series:
    """Points in the order of their `x`; a `y` that is missing or not finite is a gap.

    `low` and `high` shade a band around the line, such as a confidence interval. Series are compared by
    identity: what is prepared of one for drawing is kept for as long as the same object is shown.
    """

    name: str
    x: Numbers
    y: Numbers
    low: Numbers | None = None
    high: Numbers | None = None
    color: int | None = None
    """Its place in the palette; by default its place in the chart."""

    is_scatter: bool = False
    """Points that no line joins; they need no order."""


@dataclass(frozen=True)
class Threshold:
    """A horizontal line; the axis always has room for it unless `in_range` is off."""

    y: float
    label: str = ""
    tone: str = "warning"
    in_range: bool = True


@dataclass(frozen=True)
class Mark:
    """A vertical line, such as a deployment."""

    x: float
    label: str = ""
    tone: str = "muted"


@dataclass(frozen=True, eq=False)
class ChartData:
    """Everything in one chart. For `x_kind="time"`, `x` is seconds since the epoch."""

    series: Sequence[Series] = ()
    thresholds: Sequence[Threshold] = ()
    marks: Sequence[Mark] = ()
    x_kind: XKind = "linear"
    x_title: str = ""
    x_names: Sequence[str] = ()
    """What stands on the x axis at 0, 1, 2… in place of numbers."""

    y_range: tuple[float | None, float | None] = (None, None)
    """Ends of the y axis that don't follow the points, such as (0, None)."""


@dataclass(frozen=True, eq=False)
class Points:
    """A series on the chart's scales: sorted by x unless scattered, NaN where there is a gap."""

    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    is_sorted: bool = True


@lru_cache(maxsize=128)
def prepared(series: Series, x_log: bool, y_log: bool, smoothing: float) -> Points:
    """The points of `series` as they are drawn: smoothed, then on logarithmic scales where asked for."""
    x = _floats(series.x)
    y = _floats(series.y)
    bands = [_floats(edge) for edge in (series.low, series.high) if edge is not None]
    columns = [x, y, *(bands if len(bands) == 2 else [])]
    length = min(map(len, columns))
    columns = [column[:length] for column in columns]
    if math.isnan(sum(columns[0])):
        kept = [place for place, value in enumerate(columns[0]) if value == value]
        columns = [[column[place] for place in kept] for column in columns]
    x = columns[0]
    if not series.is_scatter and not all(map(le, x, islice(x, 1, None))):
        order = sorted(range(len(x)), key=x.__getitem__)
        columns = [[column[place] for place in order] for column in columns]
    x, y, *bands = columns
    if smoothing > 0 and not series.is_scatter:
        y = smoothed(y, smoothing)
    if x_log:
        kept = [place for place, value in enumerate(x) if value > 0]
        x, y, *bands = ([column[place] for place in kept] for column in (x, y, *bands))
        x = _logarithms(x)
    if y_log:
        y, *bands = map(_logarithms, (y, *bands))
    low, high = bands if len(bands) == 2 else ((), ())
    return Points(x, y, low, high, is_sorted=not series.is_scatter)


def smoothed(values: Sequence[float], weight: float) -> list[float]:
    """An exponential moving average without the pull to zero at its start; gaps stay gaps.

    It is TensorBoard's: s = weight · s + (1 − weight) · value, divided by 1 − weight^n.
    """
    result: list[float] = []
    average, scale = 0.0, 1.0
    for value in values:
        if value != value:
            result.append(value)
            continue
        average = average * weight + (1 - weight) * value
        scale *= weight
        result.append(average / (1 - scale))
    return result


def hidden_by_log(series: Series) -> int:
    """How many values a logarithmic axis can't show because they are zero or negative."""
    return sum(1 for value in series.y if value is not None and value <= 0)


def _floats(values: Numbers) -> list[float]:
    try:
        numbers = list(map(float, values))  # type: ignore[arg-type]  # None is what the except is for
    except TypeError:
        numbers = [math.nan if value is None else float(value) for value in values]
    if not numbers or (
        math.isfinite(sum(numbers)) and max(numbers) <= _LARGEST and min(numbers) >= -_LARGEST
    ):
        return numbers
    return [
        math.nan if value - value != 0 else min(_LARGEST, max(-_LARGEST, value))  # inf − inf is NaN
        for value in numbers
    ]


def _logarithms(values: Sequence[float]) -> list[float]:
    return [math.log10(value) if value > 0 else math.nan for value in values]
