"""Runs and experiments, wherever they are kept."""

from __future__ import annotations

import builtins
import posixpath
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from store.errors import UsageError

NOTE_TAG = "mlflow.note.content"
RUN_NAME_TAG = "mlflow.runName"
PARENT_TAG = "mlflow.parentRunId"
"""On a run that MLflow nests below another one, such as a candidate of a search: the other one's id."""
_KEY = re.compile(r"[/\w.\- :]+")


@dataclass(frozen=True)
class Experiment:
    """An MLflow experiment; `lifecycle_stage` is `active` or `deleted`."""

    experiment_id: str
    name: str
    lifecycle_stage: str = "active"
    artifact_location: str = ""
    created_at: datetime | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """An MLflow run. Times are UTC; `metrics` are the latest values, as MLflow shows them.

    `problem` says what is broken in its files; whatever could be read is there nevertheless.
    """

    run_id: str
    name: str
    experiment_id: str
    experiment: str
    status: str = "RUNNING"
    started_at: datetime | None = None
    ended_at: datetime | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    artifact_uri: str = ""
    lifecycle_stage: str = "active"
    problem: str | None = None
    user_id: str = ""
    stepped: tuple[str, ...] = field(default=(), compare=False)
    """The metrics that were logged at several steps, by name: those that make a curve."""


@dataclass(frozen=True)
class RunQuery:
    """Which runs are asked for, and in which order."""

    experiment: str | None = None
    """A name or id."""
    filter: str | None = None
    """In MLflow's language."""
    order_by: Sequence[str] = ()
    limit: int | None = None
    deleted: bool = False
    """The deleted ones in place of the others."""
    nested: bool = True
    """Whether those below another run of the same experiment are among them."""


class RunStore(Protocol):
    """Reads and edits runs. `run` is a full id, a unique prefix of at least 4 characters or a unique name."""

    def experiments(self, *, deleted: bool = False) -> builtins.list[Experiment]:
        """Experiments by name; the deleted ones in place of the others on request."""

    def list(
        self,
        experiment: str | None = None,
        filter: str | None = None,  # noqa: A002 - MLflow's word
        order_by: Sequence[str] = (),
        limit: int | None = None,
        deleted: bool = False,
        nested: bool = True,
    ) -> builtins.list[Run]:
        """Runs as MLflow's search returns them, broken ones last (only where there is no filter).

        See `RunQuery`. Raises UsageError for a filter or order that MLflow would refuse, NotFoundError for an
        unknown experiment.
        """
        return self.select(RunQuery(experiment, filter, tuple(order_by), limit, deleted, nested))

    def select(self, query: RunQuery) -> builtins.list[Run]:
        """What `list` returns."""

    def children(self) -> Mapping[str, int]:
        """How many runs are nested below each run that has any, by its id; deleted ones don't count."""

    def get(self, run: str) -> Run:
        """One run; NotFoundError names the nearest, or the candidates where it is ambiguous."""

    def set_tag(self, run_id: str, key: str, value: str) -> None: ...

    def set_note(self, run_id: str, text: str) -> None:
        """The description that MLflow's UI shows."""

    def rename(self, run_id: str, name: str) -> None: ...

    def delete(self, run_id: str) -> None:
        """Mark as deleted; `restore` brings it back."""

    def restore(self, run_id: str) -> None: ...

    def history(self, run_id: str, metric: str) -> Sequence[tuple[int, int, float]]:
        """(timestamp in ms, step, value) of each logged point, in the order of logging."""

    def artifacts(self, run_id: str) -> Sequence[str]:
        """Relative paths of the run's files; those of its logged models under the model's name."""

    def artifact_path(self, run_id: str, relative: str) -> Path:
        """Where one of `artifacts` is on this machine, of a moved project too; NotFoundError when gone."""

    def problems(self) -> Sequence[str]:
        """What is broken in the store, in words."""

    def repair(self) -> Sequence[str]:
        """Rewrite absolute paths that died with a move; returns what was mended."""


def check_key(key: str, kind: str) -> str:
    """The key of a tag or metric if MLflow would accept it; UsageError where it wouldn't.

    A key is also a path in a file store, so it must not lead out of its folder.
    """
    leads_away = posixpath.normpath(key) != key or key == "." or key.startswith(("..", "/"))
    if not _KEY.fullmatch(key) or leads_away:
        raise UsageError(
            f"{key!r} can't be the name of a {kind}", "Use letters, digits, _ - . : / and spaces only."
        )
    return key


def count_children(runs: Sequence[Run]) -> dict[str, int]:
    """How many of these runs are nested below each run, by its id."""
    return dict(Counter(run.tags[PARENT_TAG] for run in runs if PARENT_TAG in run.tags))


def without_nested(runs: Sequence[Run]) -> builtins.list[Run]:
    """These runs but for those below another one of them in the same experiment."""
    places = {(run.experiment_id, run.run_id) for run in runs}
    return [run for run in runs if (run.experiment_id, run.tags.get(PARENT_TAG, "")) not in places]
