"""One curve of a run, small enough for a cell of a table: how its most telling metric went."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from store.errors import WorkbenchError
from workbench.desk.runs import metric_rank

if TYPE_CHECKING:
    from store.runs import Run
    from workbench.desk.desk import Desk

_HELD_OUT = re.compile(r"(^|[_/.\s-])(val|valid|validation|eval|test|dev)([_/.\s-]|$)", re.IGNORECASE)
_MOST_POINTS = 64
_MOST_KEPT = 5_000


Spark = tuple[float, ...]
"""A metric's values in the order of its steps, at most 64 of them; none where it makes no curve."""


@dataclass(frozen=True, eq=False)
class _Read:
    """What was read, and of which state of its run."""

    run: Run
    spark: Spark


def curve_metric(run: Run) -> str | None:
    """The metric whose history tells most of a run; None where each was logged once."""
    return _most_telling(run.stepped)


@lru_cache(maxsize=1024)
def _most_telling(names: tuple[str, ...]) -> str | None:
    return min(names, key=lambda name: (metric_rank(name), not _HELD_OUT.search(name), name), default=None)


def drawn_metric(runs: Iterable[Run]) -> str | None:
    """The metric that most of the runs are drawn with."""
    found = Counter(metric for run in runs if (metric := curve_metric(run)) is not None)
    return found.most_common(1)[0][0] if found else None


def read_sparks(desk: Desk, runs: Sequence[Run]) -> dict[str, Spark]:
    """The sparks of these runs by their ids: each read once, and again when its run has gone on."""
    with desk.lock:
        kept: dict[str, _Read] = desk.cached("sparks", dict)
        if len(kept) > _MOST_KEPT:
            kept.clear()
    found = {}
    for run in runs:
        read = kept.get(run.run_id)
        if read is None or (read.run is not run and _has_gone_on(read.run, run)):
            read = kept[run.run_id] = _Read(run, _read(desk, run))
        found[run.run_id] = read.spark
    return found


def _has_gone_on(before: Run, after: Run) -> bool:
    is_running = "RUNNING" in (before.status, after.status)
    return is_running or (before.stepped, before.metrics) != (after.stepped, after.metrics)


def _read(desk: Desk, run: Run) -> Spark:
    metric = curve_metric(run)
    if metric is None:
        return ()
    try:
        points = desk.runs.history(run.run_id, metric)
    except WorkbenchError:
        return ()  # the details of the run say what is wrong with it
    by_step = {step: value for _, step, value in sorted(points, key=lambda point: (point[1], point[0]))}
    values = list(by_step.values())
    if len(values) < 2:
        return ()
    places = range(min(len(values), _MOST_POINTS))
    return tuple(values[round(place * (len(values) - 1) / (len(places) - 1))] for place in places)
