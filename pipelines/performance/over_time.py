"""How well a version did in each window of a history: from the counts by five minutes, or from the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from pipelines.drift.windows import BUCKET, down
from pipelines.performance.counted import MANY_ROWS, figures_of_points
from pipelines.performance.figures import Figure
from pipelines.performance.report import figures_of_rows
from pipelines.performance.rows import Rows, read_rows
from store.predictions import PredictionReader
from store.records import microseconds
from store.series import PerformancePoint, SeriesReader

if TYPE_CHECKING:
    from store.layout import Layout
    from store.slices import Key

FEWEST = 5
"""Labels below which a window has no figures."""
MOST_POINTS = 4_000
"""Stretches of five minutes beyond which longer ones are counted."""


@dataclass(frozen=True)
class Stretch:
    """The rows of a window that no window before it has, and the figures of those with a label."""

    start: datetime
    end: datetime
    labelled: int = 0
    figures: Mapping[str, Figure] = field(default_factory=dict)


def performance_by_window(
    layout: Layout,
    key: Key,
    windows: Sequence[tuple[datetime, datetime]],
    length: timedelta | int,
    classes: Sequence[str] | None,
    *,
    reader: SeriesReader | None = None,
) -> tuple[Stretch, ...]:
    """A stretch for each of the `windows` (start, end), which come in order of time and are `length` long.

    Windows that reach back, as few rows make them, share rows; a label counts in the first of them alone.
    `classes` are in the model's order, None of a regression. Of windows by number of rows (start and end are
    rows of theirs) each row is looked at where there are not very many.
    """
    if not windows:
        return ()
    reader = reader or SeriesReader(layout)
    stretches = own_stretches(windows, length)
    start, end = stretches[0][0], stretches[-1][1]
    points, until = MOST_POINTS, end
    if isinstance(length, timedelta) and end - start > MOST_POINTS * BUCKET:
        points = -(-(end - start) // length)
        until = start + points * length
    counted = reader.performance(key.model, key.version, start=start, end=until, points=points, role=key.role)
    if isinstance(length, int) and sum(point.predictions for point in counted) <= MANY_ROWS:
        return _of_rows(layout, key, stretches, classes)

    found = []
    for begin, until in stretches:
        # Counts of five minutes are not cut: they are of the window that goes on after them.
        last = until if until == end else down(until, BUCKET)
        within = [point for point in counted if down(begin, BUCKET) <= point.start < last]
        found.append(_stretch(begin, until, within, classes))
    return tuple(found)


def own_stretches(
    windows: Sequence[tuple[datetime, datetime]], length: timedelta | int
) -> list[tuple[datetime, datetime]]:
    """What each window has that the one before hasn't."""
    found: list[tuple[datetime, datetime]] = []
    for start, end in windows:
        begin = start if isinstance(length, int) else max(start, end - length)
        found.append((max(begin, found[-1][1]) if found else begin, end))
    return found


def _stretch(
    start: datetime, end: datetime, points: Sequence[PerformancePoint], classes: Sequence[str] | None
) -> Stretch:
    labelled = sum(point.labelled for point in points)
    if labelled < FEWEST:
        return Stretch(start, end, labelled)
    figures = figures_of_points(points, classes)
    return Stretch(start, end, labelled, {figure.metric: figure for figure in figures})


def _of_rows(
    layout: Layout,
    key: Key,
    stretches: Sequence[tuple[datetime, datetime]],
    classes: Sequence[str] | None,
) -> tuple[Stretch, ...]:
    """Each row in the first stretch that ends with it or after it."""
    start, end = stretches[0][0], stretches[-1][1] + timedelta(microseconds=1)
    with PredictionReader(layout).opened() as connection:
        rows = read_rows(connection, key.model, key.version, key.role, start, end, classes=classes)
    ends = [microseconds(until) for _, until in stretches]
    assert rows.at_us is not None
    places = np.searchsorted(ends, rows.at_us)
    found = []
    for place, bounds in enumerate(stretches):
        part = rows.select((places == place) & rows.labelled)
        figures = _figures_of_rows(bounds[0], part) if len(part) >= FEWEST else []
        found.append(Stretch(*bounds, len(part), {figure.metric: figure for figure in figures}))
    return tuple(found)


def _figures_of_rows(start: datetime, rows: Rows) -> list[Figure]:
    if rows.classes is not None:
        return figures_of_rows(rows)
    # Of so many windows a bootstrap would take too long: by their sums, as where there are only counts.
    error = rows.actual - rows.predicted
    sums = (error, np.abs(error), error**2, rows.actual, rows.actual**2)
    point = PerformancePoint(start, len(rows), len(rows), {}, *(float(one.sum()) for one in sums))
    return figures_of_points([point], None)
