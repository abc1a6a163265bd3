"""Keeps the run index in step with the files: looks for what has changed, and reads that alone.

Experiments' folders, running and broken runs and the visible ones are looked at each time; of the others a
slice, so that a change nobody waits for is seen within a minute. A run is read while the index is locked for
writing, so what was read last is what stays, whichever process read it.
"""

from __future__ import annotations

import heapq
import math
import os
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from store.index_experiments import forget_experiment, look_at_experiments, store_experiment
from store.index_hold import IndexHold
from store.index_rows import (
    forget_runs,
    is_as_stored,
    is_unicode,
    keep_names,
    load_names,
    read_for_index,
    store_run,
)
from store.run_files import ExperimentFolder, is_stray, read_experiment, run_folders
from store.run_look import Look, look_again, look_at_run

CYCLE_S = 57.0
"""In which every run is looked at: with a look each two seconds, within a minute."""

FIRST_LOOKS = 8
"""In so many looks after the start every run is looked at once: who knows how long nobody did."""

WATCHED_AT_MOST = 200
"""Of running and broken runs; those that changed last. A crash leaves runs that stay RUNNING for ever."""

ALL_AT_ONCE = 100
"""Of a store with so few runs every one is looked at each time."""

_PARAMS_EVERY = 5
"""Looks and rounds that include the files of parameters, a third of all: MLflow never changes one.

A look at everything includes them where no other has within the last `CYCLE_S`, in whatever process.
"""

_LOCKED_FOR_S = 0.25
_NEWEST_FIRST_FROM = 500
_RUNNING = frozenset(("RUNNING", "SCHEDULED", "UNKNOWN"))

Key = tuple[str, str]
"""The experiment's folder within the store, and the run's folder in it."""


@dataclass(slots=True)
class _Known:
    row: int
    signature: int
    params: int
    changed_ns: int
    is_settled: bool
    is_watched: bool
    names: tuple[str, ...] = ()

    def is_same(self, look: Look) -> bool:
        same = self.is_settled and self.signature == look.signature
        return same and (look.params is None or look.params == self.params)


@dataclass(slots=True)
class _Listed:
    """An experiment as it was when its folder was last listed."""

    row: int
    item: ExperimentFolder
    look: Look
    is_settled: bool
    names: set[str]


class Mirror:
    """Keeps the index at `path` of the store at `root` in step; not for two threads at once."""

    def __init__(self, root: Path, path: Path) -> None:
        self.root = root
        self.hold = IndexHold(root, path)
        self.on_progress: Callable[[int, int], None] | None = None
        """Told, while the index is built, how many runs are read and how many there are."""

        self._root = str(root)
        self._known: dict[str, dict[str, _Known]] = {}
        self._listed: dict[str, _Listed] = {}
        self._names: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._strays: set[Key] = set()
        self._pending: dict[Key, None] = {}
        self._loaded = 0
        self._is_unverified = False
        self._looks = 0
        self._slices: Iterator[Key] = iter(())
        self._cycle = -1
        self._last_slice = 0.0

    def look(
        self,
        visible: Collection[str] = (),
        *,
        everything: bool = False,
        budget_s: float = math.inf,
    ) -> None:
        """Look for changes and take them in; of the runs with ids in `visible` none is missed.

        What takes longer than `budget_s` is left to the next look.
        """
        until = time.monotonic() + budget_s
        self.hold.check_file()
        was_complete = self.hold.is_complete
        self._load()
        self._look_at_experiments()
        if self._is_unverified:
            self._pending.update(dict.fromkeys(self._keys()))
            self._is_unverified = False
        due = dict.fromkeys(self._watched(visible))
        is_small = sum(map(len, self._known.values())) <= ALL_AT_ONCE
        if everything or is_small:
            due = dict.fromkeys(self._keys())
        self._looks += 1
        started_s = time.time()
        deep = self._looks % _PARAMS_EVERY == 0
        if everything:
            deep = is_small or not 0 <= started_s - self.hold.params_looked_at < CYCLE_S
        changed = dict.fromkeys(key for key in due if self._has_changed(key, with_params=deep))
        if not everything and was_complete:
            for key in self._slice():
                with_params = self._cycle % _PARAMS_EVERY == 0
                if key not in due and self._has_changed(key, with_params=with_params):
                    changed[key] = None
        grown = [key for key in self._strays if not is_stray(Path(self.folder(key)))]
        told = None if was_complete else self.on_progress
        self._take([*changed, *grown], math.inf if was_complete else until)
        self._take([key for key in self._pending if key not in changed], until, told)
        if everything and deep and not is_small:
            with self.hold.writing():
                self.hold.params_looked_at = started_s
        if not was_complete and not self._pending:
            with self.hold.writing() as connection:
                connection.execute("UPDATE meta SET value = 1 WHERE key = 'is_complete'")

    def take(self, folder: Path) -> None:
        """Take in one run whose folder was just written to."""
        self.hold.check_file()
        if not self.hold.path.exists():
            return
        self._load()
        experiment = folder.parent.relative_to(self.root).as_posix()
        if experiment not in self._listed:
            self._look_at_experiments()
        self._take([(experiment, folder.name)], math.inf)

    def folder(self, key: Key) -> str:
        return f"{self._root}/{key[0]}/{key[1]}"

    @property
    def progress(self) -> tuple[int, int]:
        """How many runs are read, and how many there are."""
        total = sum(len(listed.names) for listed in self._listed.values())
        return total - len(self._pending), total

    @property
    def goes_round(self) -> bool:
        """Whether every run was looked at once, and the rounds go on."""
        return self._cycle >= 1 and time.monotonic() - self._last_slice < CYCLE_S

    def _load(self) -> None:
        """What the index knows already."""
        connection = self.hold.connection
        if self._loaded == self.hold.generation:
            return
        self._loaded = self.hold.generation
        self._known, self._listed, self._pending = {}, {}, {}
        self._is_unverified = not self.hold.is_complete
        names = load_names(connection)
        self._names = {looked_at: looked_at for looked_at in names.values()}
        rows = connection.execute(
            """SELECT e.folder, r.run_id, r.id, r.signature, r.params_signature, r.changed_ns, r.is_settled,
                r.status, r.problem, r.looked_at FROM runs r JOIN experiments e ON e.id = r.experiment"""
        )
        for folder, name, row, signature, params, changed_ns, is_settled, status, problem, looked_at in rows:
            is_watched = status in _RUNNING or problem is not None
            known = _Known(row, signature, params, changed_ns, bool(is_settled), is_watched, names[looked_at])
            self._known.setdefault(folder, {})[name] = known

    def _keys(self) -> Iterator[Key]:
        for folder, listed in self._listed.items():
            known = self._known.get(folder, {})
            for name in listed.names:
                if name in known:
                    yield folder, name

    def _watched(self, visible: Collection[str]) -> Iterator[Key]:
        watched: list[tuple[int, Key]] = []
        for folder, runs in self._known.items():
            if folder in self._listed:
                for name, known in runs.items():
                    if not known.is_settled:
                        yield folder, name
                    elif known.is_watched:
                        watched.append((known.changed_ns, (folder, name)))
                for name in visible:
                    if name in runs:
                        yield folder, name
        for _, key in heapq.nlargest(WATCHED_AT_MOST, watched):
            yield key

    def _slice(self) -> Iterator[Key]:
        """The next runs in the round of all of them, as many as the time since the last look asks for."""
        now = time.monotonic()
        total = sum(map(len, self._known.values()))
        share = 1 / FIRST_LOOKS if self._cycle < 1 else (now - self._last_slice) / CYCLE_S
        self._last_slice = now
        for _ in range(min(total, math.ceil(total * share))):
            key = next(self._slices, None)
            if key is None:
                self._cycle += 1
                self._slices = iter(list(self._keys()))
                key = next(self._slices, None)
                if key is None:
                    return
            yield key

    def _has_changed(self, key: Key, *, with_params: bool) -> bool:
        known = self._known.get(key[0], {}).get(key[1])
        if known is None:
            return False
        if known.names and known.is_settled and not with_params:
            return look_again(self.folder(key), known.names) != known.signature
        look = look_at_run(self.folder(key), with_params=with_params)
        if look is None or not known.is_same(look):
            return True
        known.names = self._names.setdefault(look.names, look.names)  # most runs have the same
        return False

    def _look_at_experiments(self) -> None:
        seen = look_at_experiments(self._root)
        for folder, look in seen.items():
            before = self._listed.get(folder)
            if before is None or not before.is_settled or before.look.signature != look.signature:
                self._list(folder, look)
        stored = {folder for (folder,) in self.hold.connection.execute("SELECT folder FROM experiments")}
        for folder in (stored | self._listed.keys()) - seen.keys():
            self._listed.pop(folder, None)
            self._known.pop(folder, None)
            forget_experiment(self.hold, folder)

    def _list(self, folder: str, look: Look) -> None:
        """Read an experiment's own files and list its runs; new ones become pending, gone ones forgotten."""
        now = time.time_ns()
        path = Path(self._root, folder)
        item = read_experiment(path)
        row = store_experiment(self.hold, folder, item)
        names = {name for name in run_folders(path) if is_unicode(name)} if item.problem is None else set()
        self._listed[folder] = _Listed(row, item, look, look.is_settled(now), names)
        known = self._known.setdefault(folder, {})
        if item.problem is not None:
            return
        rows = self.hold.connection.execute("SELECT run_id, id FROM runs WHERE experiment = ?", (row,))
        gone = {name: run for name, run in rows if name not in names}
        for name in known.keys() - names:
            del known[name]
        if gone:
            with self.hold.writing() as connection:
                forget_runs(connection, list(gone.values()), self.hold.next_revision())
        new: Iterable[str] = names - known.keys()
        if len(names) - len(known) >= _NEWEST_FIRST_FROM:
            new = sorted(new, key=lambda name: _changed_ns(f"{self._root}/{folder}/{name}"), reverse=True)
        self._pending.update(dict.fromkeys((folder, name) for name in new))

    def _take(
        self, keys: Collection[Key], until: float, told: Callable[[int, int], None] | None = None
    ) -> None:
        """Read what has changed of these runs, in transactions short enough for others to get between."""
        remaining = iter(keys)
        key = next(remaining, None)
        while key is not None and time.monotonic() < until:
            release_at = time.monotonic() + _LOCKED_FOR_S
            with self.hold.writing() as connection:
                revision: int | None = None
                while key is not None and time.monotonic() < release_at:
                    listed = self._listed.get(key[0])
                    if listed is not None and listed.item.problem is None:
                        revision = self._take_one(connection, key, listed, revision)
                    self._pending.pop(key, None)
                    key = next(remaining, None)
            if told is not None:
                told(*self.progress)

    def _take_one(
        self, connection: sqlite3.Connection, key: Key, listed: _Listed, revision: int | None
    ) -> int | None:
        """Returns the revision of this transaction, if it has one yet."""
        path, name = self.folder(key), key[1]
        known = self._known.setdefault(key[0], {})
        now = time.time_ns()
        look = look_at_run(path)
        stored = connection.execute(
            """SELECT id, signature, params_signature, changed_ns, is_settled, status, problem FROM runs
                WHERE experiment = ? AND run_id = ?""",
            (listed.row, name),
        ).fetchone()
        if look is None:
            known.pop(name, None)
            self._strays.discard(key)
            if stored:
                revision = revision or self.hold.next_revision()
                forget_runs(connection, [stored[0]], revision)
            return revision
        if stored:
            is_watched = stored[5] in _RUNNING or stored[6] is not None
            row, signature, params, changed_ns, was_settled = stored[:5]
            entry = _Known(row, signature, params, changed_ns, bool(was_settled), is_watched)
            if entry.is_same(look):
                known[name] = entry
                return revision
        folder = Path(path)
        if not stored and is_stray(folder):
            self._strays.add(key)  # perhaps a run that is just being made
            return revision
        self._strays.discard(key)
        read = read_for_index(folder, listed.item.experiment)
        is_settled = look.is_settled(now)
        if stored and is_as_stored(connection, stored[0], read):
            connection.execute(
                """UPDATE runs SET signature = ?, params_signature = ?, changed_ns = ?, is_settled = ?,
                    looked_at = ? WHERE id = ?""",
                (
                    *(look.signature, look.params, look.changed_ns, is_settled),
                    *(keep_names(connection, look.names), stored[0]),
                ),
            )
        else:
            revision = revision or self.hold.next_revision()
            row = store_run(
                connection, read, look, experiment=listed.row, is_settled=is_settled, revision=revision
            )
        is_watched = read.run.status in _RUNNING or read.run.problem is not None
        row = stored[0] if stored else row
        known[name] = _Known(row, look.signature, look.params or 0, look.changed_ns, is_settled, is_watched)
        return revision


def _changed_ns(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116
    except OSError:
        return 0
