"""The runs of a file store, answered from an index that is kept in step with the files.

It costs what has changed, not what there is. The index is a cache: where it can't be used, the files are
read as they are.
"""

from __future__ import annotations

import builtins
import math
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from store.errors import BusyError, NotFoundError, StorageError
from store.file_runs import FileRunStore
from store.filters import parse_filter, parse_order, sort_runs
from store.index_experiments import stored_experiments
from store.index_file import discard_index
from store.index_hold import IndexHold
from store.index_mirror import Mirror
from store.index_query import broken_runs, children_by_parent, search_index
from store.index_rows import Span, load_runs, load_spans
from store.run_files import is_searchable
from store.run_lookup import SHORTEST_PREFIX, choose_run, nearest_hint
from store.runs import Experiment, Run, RunQuery

FRESH_FOR_S = 1.0
"""Lists that follow each other within this see the same files."""

LOOK_FOR_S = 1.0
"""While the index is built, a look returns after this what there is so far."""

_VISIBLE = 200

_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class Changes:
    """What changed after a revision: runs that are new or different by row, and rows that are gone."""

    revision: int
    runs: dict[int, Run]
    gone: frozenset[int]


class RunIndex(FileRunStore):
    """The RunStore of the folder `root`, with its index at `path`. Threads may share it."""

    def __init__(self, root: Path, path: Path) -> None:
        super().__init__(root)
        self._mirror = Mirror(root, path)
        self._lock = threading.RLock()
        self._all_seen_at = -math.inf
        self._looked_at = -math.inf
        self._held: dict[int, Run] = {}
        self._held_revision = (0, -1)
        self._shown: dict[bool, tuple[Run, ...]] = {}

    def close(self) -> None:
        with self._lock:
            self._mirror.hold.close()

    @property
    def is_complete(self) -> bool:
        """Whether every run has been read into the index; until then a look shows a part."""
        return self._guarded(lambda: self._mirror.hold.is_complete, lambda: True)

    @property
    def goes_round(self) -> bool:
        """Whether every run was looked at since the start, and further looks go on with the round of all."""
        return self._mirror.goes_round

    @property
    def progress(self) -> tuple[int, int] | None:
        """While the index is built: how many runs are read, and how many there are."""
        return None if self.is_complete else self._mirror.progress

    def tell_progress(self, told: Callable[[int, int], None]) -> None:
        """Have `told` called with that as it grows; it ends with both the same."""
        self._mirror.on_progress = told

    def experiments(self, *, deleted: bool = False) -> builtins.list[Experiment]:
        stage = "deleted" if deleted else "active"

        def answer() -> builtins.list[Experiment]:
            self._freshen(everything=False)
            found = stored_experiments(self._mirror.hold.connection).values()
            return sorted((item for item in found if item.lifecycle_stage == stage), key=lambda e: e.name)

        return self._guarded(answer, lambda: FileRunStore.experiments(self, deleted=deleted))

    def select(self, query: RunQuery) -> builtins.list[Run]:
        return self._guarded(
            lambda: self._select(query, fresh=True), lambda: FileRunStore.select(self, query)
        )

    def peek(self, **wanted: Any) -> builtins.list[Run]:
        """As `list`, of the same words, from what the index has now, without a look at the files."""
        query = RunQuery(**wanted)
        return self._guarded(
            lambda: self._select(query, fresh=False), lambda: FileRunStore.select(self, query)
        )

    def children(self) -> Mapping[str, int]:
        def answer() -> Mapping[str, int]:
            self._freshen(everything=False)
            return children_by_parent(self._mirror.hold.connection)

        return self._guarded(answer, lambda: FileRunStore.children(self))

    def look(self, *, deleted: bool = False, watched: Collection[str] = ()) -> tuple[Run, ...]:
        """The runs newest first, broken ones last; the same tuple where nothing has changed.

        To be asked each second or two: new and running runs and those with ids in `watched` are as the files
        are, any other change is seen within a minute. While `is_complete` is false there are more to come.
        """

        def answer() -> tuple[Run, ...]:
            self._mirror.look(watched, budget_s=LOOK_FOR_S)
            self._looked_at = time.monotonic()
            generation, revision = self._held_revision
            if generation != self._mirror.hold.generation:
                self._held.clear()
                revision = -1
            changes = self._changes_since(revision)
            if changes.revision != revision:
                for row in changes.gone:
                    self._held.pop(row, None)
                self._held.update(changes.runs)
                self._held_revision = (self._mirror.hold.generation, changes.revision)
                self._shown.clear()
            if deleted not in self._shown:
                self._shown[deleted] = self._arranged(deleted)
            return self._shown[deleted]

        return self._guarded(answer, lambda: tuple(FileRunStore.select(self, RunQuery(deleted=deleted))))

    def use(self, answer: Callable[[IndexHold], _Answer], otherwise: Callable[[], _Answer]) -> _Answer:
        """What `answer` finds in the file of the index; `otherwise` where it can't be used."""

        def ask() -> _Answer:
            self._mirror.hold.check_file()
            return answer(self._mirror.hold)

        return self._guarded(ask, otherwise)

    def changes_since(self, revision: int) -> Changes:
        """What the index has taken in since it was at `revision` (-1: everything)."""
        with self._lock:
            return self._changes_since(revision)

    def spans(self, run_id: str) -> dict[str, Span]:
        """Lowest and highest value and number of points of each metric of a run."""

        def answer() -> dict[str, Span]:
            self._mirror.look((run_id,))
            rows = self._mirror.hold.connection.execute("SELECT id FROM runs WHERE run_id = ?", (run_id,))
            found = rows.fetchone()
            return load_spans(self._mirror.hold.connection, found[0]) if found else {}

        return self._guarded(answer, dict)

    def set_tag(self, run_id: str, key: str, value: str) -> None:
        super().set_tag(run_id, key, value)
        self._written(run_id)

    def delete(self, run_id: str) -> None:
        super().delete(run_id)
        self._written(run_id)

    def finish(self, run_id: str, status: str) -> None:
        super().finish(run_id, status)
        self._written(run_id)

    def restore(self, run_id: str) -> None:
        super().restore(run_id)
        self._written(run_id)

    def repair(self) -> builtins.list[str]:
        mended = super().repair()
        self._all_seen_at = -math.inf
        return mended

    def _select(self, query: RunQuery, *, fresh: bool) -> builtins.list[Run]:
        clauses = parse_filter(query.filter)
        orders = [parse_order(order) for order in query.order_by]
        is_whole = self._freshen(everything=True) if fresh else True
        stage, limit = "deleted" if query.deleted else "active", query.limit

        def search() -> dict[int, Run]:
            connection = self._mirror.hold.connection
            chosen = self._chosen_rows(query.experiment, deleted=query.deleted)
            rows = search_index(
                connection,
                stage=stage,
                experiments=chosen,
                clauses=clauses,
                orders=orders,
                limit=limit,
                nested=query.nested,
            )
            if not clauses and (limit is None or len(rows) < limit):
                rows += broken_runs(connection, stage=stage, experiments=chosen)
            return load_runs(connection, rows if limit is None else rows[:limit])

        found = search()
        if not is_whole and len(found) <= _VISIBLE:
            before = self._mirror.hold.revision
            self._mirror.look([run.run_id for run in found.values()])
            if self._mirror.hold.revision != before:
                found = search()
        return [*found.values()]

    def _chosen_rows(self, asked: str | None, *, deleted: bool) -> builtins.list[int]:
        found = stored_experiments(self._mirror.hold.connection)
        if asked is None:
            return [row for row, item in found.items() if deleted or item.lifecycle_stage == "active"]
        chosen = [row for row, item in found.items() if asked in (item.name, item.experiment_id)]
        if not chosen:
            names = [item.name for item in found.values()]
            raise NotFoundError(f"no experiment {asked!r}", nearest_hint(asked, names))
        return chosen

    def _freshen(self, *, everything: bool) -> bool:
        """Look at the files; whether all of them were looked at just now.

        While `look` goes round, it is enough to look at what is new, running or shown.
        """
        if self.root.exists() and not self.root.is_dir():
            self.experiment_folders()  # says what is wrong
        self._mirror.hold.check_file()
        now = time.monotonic()
        if now - self._all_seen_at < FRESH_FOR_S or (not everything and now - self._looked_at < FRESH_FOR_S):
            return True
        is_whole = everything and not self._mirror.goes_round
        self._mirror.look(everything=is_whole)
        self._looked_at = time.monotonic()
        if is_whole:
            self._all_seen_at = self._looked_at
        return is_whole

    def _changes_since(self, revision: int) -> Changes:
        connection = self._mirror.hold.connection
        connection.execute("BEGIN")
        try:
            current = self._mirror.hold.revision
            if current == revision:
                return Changes(current, {}, frozenset())
            changed = connection.execute("SELECT id FROM runs WHERE revision > ? ORDER BY id", (revision,))
            runs = load_runs(connection, [row for (row,) in changed])
            rows = connection.execute("SELECT run FROM gone WHERE revision > ?", (revision,))
            gone = frozenset(row for (row,) in rows if row not in runs)
            return Changes(current, runs, gone)
        finally:
            connection.execute("COMMIT")

    def _arranged(self, deleted: bool) -> tuple[Run, ...]:
        found = stored_experiments(self._mirror.hold.connection).values()
        listed = {item.experiment_id for item in found if deleted or item.lifecycle_stage == "active"}
        stage = "deleted" if deleted else "active"
        runs = [r for r in self._held.values() if r.lifecycle_stage == stage and r.experiment_id in listed]
        good = sort_runs((run for run in runs if is_searchable(run)), [])
        broken = sorted((run for run in runs if not is_searchable(run)), key=lambda run: run.run_id)
        return (*good, *broken)

    def _search(self, asked: str) -> Path:
        return self._guarded(lambda: self._search_index(asked), lambda: self._search_files(asked))

    def _search_files(self, asked: str) -> Path:
        return super()._search(asked)

    def _search_index(self, asked: str) -> Path:
        is_prefix = len(asked) >= SHORTEST_PREFIX and asked.isalnum()
        self._freshen(everything=False)
        query = """SELECT r.run_id, r.name, e.folder FROM runs r JOIN experiments e ON e.id = r.experiment
            WHERE e.problem IS NULL"""
        if is_prefix:
            rows = self._mirror.hold.connection.execute(
                f"{query} AND r.run_id >= ? AND r.run_id < ? || 'g'", (asked.lower(), asked.lower())
            ).fetchall()
            if len(rows) == 1:
                return Path(self.root, rows[0][2], rows[0][0])
        self._freshen(everything=True)
        rows = self._mirror.hold.connection.execute(query).fetchall()
        folders = {run_id: Path(self.root, folder, run_id) for run_id, _, folder in rows}
        return folders[choose_run(asked, [(run_id, name) for run_id, name, _ in rows])]

    def _written(self, run_id: str) -> None:
        def answer() -> None:
            folder, _ = self._find(run_id)
            self._mirror.take(folder)

        self._guarded(answer, lambda: None)

    def _guarded(self, answer: Callable[[], _Answer], otherwise: Callable[[], _Answer]) -> _Answer:
        """The answer of the index; of one made anew where it is damaged; of the files where there is none."""
        with self._lock:
            for attempt in range(2):
                try:
                    return answer()
                except sqlite3.DatabaseError as error:
                    self._mirror.hold.close()
                    if isinstance(error, sqlite3.OperationalError) or attempt:
                        break  # locked, or no space on the disk
                    discard_index(self._mirror.hold.path)
                except (BusyError, StorageError):
                    break
        return otherwise()
