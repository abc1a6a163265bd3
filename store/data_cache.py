"""The content of data files, kept once each, in the layout of DVC's cache: `files/md5/ab/cdef…`.

Real DVC reads it, and a remote with the same layout, as its own. A user's file is copied, or shares its
blocks where the file system can do that, but is never linked: who writes into it in place changes no copy.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from store.errors import DataError, StorageError
from store.layout import Layout

_FICLONE = 0x40049409
_CHUNK = 1 << 20
_JUST_NOW_S = 60.0
_RESERVE = (10, 10 * 2**30)
"""Share (a tenth) and most bytes of the disk that caching leaves free."""


@dataclass(frozen=True)
class Kept:
    """What came of keeping files: how many are kept, and why others are not."""

    files: int
    bytes_added: int
    problems: tuple[str, ...] = ()


def objects(layout: Layout) -> Path:
    """The folder of the content."""
    return layout.data / "files" / "md5"


def object_path(layout: Layout, md5: str) -> Path:
    """Where the content with this hash is, or would be."""
    return objects(layout) / md5[:2] / md5[2:]


def is_kept(layout: Layout, md5: str) -> bool:
    return object_path(layout, md5).is_file()


def directory_document(files: Mapping[str, str]) -> bytes:
    """A folder as DVC writes it: a sorted JSON list of {"md5", "relpath"}, from relative path to MD5."""
    entries = [{"md5": md5, "relpath": path} for path, md5 in files.items()]
    return json.dumps(sorted(entries, key=lambda entry: entry["relpath"])).encode()


def directory_name(files: Mapping[str, str]) -> str:
    """What DVC calls a folder of these files: the MD5 of their list, with `.dir` behind."""
    return f"{hashlib.md5(directory_document(files), usedforsecurity=False).hexdigest()}.dir"


def keep_directory(layout: Layout, files: Mapping[str, str]) -> str:
    """Write the list of a folder's files into the cache; its name, which ends in `.dir`."""
    content, name = directory_document(files), directory_name(files)
    path = object_path(layout, name)
    if not path.exists():
        with placed(layout, path) as target:
            target.write_bytes(content)
    return name


def keep_files(layout: Layout, files: Iterable[tuple[Path, str]], *, limit_bytes: int | None = None) -> Kept:
    """Keep the content of files (and the MD5 of what was read); nothing that fails here raises.

    A file that changed since it was read is not kept: its content is another by now.
    """
    kept, added, problems = 0, 0, list[str]()
    used = size_of(layout) if limit_bytes is not None else 0
    for path, md5 in files:
        if is_kept(layout, md5):
            kept += 1
            continue
        try:
            size = path.stat().st_size
            if limit_bytes is not None and used + size > limit_bytes:
                problems.append(f"the content of {path.name} is not kept: keep_data_mb is reached")
                continue
            _check_room(layout, size)
            keep_file(layout, path, md5)
        except (OSError, StorageError, DataError) as error:
            why = error.strerror or error if isinstance(error, OSError) else error.message
            problems.append(f"the content of {path.name} is not kept: {why}")
            continue
        kept, added, used = kept + 1, added + size, used + size
    return Kept(kept, added, tuple(problems))


def keep_file(layout: Layout, path: Path, md5: str) -> None:
    """Copy one file into the cache, and check that the copy has this MD5.

    Raises DataError where it has another one, OSError where it can't be read or written.
    """

    with placed(layout, object_path(layout, md5)) as target:
        _copy(path, target)
        if md5_of(target) != md5:
            raise DataError("it changed after it was read", "Train again.")


def restore_file(layout: Layout, md5: str, target: Path) -> None:
    """Write kept content to `target` in one step; raises DataError where it is not kept or damaged."""
    source = object_path(layout, md5)
    if not source.is_file():
        raise DataError(f"the content of {target} is not kept here", "Fetch it: workbench data pull.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name[:40]}.", suffix=".tmp", dir=target.parent)
        os.close(descriptor)
        temporary = Path(name)
        try:
            _copy(source, temporary)
            if md5_of(temporary) != md5:
                raise DataError(
                    f"the kept content of {target.name} is damaged",
                    f"Remove {source} and fetch it again: workbench data pull.",
                )
            temporary.chmod(0o644)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(
            f"cannot write {target}: {error.strerror}", "Free the disk or make the folder writable."
        ) from error


def md5_of(path: Path) -> str:
    """MD5 of a file's content: the name that DVC gives it, no protection against anybody."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def size_of(layout: Layout) -> int:
    """Bytes of all that is kept."""
    total = 0
    with contextlib.suppress(OSError):
        for folder in objects(layout).iterdir():
            for entry in os.scandir(folder):
                with contextlib.suppress(OSError):
                    total += entry.stat().st_size
    return total


def drop(layout: Layout, md5s: Sequence[str]) -> int:
    """Remove content; how many bytes that freed."""
    freed = 0
    for md5 in md5s:
        path = object_path(layout, md5)
        with contextlib.suppress(OSError):
            size = path.stat().st_size
            path.unlink()
            freed += size
    return freed


def _check_room(layout: Layout, size: int) -> None:
    disk = os.statvfs(layout.data if layout.data.exists() else layout.state)
    total, free = disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize
    if free - size < min(total // _RESERVE[0], _RESERVE[1]):
        raise StorageError(f"only {free // 1_000_000} MB are free on the disk", "Free the disk.")


@contextlib.contextmanager
def placed(layout: Layout, path: Path) -> Iterator[Path]:
    """A new file to write, which becomes `path` in one step unless something raises; two that make the same
    one don't disturb each other. What a killed process left behind is cleared away by the next."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _clear_abandoned(layout.data)
    descriptor, name = tempfile.mkstemp(prefix="new.", suffix=".tmp", dir=layout.data)
    temporary = Path(name)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield temporary
        temporary.chmod(0o444)
        temporary.replace(path)
    finally:
        os.close(descriptor)
        temporary.unlink(missing_ok=True)


def _clear_abandoned(folder: Path) -> None:
    """Remove unfinished files that no process holds, but for those made just now."""
    for path in folder.glob("new.*.tmp"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime < _JUST_NOW_S:
                continue
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()


def _copy(source: Path, target: Path) -> None:
    """The content of a file, sharing its blocks where the file system copies on write."""
    with source.open("rb") as read, target.open("wb") as written:
        try:
            fcntl.ioctl(written.fileno(), _FICLONE, read.fileno())
        except OSError:
            shutil.copyfileobj(read, written, _CHUNK)
        written.flush()
        os.fsync(written.fileno())
