"""Runs as the Runs screen and `workbench runs list` show them: which columns tell something, and filters."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from store.run_index import RunIndex
    from store.runs import Run, RunStore
    from workbench.desk.desk import Desk

_USUAL = ("roc_auc", "rmse", "accuracy", "f1", "f1_score", "r2", "mae")
_DULL = re.compile(r"^cv_.+_(mean|std)$|^seconds_|_samples$|^n_features$|_ms$")
_POLL_S = 10.0
_MLFLOW_FILTER = re.compile(
    r"\s*(metrics?|params?|parameters?|tags?|attributes?|attr|run)\s*\.", re.IGNORECASE
)


@dataclass(frozen=True)
class RunList:
    """The runs of a store at one moment, newest first, and its experiments by name."""

    runs: tuple[Run, ...]
    experiments: tuple[str, ...]
    reading: tuple[int, int] | None = None
    """How many runs are read, and how many there are, while a large store is read for the first time."""


def list_runs(
    desk: Desk, before: RunList | None = None, *, deleted: bool = False, watched: Collection[str] = ()
) -> RunList:
    """Every run of every experiment; the deleted ones in place of the others.

    Cheap enough to be asked every second or two: it returns `before` where nothing has changed. Of the runs
    in `watched` every change is seen at once.
    """
    with desk.lock:
        source = desk.cached("runs", lambda: _source(desk))
        runs = source.look(deleted=deleted, watched=watched)
    experiments = tuple(experiment.name for experiment in desk.runs.experiments())
    reading = source.progress
    if before is not None and before.runs is runs:
        if (before.experiments, before.reading) == (experiments, reading):
            return before
    return RunList(runs, experiments, reading)


class _Polled:
    """A database or a server, asked at most every few seconds."""

    progress = None

    def __init__(self, store: RunStore) -> None:
        self._store = store
        self._asked: dict[bool, float] = {}
        self._runs: dict[bool, tuple[Run, ...]] = {}

    def look(self, *, deleted: bool = False, watched: Collection[str] = ()) -> tuple[Run, ...]:
        if time.monotonic() - self._asked.get(deleted, -_POLL_S) >= _POLL_S:
            runs = tuple(self._store.list(deleted=deleted))
            if runs != self._runs.get(deleted):
                self._runs[deleted] = runs
            self._asked[deleted] = time.monotonic()
        return self._runs[deleted]

    def expire(self) -> None:
        self._asked.clear()


def _source(desk: Desk) -> RunIndex | _Polled:
    from store.run_index import RunIndex

    return desk.runs if isinstance(desk.runs, RunIndex) else _Polled(desk.runs)


def expire_runs(desk: Desk) -> None:
    """After a change of one's own: ask again, however short ago that was."""
    with desk.lock:
        source = desk.cached("runs", lambda: _source(desk))
        if isinstance(source, _Polled):
            source.expire()


def metric_names(runs: Sequence[Run]) -> tuple[list[str], list[str]]:
    """The runs' metrics: those that tell how good a run is, best known first, and the rest."""
    names = {name for run in runs for name in run.metrics}
    known = sorted(names, key=lambda name: (_USUAL.index(name) if name in _USUAL else len(_USUAL), name))
    telling = [name for name in known if not _DULL.search(name)] or known[:1]
    return telling, [name for name in known if name not in telling]


def varied_params(runs: Sequence[Run]) -> list[str]:
    """The parameters that differ between the runs, those of most runs first."""
    counts = Counter(name for run in runs for name in run.params)
    varied = [n for n in counts if len(runs) == 1 or len({run.params.get(n) for run in runs}) > 1]
    return sorted(varied, key=lambda name: (-counts[name], name))


def run_filter(text: str) -> Callable[[Run], bool] | None:
    """MLflow's filter language where `text` is in it, else None for a search for words.

    Raises ValueError, in a few words, for an expression that is not complete.
    """
    if not _MLFLOW_FILTER.match(text):
        return None
    from store.errors import UsageError
    from store.filters import filter_runs, parse_filter

    try:
        clauses = parse_filter(text)
    except UsageError as error:
        raise ValueError(error.message) from error
    return lambda run: bool(filter_runs([run], clauses, lambda _: ()))
