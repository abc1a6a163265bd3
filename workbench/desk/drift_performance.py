"""How well a version did over time, from the sums that are kept of its labelled predictions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from store.series import PerformancePoint, SeriesReader
    from workbench.desk.drift import WatchedVersion

POINTS = 24
_FEWEST = 5
"""Labels below which a stretch of time has no point."""


@dataclass(frozen=True)
class Measured:
    """A metric in a stretch of time; `low` and `high` bound it with 95 % confidence where they are known."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class PerformanceMoment:
    """The metrics of the predictions between two times, by name."""

    start: datetime
    end: datetime
    metrics: Mapping[str, Measured] = field(default_factory=dict)


def performance_over_time(
    reader: SeriesReader, shown: WatchedVersion, start: datetime, end: datetime
) -> tuple[PerformanceMoment, ...]:
    """Stretches from `start` to `end` in order; those with next to no labels have no metrics."""
    points = reader.performance(
        shown.model, shown.version, start=start, end=end, points=POINTS, role=shown.role
    )
    ends = [*(point.start for point in points[1:]), end]
    return tuple(
        PerformanceMoment(point.start, min(until, end), _metrics(point))
        for point, until in zip(points, ends, strict=True)
    )


def trend(moments: Sequence[PerformanceMoment], metric: str) -> tuple[float | None, ...]:
    return tuple(moment.metrics[metric].value if metric in moment.metrics else None for moment in moments)


def _metrics(point: PerformancePoint) -> dict[str, Measured]:
    n = point.labelled
    if n < _FEWEST:
        return {}
    if point.confusion:
        from pipelines.performance.figures import wilson

        hits = sum(count for (predicted, actual), count in point.confusion.items() if predicted == actual)
        return {"accuracy": Measured(hits / n, *wilson(hits, n))}
    absolute, squared = point.absolute_error / n, point.squared_error / n
    half = 1.96 * math.sqrt(max(0.0, squared - absolute**2) / n)
    found = {
        "mae": Measured(absolute, absolute - half, absolute + half),
        "rmse": Measured(math.sqrt(squared)),
    }
    spread = point.actual_squares - point.actual_total**2 / n
    if spread > 0:
        found["r2"] = Measured(1 - point.squared_error / spread)
    return found
