"""The runs of a file store, kept in memory: to look again costs what has changed.

What shows a change of a run: the times of its folders, of `meta.yaml`, and of each metric and tag file, for a
new point or an overwritten tag touches only that file. Looking at all of them takes some 60 µs a run, so a
look covers every run of a small store; of a large one those that may well have changed and some of the rest.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path

from store.file_runs import FileRunStore
from store.filters import sort_runs
from store.run_files import ExperimentFolder, is_searchable, is_stray, read_run, run_folders
from store.runs import Run

RUNS_A_LOOK = 500
"""With a look each 2 s, a change nobody waits for in a store of 10,000 runs is seen within 40 s."""

_SETTLED_AFTER_NS = 2_000_000_000
"""A file changed within this before a look may change again within the same tick of its clock."""


@dataclass(frozen=True)
class _Seen:
    run: Run
    signature: Hashable
    is_settled: bool


class LiveRuns:
    """Looks at a file store again and again; not to be used by two threads at once."""

    def __init__(self, store: FileRunStore) -> None:
        self._store = store
        self._seen: dict[str, _Seen] = {}
        self._shown: dict[bool, tuple[Run, ...]] = {}
        self._next = 0

    def look(self, *, deleted: bool = False, watched: Collection[str] = ()) -> tuple[Run, ...]:
        """The runs as `RunStore.list` has them, newest first; the same tuple where nothing has changed.

        Of the runs with ids in `watched`, and of those that are running, every change is seen.
        """
        folders = {
            os.path.join(item.folder, name): item  # noqa: PTH118 - thousands of them at each look
            for item in self._store.experiment_folders()
            if item.problem is None
            for name in run_folders(item.folder)
        }
        changed = self._drop_missing(folders)
        due = self._due(list(folders), watched)
        for path, item in folders.items():
            seen = self._seen.get(path)
            if seen is None or path in due or seen.run.experiment != item.experiment.name:
                changed |= self._read(path, item, seen)
        if changed:
            self._shown.clear()
        if deleted not in self._shown:
            self._shown[deleted] = self._arranged(folders, deleted)
        return self._shown[deleted]

    def _drop_missing(self, folders: Collection[str]) -> bool:
        gone = [path for path in self._seen if path not in folders]
        for path in gone:
            del self._seen[path]
        return bool(gone)

    def _due(self, paths: list[str], watched: Collection[str]) -> set[str]:
        """The runs to be looked at: all, or those that count and a slice of the others."""
        if len(paths) <= RUNS_A_LOOK:
            return set(paths)
        start = self._next % len(paths)
        self._next = start + RUNS_A_LOOK
        due = {*paths[start : start + RUNS_A_LOOK], *paths[: max(0, start + RUNS_A_LOOK - len(paths))]}
        for path, seen in self._seen.items():
            if not seen.is_settled or seen.run.status == "RUNNING" or seen.run.run_id in watched:
                due.add(path)
        return due

    def _read(self, path: str, item: ExperimentFolder, before: _Seen | None) -> bool:
        """Read a run if its files say that it has changed; whether it has."""
        now = time.time_ns()
        newest, signature = _signature(path)
        is_same = before is not None and before.is_settled and before.signature == signature
        if is_same and before is not None and before.run.experiment == item.experiment.name:
            return False
        folder = Path(path)
        if before is None and is_stray(folder):
            return False
        run = read_run(folder, item.experiment)
        self._seen[path] = _Seen(run, signature, newest < now - _SETTLED_AFTER_NS)
        return before is None or before.run != run

    def _arranged(self, folders: dict[str, ExperimentFolder], deleted: bool) -> tuple[Run, ...]:
        stage = "deleted" if deleted else "active"
        runs = [
            seen.run
            for path, seen in self._seen.items()
            if seen.run.lifecycle_stage == stage
            and (deleted or folders[path].experiment.lifecycle_stage == "active")
        ]
        good = sort_runs([run for run in runs if is_searchable(run)], [])
        broken = sorted((run for run in runs if not is_searchable(run)), key=lambda run: run.run_id)
        return (*good, *broken)


def _signature(path: str) -> tuple[int, Hashable]:
    """The newest change of a run's files, and what differs when there is another."""
    times = list(_times(path))
    return max((when for _, when, _ in times), default=0), tuple(times)


def _times(path: str) -> Iterator[tuple[str, int, int]]:
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                status = entry.stat()
                yield entry.name, status.st_mtime_ns, status.st_size
                if entry.name in ("metrics", "tags", "params"):
                    yield from _times_within(entry.path)
    except OSError:
        return  # it is gone, or going


def _times_within(path: str) -> Iterator[tuple[str, int, int]]:
    with os.scandir(path) as entries:
        for entry in entries:
            status = entry.stat()
            yield entry.name, status.st_mtime_ns, status.st_size
            if entry.is_dir():
                yield from _times_within(entry.path)
