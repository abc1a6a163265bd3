"""The spool: append-only segment files of checksummed lines, one writer each, until the fold takes them.

A line is eight hexadecimal digits of CRC-32, a space, the payload and a newline; a payload never holds a
newline. While its writer lives it holds an `flock` on its segment, so anybody can tell a segment that
may still grow from one that is complete. A segment takes its `.seg` name only once it is locked.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from zlib import crc32

from store.ids import new_prediction_ids

SUFFIX = ".seg"
NEW_SUFFIX = ".new"
ROTATE_BYTES = 32 * 1024 * 1024
ROTATE_SECONDS = 300.0
# What is left of the disk for everything else: a tenth, but no more than this.
RESERVE_BYTES = 10 << 30
_SPACE_CHECK_SECONDS = 1.0
_SPACE_CHECK_BYTES = 4 * 1024 * 1024


def frame(payload: bytes) -> bytes:
    """`payload` as a line of the spool."""
    return b"%08x %b\n" % (crc32(payload), payload)


def unframe(line: bytes) -> bytes | None:
    """The payload of a line without its newline; None where the line is damaged."""
    if len(line) < 10 or line[8:9] != b" ":
        return None
    try:
        expected = int(line[:8], 16)
    except ValueError:
        return None
    payload = line[9:]
    return payload if crc32(payload) == expected else None


class DiskFullError(OSError):
    """The disk has no room left beyond the reserve."""


class SpoolWriter:
    """Appends lines to segments of its own; safe for threads, and for a process that forks.

    `append` returns after write(2), so what it took survives the death of the process; with `fsync` after
    the disk has it too, one flush serving all threads that wait. It raises OSError where the lines could
    not be written whole, and then leaves none of them behind.
    """

    def __init__(
        self,
        folder: Path,
        *,
        writer: str = "server",
        durability: Literal["process", "fsync"] = "process",
        rotate_bytes: int = ROTATE_BYTES,
        rotate_seconds: float = ROTATE_SECONDS,
    ) -> None:
        self._folder = folder
        self._writer = "".join(c if c.isalnum() else "-" for c in writer)[:40] or "writer"
        self._fsync = durability == "fsync"
        self._rotate_bytes = rotate_bytes
        self._rotate_seconds = rotate_seconds
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._flush_lock = threading.Lock()
        self._descriptor: int | None = None
        self._size = 0
        self._opened_at = 0.0
        self._written = 0  # bytes ever appended by this writer, and how many of them the disk has
        self._flushed = 0
        self._failed = 0  # up to here a flush failed: those bytes may be gone although a later one succeeds
        self._space_checked_at = float("-inf")
        self._space_left_to_check = 0
        self._declared: set[str] = set()

    def append(self, lines: Sequence[bytes], declarations: Sequence[tuple[str, bytes]] = ()) -> None:
        """Append framed lines; a declaration (key, framed line) goes before them, once in each segment."""
        if self._pid != os.getpid():
            self._leave_to_parent()
        with self._lock:
            now = time.monotonic()
            descriptor = self._segment(now)
            missing = [one for one in declarations if one[0] not in self._declared]
            if missing:
                lines = [*(line for _, line in missing), *lines]
            data = lines[0] if len(lines) == 1 else b"".join(lines)
            self._space_left_to_check -= len(data)
            if self._space_left_to_check <= 0 or now - self._space_checked_at >= _SPACE_CHECK_SECONDS:
                self._check_space(len(data), now)
            self._write(descriptor, data)
            for key, _ in missing:
                self._declared.add(key)
            written = self._written
        if self._fsync:
            self._flush(written)

    def rotate(self) -> None:
        """End the segment; the next append begins another."""
        with self._lock:
            self._close_segment()

    close = rotate

    def _write(self, descriptor: int, data: bytes) -> None:
        done = os.write(descriptor, data)
        if done < len(data):
            try:
                while done < len(data):
                    done += os.write(descriptor, data[done:])
            except OSError:
                # The start of a line must not precede the next one.
                os.ftruncate(descriptor, self._size)
                raise
        self._size += len(data)
        self._written += len(data)

    def _flush(self, upto: int) -> None:
        """Have the disk hold the first `upto` bytes: whoever comes first flushes for all that wait."""
        with self._flush_lock:
            if upto <= self._failed:
                raise OSError("the disk refused what was written")
            if upto <= self._flushed:
                return
            with self._lock:
                written = self._written
                descriptor = None if self._descriptor is None else os.dup(self._descriptor)
            if descriptor is not None:
                try:
                    flush_to_disk(descriptor)
                except OSError:
                    self._failed = written
                    raise
                finally:
                    os.close(descriptor)
            self._flushed = written

    def _segment(self, now: float) -> int:
        if self._descriptor is not None:
            if self._size < self._rotate_bytes and now - self._opened_at <= self._rotate_seconds:
                return self._descriptor
            self._close_segment()
        name = f"{new_prediction_ids(1)[0]}-{self._writer}"
        self._folder.mkdir(parents=True, exist_ok=True)
        new = self._folder / (name + NEW_SUFFIX)
        descriptor = os.open(new, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            new.rename(new.with_suffix(SUFFIX))
            if self._fsync:
                _flush_folder(self._folder)
        except OSError:
            os.close(descriptor)
            raise
        self._descriptor, self._size, self._opened_at = descriptor, 0, now
        self._declared.clear()
        return descriptor

    def _close_segment(self) -> None:
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        try:
            if self._fsync:
                flush_to_disk(descriptor)
        except OSError:
            self._failed = self._written
            raise
        finally:
            os.close(descriptor)

    def _check_space(self, size: int, now: float) -> None:
        """Leave a reserve of the disk to everything else; looked at once a second or every few megabytes."""
        disk = os.statvfs(self._folder)
        free = disk.f_bavail * disk.f_frsize
        reserve = min(disk.f_blocks * disk.f_frsize // 10, RESERVE_BYTES)
        if free - size < reserve:
            self._space_left_to_check = 0
            raise DiskFullError(f"only {free // 1_000_000} MB free on the disk of {self._folder}")
        self._space_checked_at, self._space_left_to_check = now, _SPACE_CHECK_BYTES

    def _leave_to_parent(self) -> None:
        """In a forked child: the inherited segment, and its lock, stay the parent's."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._reset()


def flush_to_disk(descriptor: int) -> None:
    """Have the disk itself hold the file's data."""
    full_flush = getattr(fcntl, "F_FULLFSYNC", None)  # macOS: fsync stops at the drive's cache
    if full_flush is not None:
        fcntl.fcntl(descriptor, full_flush)
    else:
        os.fdatasync(descriptor)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@dataclass
class Chunk:
    """Lines of one segment: the good payloads, where they end, and what was damaged."""

    start: int
    end: int
    payloads: list[bytes] = field(default_factory=list)
    damaged: list[bytes] = field(default_factory=list)


def list_segments(folder: Path) -> list[Path]:
    """The segments, oldest first."""
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if entry.name.endswith(SUFFIX))
    except FileNotFoundError:
        return []
    return [folder / name for name in names]


def read_chunks(
    path: Path, start: int = 0, *, chunk_bytes: int = 4 << 20, whole: bool = False
) -> Iterator[Chunk]:
    """Yield the segment's lines from byte `start` on, some megabytes at a time.

    Only complete lines are read, unless the segment is `whole` (its writer is gone): then an incomplete
    last line counts as damaged. A segment that vanishes meanwhile simply ends.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        file.seek(start)
        rest = b""
        while True:
            data = file.read(chunk_bytes)
            lines = (rest + data).split(b"\n")
            rest = lines.pop()
            if not data and whole and rest:
                lines, rest = [rest], b""
            chunk = Chunk(start, start)
            for line in lines:
                payload = unframe(line)
                if payload is None:
                    chunk.damaged.append(line)
                else:
                    chunk.payloads.append(payload)
                chunk.end += len(line) + 1
            if whole and not data:
                chunk.end = min(chunk.end, file.tell())
            if lines:
                yield chunk
                start = chunk.end
            if not data:
                return


def lock_if_complete(path: Path) -> int | None:
    """A descriptor that locks a segment whose writer is gone; None while it may still grow."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
