"""Keeps the run index in step with the files: looks for what has changed, and reads that alone.

Experiments' folders, running and broken runs and the visible ones are looked at each time; of the others a
slice, so that a change nobody waits for is seen within a minute. A run is read while the index is locked for
writing, so what was read last is what stays, whichever process read it.
"""

from __future__ import annotations

import heapq
import json
import math
import os
import sqlite3
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from store.index_file import is_same_file, open_index
from store.index_rows import forget_runs, is_as_stored, read_for_index, store_run
from store.mlflow_files import from_ms, to_ms
from store.run_files import ExperimentFolder, is_stray, read_experiment, run_folders
from store.run_look import Look, look_at_experiment, look_at_run
from store.runs import Experiment

TRASH = ".trash"
NO_EXPERIMENTS = frozenset(("models", TRASH))
CYCLE_S = 57.0
"""In which every run is looked at: with a look each two seconds, within a minute."""

FIRST_LOOKS = 8
"""In so many looks after the start every run is looked at once: who knows how long nobody did."""

WATCHED_AT_MOST = 200
"""Of running and broken runs; those that changed last. A crash leaves runs that stay RUNNING for ever."""

ALL_AT_ONCE = 100
"""Of a store with so few runs every one is looked at each time."""

_PARAMS_EVERY = 5
"""Looks and rounds that include the files of parameters, a third of all: MLflow never changes one."""

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
    """One process's hold on the index at `path` of the store at `root`; not for two threads at once."""

    def __init__(self, root: Path, path: Path) -> None:
        self.root = root
        self.path = path
        self._root = str(root)
        self._open: sqlite3.Connection | None = None
        self._inode = 0
        self._known: dict[str, dict[str, _Known]] = {}
        self._listed: dict[str, _Listed] = {}
        self._strays: set[Key] = set()
        self._pending: dict[Key, None] = {}
        self._is_loaded = False
        self._is_unverified = False
        self._looks = 0
        self._slices: Iterator[Key] = iter(())
        self._cycle = -1
        self._last_slice = 0.0
        self.generation = 0
        """Grows when the index had to be opened anew: its rows may be others."""

    @property
    def connection(self) -> sqlite3.Connection:
        """The index, opened when first asked for."""
        if self._open is None:
            self._open = open_index(self.path, self.root)
            self._inode = os.stat(self.path).st_ino  # noqa: PTH116
            self.generation += 1
            self._is_loaded = False
        return self._open

    def check_file(self) -> None:
        """Leave an index that somebody has deleted; the next use opens the one there is."""
        if self._open is not None and not is_same_file(self.path, self._inode):
            self.close()

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    @property
    def revision(self) -> int:
        """Grows with each change of what the index has."""
        return int(self._meta("revision"))

    @property
    def is_complete(self) -> bool:
        """Whether every run has been read once."""
        return bool(self._meta("is_complete"))

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
        self.check_file()
        was_complete = self.is_complete
        self._load()
        self._look_at_experiments()
        if self._is_unverified:
            self._pending.update(dict.fromkeys(self._keys()))
            self._is_unverified = False
        due = dict.fromkeys(self._watched(visible))
        if everything or sum(map(len, self._known.values())) <= ALL_AT_ONCE:
            due = dict.fromkeys(self._keys())
        self._looks += 1
        deep = everything or self._looks % _PARAMS_EVERY == 0
        changed = dict.fromkeys(key for key in due if self._has_changed(key, with_params=deep))
        if not everything and was_complete:
            for key in self._slice():
                with_params = self._cycle % _PARAMS_EVERY == 0
                if key not in due and self._has_changed(key, with_params=with_params):
                    changed[key] = None
        grown = [key for key in self._strays if not is_stray(Path(self.folder(key)))]
        self._take([*changed, *grown], math.inf if was_complete else until)
        self._take([key for key in self._pending if key not in changed], until)
        if not was_complete and not self._pending:
            with self._writing() as connection:
                connection.execute("UPDATE meta SET value = 1 WHERE key = 'is_complete'")

    def take(self, folder: Path) -> None:
        """Take in one run whose folder was just written to."""
        self.check_file()
        if not self.path.exists():
            return
        _ = self.connection
        self._load()
        experiment = folder.parent.relative_to(self.root).as_posix()
        if experiment not in self._listed:
            self._look_at_experiments()
        self._take([(experiment, folder.name)], math.inf)

    def folder(self, key: Key) -> str:
        return f"{self._root}/{key[0]}/{key[1]}"

    @property
    def goes_round(self) -> bool:
        """Whether every run was looked at once, and the rounds go on."""
        return self._cycle >= 1 and time.monotonic() - self._last_slice < CYCLE_S

    def _meta(self, key: str) -> int:
        row = self.connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return int(row[0])

    def _load(self) -> None:
        """What the index knows already."""
        if self._is_loaded:
            return
        self._is_loaded = True
        self._known, self._listed, self._pending = {}, {}, {}
        self._is_unverified = not self.is_complete
        rows = self.connection.execute(
            """SELECT e.folder, r.run_id, r.id, r.signature, r.params_signature, r.changed_ns, r.is_settled,
                r.status, r.problem FROM runs r JOIN experiments e ON e.id = r.experiment"""
        )
        for folder, name, row, signature, params, changed_ns, is_settled, status, problem in rows:
            is_watched = status in _RUNNING or problem is not None
            known = _Known(row, signature, params, changed_ns, bool(is_settled), is_watched)
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
        look = look_at_run(self.folder(key), with_params=with_params)
        return look is None or not known.is_same(look)

    def _look_at_experiments(self) -> None:
        seen: dict[str, Look] = {}
        for prefix in ("", f"{TRASH}/"):
            try:
                with os.scandir(f"{self._root}/{prefix}") as entries:
                    names = [entry.name for entry in entries if entry.is_dir()]
            except (FileNotFoundError, NotADirectoryError):
                continue
            for name in names:
                if name not in NO_EXPERIMENTS:
                    look = look_at_experiment(f"{self._root}/{prefix}{name}")
                    if look is not None:
                        seen[prefix + name] = look
        for folder, look in seen.items():
            before = self._listed.get(folder)
            if before is None or not before.is_settled or before.look.signature != look.signature:
                self._list(folder, look)
        stored = {folder for (folder,) in self.connection.execute("SELECT folder FROM experiments")}
        for folder in (stored | self._listed.keys()) - seen.keys():
            self._forget_experiment(folder)

    def _list(self, folder: str, look: Look) -> None:
        """Read an experiment's own files and list its runs; new ones become pending, gone ones forgotten."""
        now = time.time_ns()
        path = Path(self._root, folder)
        item = read_experiment(path)
        row = self._store_experiment(folder, item)
        names = set(run_folders(path)) if item.problem is None else set()
        self._listed[folder] = _Listed(row, item, look, look.is_settled(now), names)
        known = self._known.setdefault(folder, {})
        if item.problem is not None:
            return
        rows = self.connection.execute("SELECT run_id, id FROM runs WHERE experiment = ?", (row,))
        gone = {name: run for name, run in rows if name not in names}
        for name in known.keys() - names:
            del known[name]
        if gone:
            with self._writing() as connection:
                forget_runs(connection, list(gone.values()), self._next_revision())
        new: Iterable[str] = names - known.keys()
        if len(names) - len(known) >= _NEWEST_FIRST_FROM:
            new = sorted(new, key=lambda name: _changed_ns(f"{self._root}/{folder}/{name}"), reverse=True)
        self._pending.update(dict.fromkeys((folder, name) for name in new))

    def _store_experiment(self, folder: str, item: ExperimentFolder) -> int:
        about = item.experiment
        inode = os.stat(item.folder).st_ino  # noqa: PTH116
        tags = json.dumps(dict(about.tags), ensure_ascii=True)
        created_ms = to_ms(about.created_at) if about.created_at else None
        row = (
            folder, inode, about.experiment_id, about.name, about.lifecycle_stage, about.artifact_location,
            created_ms, tags, item.problem,
        )  # fmt: skip
        columns = (
            """folder, inode, experiment_id, name, stage, artifact_location, created_ms, tags, problem"""
        )
        query = f"SELECT id, {columns} FROM experiments WHERE folder = ?"
        stored = self.connection.execute(query, (folder,)).fetchone()
        if stored is not None and stored[1:] == row:
            return int(stored[0])
        with self._writing() as connection:
            self._follow_move(connection, folder, inode)
            connection.execute(
                f"""INSERT INTO experiments ({columns}) VALUES ({",".join("?" * len(row))})
                ON CONFLICT (folder) DO UPDATE SET inode = excluded.inode, name = excluded.name,
                experiment_id = excluded.experiment_id, stage = excluded.stage, tags = excluded.tags,
                artifact_location = excluded.artifact_location, created_ms = excluded.created_ms,
                problem = excluded.problem""",
                row,
            )
            found = connection.execute("SELECT id FROM experiments WHERE folder = ?", (folder,)).fetchone()
            connection.execute(
                "UPDATE runs SET revision = ? WHERE experiment = ?", (self._next_revision(), found[0])
            )
        return int(found[0])

    def _follow_move(self, connection: sqlite3.Connection, folder: str, inode: int) -> None:
        """An experiment that went to the trash, or came back, is the same folder under another name."""
        name = folder.rpartition("/")[2]
        former = folder.removeprefix(f"{TRASH}/") if "/" in folder else f"{TRASH}/{name}"
        is_there = (self.root / former).exists()
        if is_there or connection.execute("SELECT 1 FROM experiments WHERE folder = ?", (folder,)).fetchone():
            return
        query = "UPDATE experiments SET folder = ? WHERE folder = ? AND inode = ?"
        if connection.execute(query, (folder, former, inode)).rowcount and former in self._known:
            self._known[folder] = self._known.pop(former)
            self._listed.pop(former, None)

    def _forget_experiment(self, folder: str) -> None:
        self._listed.pop(folder, None)
        self._known.pop(folder, None)
        with self._writing() as connection:
            found = connection.execute("SELECT id FROM experiments WHERE folder = ?", (folder,)).fetchone()
            if found:
                runs = connection.execute("SELECT id FROM runs WHERE experiment = ?", found).fetchall()
                forget_runs(connection, [run for (run,) in runs], self._next_revision())
                connection.execute("DELETE FROM experiments WHERE id = ?", found)

    def _take(self, keys: Collection[Key], until: float) -> None:
        """Read what has changed of these runs, in transactions short enough for others to get between."""
        remaining = iter(keys)
        key = next(remaining, None)
        while key is not None and time.monotonic() < until:
            release_at = time.monotonic() + _LOCKED_FOR_S
            with self._writing() as connection:
                revision: int | None = None
                while key is not None and time.monotonic() < release_at:
                    listed = self._listed.get(key[0])
                    if listed is not None and listed.item.problem is None:
                        revision = self._take_one(connection, key, listed, revision)
                    self._pending.pop(key, None)
                    key = next(remaining, None)

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
                revision = revision or self._next_revision()
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
                """UPDATE runs SET signature = ?, params_signature = ?, changed_ns = ?, is_settled = ?
                    WHERE id = ?""",
                (look.signature, look.params, look.changed_ns, is_settled, stored[0]),
            )
        else:
            revision = revision or self._next_revision()
            row = store_run(
                connection, read, look, experiment=listed.row, is_settled=is_settled, revision=revision
            )
        is_watched = read.run.status in _RUNNING or read.run.problem is not None
        row = stored[0] if stored else row
        known[name] = _Known(row, look.signature, look.params or 0, look.changed_ns, is_settled, is_watched)
        return revision

    def _next_revision(self) -> int:
        self.connection.execute("UPDATE meta SET value = value + 1 WHERE key = 'revision'")
        return self.revision

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        connection = self.connection
        connection.execute("BEGIN IMMEDIATE")
        with connection:
            yield connection


def stored_experiments(connection: sqlite3.Connection) -> dict[int, Experiment]:
    """Row ids and experiments, those left out whose `meta.yaml` can't be read."""
    rows = connection.execute(
        """SELECT id, experiment_id, name, stage, artifact_location, created_ms, tags FROM experiments
            WHERE problem IS NULL"""
    )
    return {
        row: Experiment(experiment_id, name, stage, location, from_ms(created_ms), json.loads(tags))
        for row, experiment_id, name, stage, location, created_ms, tags in rows
    }


def _changed_ns(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116
    except OSError:
        return 0
