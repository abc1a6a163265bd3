"""Figures of very many predictions, from the counts by five minutes in place of the rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.performance.classes import figures_of_confusion
from pipelines.performance.figures import POINT, Z95, Figure
from store.series import PerformancePoint, SeriesReader

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from store.layout import Layout

MANY_ROWS = 40_000
"""Predictions from which on not each is looked at."""
SAMPLE_ROWS = 10_000
"""About how many are, then; an AUC of so many is sure to half a point."""
_POINTS = 288
_STRETCHES = 12


@dataclass(frozen=True)
class Counted:
    """What the counts say of a stretch of time."""

    predictions: int
    labelled: int
    matrix: NDArray[Any] | None
    """Of classes: labelled rows (n_classes + 1, n_classes + 1), actual by predicted; last other classes."""
    figures: tuple[Figure, ...]
    parts: tuple[tuple[Figure, ...], ...]
    """Of three parts in order of time with about as many labels each."""
    stretches: tuple[tuple[datetime, datetime], ...]
    """Some of the time, evenly spread, in which about SAMPLE_ROWS of the predictions were made."""


def counted(
    layout: Layout,
    model: str,
    version: int,
    role: str | None,
    start: datetime,
    end: datetime,
    classes: Sequence[str] | None,
) -> Counted | None:
    """The counts of a time in which there were very many predictions; None of fewer."""
    points = SeriesReader(layout).performance(model, version, start=start, end=end, points=_POINTS, role=role)
    predictions = sum(point.predictions for point in points)
    if predictions < MANY_ROWS:
        return None
    labelled = sum(point.labelled for point in points)
    thirds = [list[PerformancePoint]() for _ in range(3)]
    seen = 0
    for point in points:
        middle = seen + point.labelled / 2
        thirds[min(2, int(3 * middle / labelled) if labelled else 0)].append(point)
        seen += point.labelled
    return Counted(
        predictions,
        labelled,
        None if classes is None else _matrix(points, classes),
        tuple(figures_of_points(points, classes)),
        tuple(tuple(figures_of_points(part, classes)) for part in thirds),
        _stretches(points),
    )


def _stretches(points: Sequence[PerformancePoint]) -> tuple[tuple[datetime, datetime], ...]:
    """The same part of some of the five minutes in which there was something."""
    step = points[1].start - points[0].start if len(points) > 1 else timedelta(minutes=5)
    busy = [point for point in points if point.predictions]
    chosen = busy if len(busy) <= _STRETCHES else busy[:: -(-len(busy) // _STRETCHES)]
    share = min(1.0, SAMPLE_ROWS / sum(point.predictions for point in chosen))
    return tuple((point.start, point.start + step * share) for point in chosen)


def figures_of_points(points: Sequence[PerformancePoint], classes: Sequence[str] | None) -> list[Figure]:
    """What the sums of five minutes tell of all of their labelled rows."""
    if classes is not None:
        return figures_of_confusion(_matrix(points, classes), len(classes))
    n = sum(point.labelled for point in points)
    if n < 2:
        return []
    squared = sum(point.squared_error for point in points)
    mae = sum(point.absolute_error for point in points) / n
    total, squares = (
        sum(getattr(point, f"actual_{name}") for point in points) for name in ("total", "squares")
    )
    variance = max(0.0, squares / n - (total / n) ** 2)
    point = POINT * math.sqrt(variance * n / (n - 1))
    se = math.sqrt(max(0.0, squared / n - mae * mae) / (n - 1))
    found = [
        Figure("rmse", math.sqrt(squared / n), n, is_error=True, point=point),
        Figure("mae", mae, n, se, None, max(0.0, mae - Z95 * se), mae + Z95 * se, True, point),
    ]
    if variance > 0:
        found.append(Figure("r2", 1 - squared / n / variance, n))
    return found


def _matrix(points: Sequence[PerformancePoint], classes: Sequence[str]) -> NDArray[Any]:
    places = {name: place for place, name in enumerate(classes)}
    other = len(classes)
    counts = np.zeros((other + 1, other + 1), dtype=np.int64)
    for point in points:
        for (predicted, actual), n in point.confusion.items():
            counts[places.get(actual, other), places.get(predicted, other)] += n
    return counts


def with_spread(figure: Figure, sample: Sequence[Figure]) -> Figure:
    """A figure of all rows; where the counts don't tell how sure it is, by how sure that of some rows is."""
    if figure.se is not None or figure.low is not None:
        return figure
    alike = next((one for one in sample if one.metric == figure.metric and one.se is not None), None)
    if alike is None or alike.se is None or not alike.n:
        return figure
    se = alike.se * math.sqrt(alike.n / figure.n)
    return Figure(
        figure.metric,
        figure.value,
        figure.n,
        se,
        None,
        figure.value - Z95 * se,
        figure.value + Z95 * se,
        figure.is_error,
        figure.point,
    )
