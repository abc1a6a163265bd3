"""Writing the spool: append-only files of checksummed lines, one writer each, until a fold takes them.

While its writer lives it holds an `flock` on its segment, so anybody can tell a segment that may still grow
from one that is complete. A segment takes its `.seg` name only once it is locked.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from store.beside import flush
from store.ids import new_prediction_ids
from store.segments import SUFFIX

NEW_SUFFIX = ".new"
ROTATE_BYTES = 32 * 1024 * 1024
ROTATE_SECONDS = 300.0
# What is left of the disk for everything else: a tenth, but no more than this.
RESERVE_BYTES = 10 << 30
_SPACE_CHECK_SECONDS = 1.0
_LONG = 32 * 1024
"""Bytes from which gathering them in one place takes longer than to hand the pieces to the kernel."""
_MOST_PIECES = 512  # POSIX promises 16, Linux and macOS take 1,024 in one call
_SPACE_CHECK_BYTES = 4 * 1024 * 1024


_forks = 0
"""How many forks lie between this process and the one that imported this; asking for the pid takes longer."""
_leaving = threading.Lock()


def _count_fork() -> None:
    global _forks, _leaving
    _forks += 1
    _leaving = threading.Lock()


os.register_at_fork(after_in_child=_count_fork)


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
        self._last_declared: Sequence[tuple[str, bytes]] | None = None
        self._forks = _forks  # last: from here on other threads take what was set before

    def append(
        self, lines: Sequence[bytes | memoryview], declarations: Sequence[tuple[str, bytes]] = ()
    ) -> None:
        """Append framed lines, or their pieces, as bytes or views of bytes.

        A declaration (key, framed line) goes before them, once in each segment.
        """
        if self._forks != _forks:
            self._leave_to_parent()
        with self._lock:
            now = time.monotonic()
            descriptor = self._descriptor
            if (
                descriptor is None
                or self._size >= self._rotate_bytes
                or now - self._opened_at > self._rotate_seconds
            ):
                descriptor = self._next_segment(now)
            missing: list[tuple[str, bytes]] = []
            if declarations is not self._last_declared:
                missing = [one for one in declarations if one[0] not in self._declared]
            if missing:
                lines = [*(line for _, line in missing), *lines]
            size = sum(map(len, lines))
            self._space_left_to_check -= size
            if self._space_left_to_check <= 0 or now - self._space_checked_at >= _SPACE_CHECK_SECONDS:
                self._check_space(size, now)
            if size > _LONG and len(lines) <= _MOST_PIECES:
                done = os.writev(descriptor, lines)
            else:
                done = os.write(descriptor, lines[0] if len(lines) == 1 else b"".join(lines))
            if done < size:
                self._write_rest(descriptor, b"".join(lines), done)
            self._size += size
            self._written += size
            if missing:
                self._declared.update(key for key, _ in missing)
                self._last_declared = declarations
            written = self._written
        if self._fsync:
            self._flush(written)

    def rotate(self) -> None:
        """End the segment; the next append begins another."""
        with self._lock:
            self._close_segment()

    close = rotate

    def _write_rest(self, descriptor: int, data: bytes, done: int) -> None:
        try:
            while done < len(data):
                done += os.write(descriptor, data[done:])
        except OSError:
            # The start of a line must not precede the next one.
            os.ftruncate(descriptor, self._size)
            raise

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

    def _next_segment(self, now: float) -> int:
        """End the segment, if there is one, and begin another."""
        self._close_segment()
        name = f"{new_prediction_ids(1)[0]}-{self._writer}"
        self._folder.mkdir(parents=True, exist_ok=True)
        new = self._folder / (name + NEW_SUFFIX)
        descriptor = os.open(new, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            new.rename(new.with_suffix(SUFFIX))
            if self._fsync:
                flush(self._folder)
        except OSError:
            os.close(descriptor)
            raise
        self._descriptor, self._size, self._opened_at = descriptor, 0, now
        self._declared.clear()
        self._last_declared = None
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
        with _leaving:
            if self._forks == _forks:
                return  # another thread of the child was first
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
