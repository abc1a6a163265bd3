"""A backup put in place: checked whole before anything is touched, then moved in by renames."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from store.backup import FORMAT, MANIFEST, BackupReport
from store.beside import folder_within
from store.errors import BusyError, DataError, NotFoundError, StorageError, UsageError
from store.layout import SETTINGS_FILE, Layout
from store.locks import lock_holder
from store.segments import list_segments, lock_if_complete

_WORK = ".restore-"
_PARTS = frozenset({SETTINGS_FILE, "runs", "state"})
_DAMAGE = (tarfile.TarError, EOFError, ValueError, zlib.error)
PlacesOf = Callable[[bytes | None], tuple[Layout, Path | None]]
"""From the content of a backup's settings (None: it has none) to where they put state and runs."""


@dataclass(frozen=True)
class _Move:
    """A part of the backup, where it goes, and where what is there is kept."""

    part: Path
    place: Path
    kept: Path


def restore(file: Path, root: Path, places_of: PlacesOf, *, overwrite: bool = False) -> BackupReport:
    """Put a backup's runs, settings and state in place for the project at `root`.

    State and runs go where the backup's own settings have them. What was there is kept beside it. Every
    file's hash is checked before anything is touched. Raises UsageError where something is there and
    `overwrite` isn't given, BusyError while a process uses it, DataError for a file that is no whole backup.
    """
    layout, runs = places_of(_settings_in(file))
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
    try:
        root.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            stack.enter_context(_alone(root))
            extracted = stack.enter_context(folder_within(root, _WORK))
            extract(file, extracted, report)
            moves = [
                _Move(_on_the_disk_of(place, extracted / part, stack), place, _free_name(place))
                for part, place in places.items()
                if (extracted / part).exists()
            ]
            os.sync()  # before anything goes: a power cut leaves the old or the new
            _refuse_while_in_use(layout)
            report.aside += _move_all(moves)
    except OSError as error:
        hint = "All is as it was: free the disk or mend its permissions, and try again."
        if error.errno == errno.EBUSY:
            hint = "A disk is mounted there: restore into another folder and move its content."
        raise StorageError(f"cannot put {file} in place: {error}", hint) from error
    return report


def _settings_in(file: Path) -> bytes | None:
    """The settings, which a backup begins with. Raises NotFoundError, DataError."""
    try:
        with tarfile.open(file, "r:gz") as archive:
            first = archive.next()
            content = None if first is None else archive.extractfile(first)
            if first is None or content is None or first.name != SETTINGS_FILE:
                return None
            return content.read()
    except FileNotFoundError as error:
        raise NotFoundError(f"no file {file}", "Check the path.") from error
    except (*_DAMAGE, OSError) as error:
        raise _unusable(file, error) from error


def _refuse_while_in_use(layout: Layout) -> None:
    for lock in sorted(layout.run.glob("*.lock")):
        holder = lock_holder(lock)
        if holder is not None:
            who = f"process {holder.get('pid')} is {holder.get('what')}" if holder else f"{lock} is held"
            raise BusyError(
                f"the project at {layout.root} is in use: {who}", "Stop its server, watcher and jobs first."
            )
    for segment in list_segments(layout.spool):
        descriptor = lock_if_complete(segment)
        if descriptor is None and segment.exists():
            raise BusyError(
                f"a process writes the prediction log of {layout.root} ({segment.name})", "Stop it first."
            )
        if descriptor is not None:
            os.close(descriptor)


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """One restore at a time; the lock is the folder's own, as everything in it may be replaced."""
    descriptor = os.open(root, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise BusyError(f"another process restores {root}", "Wait for it to end.") from error
    finally:
        os.close(descriptor)


def _on_the_disk_of(place: Path, part: Path, stack: ExitStack) -> Path:
    """The extracted part, copied where `place` is on another disk than it, as only renames are quick."""
    parent = place.parent
    parent.mkdir(parents=True, exist_ok=True)
    if parent.stat().st_dev == part.stat().st_dev:
        return part
    work = stack.enter_context(folder_within(parent, _WORK))
    return Path(shutil.move(part, work / part.name))


def _free_name(place: Path) -> Path:
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    kept, number = place.with_name(f"{place.name}.before-{stamp}"), 2
    while kept.exists():
        kept, number = place.with_name(f"{place.name}.before-{stamp}-{number}"), number + 1
    return kept


def _move_all(moves: list[_Move]) -> list[Path]:
    """Do all of the renames, or none; returns what was there and is kept."""
    aside: list[Path] = []
    done: list[tuple[Path, Path]] = []
    try:
        for move in moves:
            if _is_there(move.place):
                move.place.rename(move.kept)
                done.append((move.place, move.kept))
                aside.append(move.kept)
            elif move.place.is_dir():
                move.place.rmdir()
            move.part.rename(move.place)
            done.append((move.part, move.place))
    except BaseException:
        for source, target in reversed(done):
            with suppress(OSError):
                target.rename(source)
        raise
    return aside


def extract(
    file: Path,
    folder: Path,
    report: BackupReport,
    *,
    parts: AbstractSet[str] = _PARTS,
    what: str = "backup",
) -> None:
    """Unpack and check everything; raises DataError for anything that isn't as the manifest says.

    `parts` are the names that may come first in a path.
    """
    said: dict[str, object] | None = None
    found: dict[str, str] = {}
    try:
        with tarfile.open(file, "r:gz") as archive:
            for entry in archive:
                content = archive.extractfile(entry) if entry.isreg() else None
                name = PurePosixPath(entry.name)
                if content is None or not _is_ours(name, parts):
                    raise DataError(f"{file} is no {what} of workbench: it holds {entry.name}")
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
            # To the end, where gzip's checksum is: names, times and modes have no hash in the manifest.
            while archive.fileobj is not None and archive.fileobj.read(1 << 20):
                pass
    except _DAMAGE as error:
        raise _unusable(file, error, what) from error
    except OSError as error:
        if error.errno is None:  # gzip's own
            raise _unusable(file, error, what) from error
        raise
    if said is None or not isinstance(said, dict):
        raise DataError(f"{file} is no whole {what}: its list of files is missing", "Use another one.")
    if said.get("format") != FORMAT:
        raise DataError(
            f"{file} was made by a newer workbench (format {said.get('format')})", "Upgrade workbench."
        )
    if said.get("sha256") != found:
        raise DataError(f"{file} is damaged: its files are not what it says", "Use another one.")


def _is_ours(name: PurePosixPath, parts: AbstractSet[str]) -> bool:
    if name.is_absolute() or ".." in name.parts:
        return False
    if str(name) in (MANIFEST, SETTINGS_FILE):
        return name.name == MANIFEST or SETTINGS_FILE in parts
    return name.parts[0] in parts - {SETTINGS_FILE}


def _unusable(file: Path, error: Exception, what: str = "backup") -> DataError | StorageError:
    if isinstance(error, OSError) and error.errno is not None:
        return StorageError(f"cannot read {file}: {error.strerror}", "Check its permissions.")
    return DataError(f"{file} is no whole {what}: {error or type(error).__name__}", "Use another one.")


def _is_there(path: Path) -> bool:
    return path.is_file() or (path.is_dir() and any(path.iterdir()))
