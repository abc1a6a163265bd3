"""A project in one file, taken while everything runs: the runs and registry, the log, and the state."""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import shutil
import sqlite3
import tarfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from store.beside import flush, folder_within
from store.database import HeldError, reading
from store.errors import BusyError, StorageError, UsageError
from store.layout import SETTINGS_FILE, Layout
from store.locks import locked

FORMAT = 1
MANIFEST = "manifest.json"
_LEFT_OUT = {"run", "index.sqlite", "index.sqlite-wal", "index.sqlite-shm"}
"""Locks, pids and a cache."""
_SMALL_BYTES = 1 << 20
_TRIES = 5


@dataclass
class BackupReport:
    """What went into a backup, or came out of one."""

    files: int = 0
    bytes: int = 0
    aside: list[Path] = field(default_factory=list)
    """What was there before a restore, and is kept."""


def back_up(layout: Layout, runs: Path | None, target: Path) -> BackupReport:
    """Write runs (a file store's folder), settings and state to `target`, a compressed tar file.

    Processes may go on writing: SQLite is copied by its own means, the DuckDB file and the spool as they are
    at one moment under the fold's lock, and of a growing file what it had. It works on a disk that became
    read-only, too, as long as `target` is on another. Raises BusyError where another program has the DuckDB
    file open to write, StorageError for a file that can't be read: a backup is whole, or there is none.
    """
    target = target.absolute()
    for folder in (layout.state, *([] if runs is None else [runs])):
        if folder.resolve() in target.resolve().parents:
            raise UsageError(f"{target} is within {folder}, which is backed up", "Name a file outside of it.")
    report = BackupReport()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with folder_within(target.parent, f".{target.name[:100]}.") as work:
            partial = work / target.name
            with tarfile.open(partial, "w:gz", compresslevel=1) as archive:
                partial.chmod(0o600)  # there are hashes of keys in it
                writer = ArchiveWriter(archive, report)
                settings = layout.root / SETTINGS_FILE
                if settings.exists():
                    writer.add(settings, SETTINGS_FILE)
                if runs is not None:
                    writer.add_folder(runs, "runs")
                if layout.state.is_dir():
                    _add_state(layout, writer, work)
                writer.finish()
            flush(partial)
            partial.replace(target)
            flush(target.parent)
    except OSError as error:
        raise StorageError(f"cannot write {target}: {error.strerror or error}", "Free the disk.") from error
    return report


def _add_state(layout: Layout, writer: ArchiveWriter, work: Path) -> None:
    state = layout.state
    with _log_at_a_moment(layout, work) as log:
        writer.add_folder(log, "state")
    log_parts = {layout.predictions.name, layout.spool.name, layout.archive.name}
    for path in _files(state):
        relative = path.relative_to(state)
        if relative.parts[0] in _LEFT_OUT or relative.parts[0] in log_parts:
            continue
        name = f"state/{relative.as_posix()}"
        if path.suffix == ".sqlite":
            writer.add(_copy_sqlite(path, work), name)
        elif not path.name.endswith((".sqlite-wal", ".sqlite-shm", ".duckdb.wal")):
            writer.add(path, name)


def _copy_sqlite(path: Path, work: Path) -> Path:
    copy, source_path = work / path.name, path
    copy.unlink(missing_ok=True)
    if not os.access(path.parent, os.W_OK):  # SQLite would want to write its index of the log beside it
        source_path = work / f"source-{path.name}"
        for suffix in ("", "-wal"):
            if (part := path.with_name(path.name + suffix)).exists():
                shutil.copyfile(part, source_path.with_name(source_path.name + suffix))
    try:
        with closing(sqlite3.connect(source_path)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
    except sqlite3.Error as error:
        raise StorageError(f"cannot copy {path}: {error}", "See: workbench doctor.") from error
    return copy


@contextmanager
def _log_at_a_moment(layout: Layout, work: Path) -> Iterator[Path]:
    """A folder with the DuckDB file, spool and archive as they go together; the fold waits only for that."""
    lock = layout.run / "fold.lock"
    with ExitStack() as stack:
        if os.access(layout.state, os.W_OK):
            layout.run.mkdir(exist_ok=True)
            folder = stack.enter_context(folder_within(layout.run, "backup-"))
            hold = locked(lock, what="backing up the prediction log", timeout_s=30.0)
        else:
            folder = work / "log"
            folder.mkdir()
            hold = _locked_unsigned(lock, timeout_s=30.0)
        with hold:
            _copy_database(layout, folder)
            for part in (layout.spool, layout.archive):
                for path in _files(part):
                    _link(path, folder / path.relative_to(layout.state))
        yield folder


@contextmanager
def _locked_unsigned(path: Path, *, timeout_s: float) -> Iterator[None]:
    """A lock in a folder that can't be written to, though perhaps by the user whose server folds there."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        yield  # nobody ever held it, or nobody else can
        return
    deadline = time.monotonic() + timeout_s
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise BusyError(f"another process holds {path}", "Try again when it is done.") from error
                time.sleep(0.02)
        yield
    finally:
        os.close(descriptor)


def _copy_database(layout: Layout, folder: Path) -> None:
    """The DuckDB file as one state of it: nobody of ours writes under the fold's lock."""
    if not layout.predictions.exists():
        return
    copy = folder / layout.predictions.name
    for _ in range(_TRIES):
        with reading(layout, own=True) as (_connection, held):
            if held:
                raise HeldError(held, "Close it there: a copy of a file that changes is worth nothing.")
        before = layout.predictions.stat()
        shutil.copy2(layout.predictions, copy)
        after = layout.predictions.stat()
        if (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, after.st_size):
            return
        time.sleep(0.2)
    raise BusyError(f"{layout.predictions} keeps changing", "End what writes to it, then try again.")


def _link(path: Path, target: Path) -> None:
    """The file under another name too, so that it may move or go; a copy where the disk has no links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(path, target)
    except FileNotFoundError:
        return
    except OSError:
        shutil.copy2(path, target)


class ArchiveWriter:
    """Adds files as they are at one moment, and notes their hashes."""

    def __init__(self, archive: tarfile.TarFile, report: BackupReport) -> None:
        self._archive = archive
        self._report = report
        self._hashes: dict[str, str] = {}

    def add_folder(self, folder: Path, name: str) -> None:
        for path in _files(folder):
            self.add(path, f"{name}/{path.relative_to(folder).as_posix()}")

    def add(self, path: Path, name: str) -> None:
        try:
            file = path.open("rb")
        except FileNotFoundError:
            return  # a job or a run that was just cleaned away
        except OSError as error:
            raise _unreadable(path, error) from error
        with file:
            content, status = _at_a_moment(file, path)
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.mode = status.st_size, int(status.st_mtime), status.st_mode & 0o777
            hashed = _Hashed(content, status.st_size, path)
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


def _at_a_moment(
    file: io.BufferedReader, path: Path
) -> tuple[io.BufferedReader | io.BytesIO, os.stat_result]:
    """A small file's content while nobody wrote to it: MLflow empties files before it fills them again."""
    try:
        for _ in range(_TRIES):
            before = os.fstat(file.fileno())
            if before.st_size > _SMALL_BYTES:
                return file, before
            file.seek(0)
            content = file.read()
            after = os.fstat(file.fileno())
            unchanged = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
            if unchanged and len(content) == after.st_size:
                return io.BytesIO(content), after
            time.sleep(0.01)
        file.seek(0)
    except OSError as error:
        raise _unreadable(path, error) from error
    return file, before


class _Hashed:
    """The first `size` bytes of a file, filled up with zeros where it shrank meanwhile; hashed on the way."""

    def __init__(self, file: io.BufferedReader | io.BytesIO, size: int, path: Path) -> None:
        self._file = file
        self._left = size
        self._path = path
        self._hash = hashlib.sha256()

    def read(self, size: int) -> bytes:
        try:
            data = self._file.read(min(size, self._left))
        except OSError as error:
            raise _unreadable(self._path, error) from error
        data = data.ljust(min(size, self._left), b"\0")
        self._left -= len(data)
        self._hash.update(data)
        return data

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()


def _unreadable(path: Path, error: OSError) -> StorageError:
    return StorageError(f"cannot read {path}: {error.strerror}", "Mend its permissions, or move it away.")


def _files(folder: Path) -> Iterator[Path]:
    """All files beneath a folder, also where a link leads to another disk."""
    seen: set[tuple[int, int]] = set()

    def fail(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise _unreadable(Path(error.filename or folder), error) from error

    for directory, subfolders, names in os.walk(folder, onerror=fail, followlinks=True):
        try:
            status = Path(directory).stat()
        except FileNotFoundError:
            continue
        if (status.st_dev, status.st_ino) in seen:  # a link to a folder above
            subfolders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        for name in sorted(names):
            path = Path(directory) / name
            if path.is_file():
                yield path
