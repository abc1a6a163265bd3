"""Runs as the Runs screen and `workbench runs list` show them: which columns tell something, and filters."""

from __future__ import annotations

import math
import re
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from store.errors import WorkbenchError
from store.runs import count_children, without_nested

if TYPE_CHECKING:
    from store.registry import ModelVersion, RegisteredModel
    from store.run_index import RunIndex
    from store.runs import Run, RunStore
    from workbench.desk.desk import Desk
    from workbench.desk.models import ModelRow

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

    versions: Mapping[str, str] = field(default_factory=dict)
    """By run id, the registered versions made from it, in words."""
    top: tuple[Run, ...] = ()
    """The runs that are not below another one of them."""
    children: Mapping[str, int] = field(default_factory=dict)
    """By run id, how many runs are below it, as the candidates of a search are."""


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
        every_s = _POLL_S if isinstance(source, _Polled) else 0.0
        versions = desk.cached("version words", lambda: _VersionWords(desk, every_s)).read()
    experiments = tuple(experiment.name for experiment in desk.runs.experiments())
    if before is not None and before.runs is runs:
        top, children = before.top, before.children
    else:
        top, children = tuple(without_nested(runs)), count_children(runs)
    found = RunList(runs, experiments, source.progress, versions, top, children)
    if before is not None and before.runs is runs and replace(before, runs=runs) == found:
        return before
    return found


def versions_by_run(models: Iterable[RegisteredModel]) -> dict[str, list[ModelVersion]]:
    """The registered versions made from each run, by its id."""
    made: dict[str, list[ModelVersion]] = {}
    for model in models:
        for version in model.versions:
            if version.run_id:
                made.setdefault(version.run_id, []).append(version)
    return made


class _VersionWords:
    """By run id, the versions made from it, as in `bikes v3 champion`."""

    def __init__(self, desk: Desk, every_s: float) -> None:
        self._desk = desk
        self._every_s = every_s
        self._asked = -math.inf
        self._models: Sequence[ModelRow] = ()
        self._words: Mapping[str, str] = {}

    def read(self) -> Mapping[str, str]:
        """The same mapping where nothing has changed. What is wrong with a registry its own screen tells."""
        if time.monotonic() - self._asked >= self._every_s:
            self._asked = time.monotonic()
            with suppress(WorkbenchError):
                models = self._desk.models.models()
                if models is not self._models:
                    made = versions_by_run(row.model for row in models)
                    self._words = {run: ", ".join(map(_words_of, versions)) for run, versions in made.items()}
                    self._models = models
        return self._words


def _words_of(version: ModelVersion) -> str:
    roles = [alias for alias in version.aliases if alias in ("champion", "challenger")]
    return " ".join((version.name, f"v{version.version}", *roles))


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


def metric_rank(name: str) -> int:
    """How much a metric tells of a run: the best known first, then any other, those beside the point last."""
    if name in _USUAL:
        return _USUAL.index(name)
    return len(_USUAL) + bool(_DULL.search(name))


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
