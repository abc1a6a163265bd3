"""A project in one file, taken while everything runs: the runs and registry, the log, and the state."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import sqlite3
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from store.database import HeldError, reading
from store.errors import BusyError, DataError, NotFoundError, StorageError, UsageError
from store.layout import SETTINGS_FILE, Layout
from store.locks import lock_holder, locked
from store.segments import list_segments, lock_if_complete

FORMAT = 1
MANIFEST = "manifest.json"
_LEFT_OUT = {"run", "index.sqlite", "index.sqlite-wal", "index.sqlite-shm"}
"""Locks, pids and a cache."""


@dataclass
class BackupReport:
    """What went into a backup, or came out of one."""

    files: int = 0
    bytes: int = 0
    aside: list[Path] = field(default_factory=list)
    """What was there before a restore, and is kept."""


def back_up(layout: Layout, runs: Path | None, target: Path) -> BackupReport:
    """Write runs (a file store's folder), settings and state to `target`, a compressed tar file.

    Processes may go on writing: SQLite is copied by its own means, the DuckDB file and the spool under the
    fold's lock, and of a growing file what it had. Raises BusyError where another program has the DuckDB
    file open to write.
    """
    partial = target.with_name(target.name + ".part")
    report = BackupReport()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(partial, "w:gz", compresslevel=1) as archive:
            writer = _Writer(archive, report)
            settings = layout.root / SETTINGS_FILE
            if settings.exists():
                writer.add(settings, SETTINGS_FILE)
            if runs is not None:
                for path in _files(runs):
                    writer.add(path, f"runs/{path.relative_to(runs).as_posix()}")
            _add_state(layout, writer)
            writer.finish()
        partial.replace(target)
    except OSError as error:
        raise StorageError(f"cannot write {target}: {error.strerror}", "Free the disk.") from error
    finally:
        partial.unlink(missing_ok=True)
    return report


def restore(file: Path, layout: Layout, runs: Path | None, *, overwrite: bool = False) -> BackupReport:
    """Put a backup's runs, settings and state in place; what was there is kept beside it.

    Every file's hash is checked before anything is touched. Raises UsageError where something is there and
    `overwrite` isn't given, BusyError while a server runs, DataError for a file that is no whole backup.
    """
    places = {"state": layout.state, SETTINGS_FILE: layout.root / SETTINGS_FILE}
    if runs is not None:
        places["runs"] = runs
    _refuse_while_in_use(layout)
    in_the_way = [place for place in places.values() if _is_there(place)]
    if in_the_way and not overwrite:
        raise UsageError(
            f"{in_the_way[0]} is there already",
            "Give --yes to put the backup in its place; what is there is kept beside it.",
        )
    report = BackupReport()
    layout.root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=layout.root, prefix=".restore-") as folder:
        extracted = Path(folder)
        _extract(file, extracted, report)
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        try:
            for part, place in places.items():
                if not (extracted / part).exists():
                    continue
                if _is_there(place):
                    kept = place.with_name(f"{place.name}.before-{stamp}")
                    place.replace(kept)
                    report.aside.append(kept)
                elif place.is_dir():
                    place.rmdir()
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.move(extracted / part, place)
        except OSError as error:
            raise StorageError(
                f"cannot put {file} in place: {error}", "Free the disk and try again."
            ) from error
    return report


def _refuse_while_in_use(layout: Layout) -> None:
    for lock in ("server.lock", "watch.lock", "fold.lock"):
        holder = lock_holder(layout.run / lock)
        if holder is not None:
            who = f"process {holder.get('pid')} is {holder.get('what')}"
            raise BusyError(
                f"the project at {layout.root} is in use: {who}", "Stop its server or watcher first."
            )
    for segment in list_segments(layout.spool):
        descriptor = lock_if_complete(segment)
        if descriptor is None and segment.exists():
            raise BusyError(
                f"a process writes the prediction log of {layout.root} ({segment.name})", "Stop it first."
            )
        if descriptor is not None:
            os.close(descriptor)


def _add_state(layout: Layout, writer: _Writer) -> None:
    state = layout.state
    log_parts = (layout.predictions.name, layout.spool.name, layout.archive.name)
    if state.is_dir():
        with locked(layout.run / "fold.lock", what="backing up the prediction log", timeout_s=30.0):
            _add_database(layout, writer)
            for part in log_parts[1:]:
                for path in _files(state / part):
                    writer.add(path, f"state/{path.relative_to(state).as_posix()}")
    for path in _files(state):
        relative = path.relative_to(state)
        if relative.parts[0] in _LEFT_OUT or relative.parts[0] in log_parts:
            continue
        name = f"state/{relative.as_posix()}"
        if path.suffix == ".sqlite":
            with tempfile.TemporaryDirectory() as folder:
                copy = Path(folder) / path.name
                with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
                    source.backup(target)
                writer.add(copy, name)
        elif not path.name.endswith((".sqlite-wal", ".sqlite-shm", ".duckdb.wal")):
            writer.add(path, name)


def _add_database(layout: Layout, writer: _Writer) -> None:
    """The DuckDB file as one state of it: nobody of ours writes under the fold's lock."""
    if not layout.predictions.exists():
        return
    for _ in range(10):
        with reading(layout, own=True) as (_connection, held):
            if held:
                raise HeldError(held, "Close it there: a copy of a file that changes is worth nothing.")
        before = layout.predictions.stat()
        with tempfile.TemporaryDirectory(dir=layout.run) as folder:
            copy = Path(folder) / layout.predictions.name
            shutil.copyfile(layout.predictions, copy)
            after = layout.predictions.stat()
            if (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, after.st_size):
                writer.add(copy, f"state/{layout.predictions.name}")
                return
        time.sleep(0.2)
    raise BusyError(f"{layout.predictions} keeps changing", "End what writes to it, then try again.")


class _Writer:
    """Adds files as they are at one moment, and notes their hashes."""

    def __init__(self, archive: tarfile.TarFile, report: BackupReport) -> None:
        self._archive = archive
        self._report = report
        self._hashes: dict[str, str] = {}

    def add(self, path: Path, name: str) -> None:
        try:
            file = path.open("rb")
        except FileNotFoundError:
            return  # a job or a run that was just cleaned away
        with file:
            status = os.fstat(file.fileno())
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.mode = status.st_size, int(status.st_mtime), status.st_mode & 0o777
            hashed = _Hashed(file, status.st_size)
            self._archive.addfile(entry, hashed)  # type: ignore[arg-type]
        self._hashes[name] = hashed.digest
        self._report.files += 1
        self._report.bytes += status.st_size

    def finish(self) -> None:
        said = {"format": FORMAT, "made_at": datetime.now(UTC).isoformat(), "sha256": self._hashes}
        content = json.dumps(said).encode()
        entry = tarfile.TarInfo(MANIFEST)
        entry.size, entry.mtime = len(content), int(time.time())
        self._archive.addfile(entry, io.BytesIO(content))


class _Hashed:
    """The first `size` bytes of a file, filled up with zeros where it shrank meanwhile; hashed on the way."""

    def __init__(self, file: io.BufferedReader, size: int) -> None:
        self._file = file
        self._left = size
        self._hash = hashlib.sha256()

    def read(self, size: int) -> bytes:
        data = self._file.read(min(size, self._left))
        data = data.ljust(min(size, self._left), b"\0")
        self._left -= len(data)
        self._hash.update(data)
        return data

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()


def _extract(file: Path, folder: Path, report: BackupReport) -> None:
    """Unpack and check everything; raises DataError for anything that isn't as the manifest says."""
    said: dict[str, object] | None = None
    found: dict[str, str] = {}
    try:
        with tarfile.open(file, "r:gz") as archive:
            for entry in archive:
                content = archive.extractfile(entry)
                name = PurePosixPath(entry.name)
                if content is None or name.is_absolute() or ".." in name.parts:
                    raise DataError(f"{file} is no backup of workbench: it holds {entry.name}")
                if entry.name == MANIFEST:
                    said = json.load(content)
                    continue
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                digest = hashlib.sha256()
                with path.open("wb") as out:
                    while data := content.read(1 << 20):
                        digest.update(data)
                        out.write(data)
                os.utime(path, (entry.mtime, entry.mtime))
                path.chmod(entry.mode & 0o777)
                found[entry.name] = digest.hexdigest()
                report.files += 1
                report.bytes += entry.size
    except FileNotFoundError as error:
        raise NotFoundError(f"no file {file}", "Check the path.") from error
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise DataError(f"{file} is no whole backup: {error}", "Use another one.") from error
    except OSError as error:
        if error.errno is None:  # gzip's own
            raise DataError(f"{file} is no whole backup: {error}", "Use another one.") from error
        raise StorageError(f"cannot unpack {file}: {error.strerror}", "Free the disk.") from error
    if said is None or said.get("sha256") != found:
        raise DataError(f"{file} is damaged: its files are not what it says", "Use another one.")
    if said["format"] != FORMAT:
        raise DataError(f"{file} was made by a newer workbench", "Upgrade workbench.")


def _is_there(path: Path) -> bool:
    return path.is_file() or (path.is_dir() and any(path.iterdir()))


def _files(folder: Path) -> Iterator[Path]:
    for directory, _, names in os.walk(folder):
        for name in sorted(names):
            path = Path(directory) / name
            if path.is_file():
                yield path
