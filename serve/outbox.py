"""Answers that wait for their client: in memory up to a bound, then in a file that has no name."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections import deque
from pathlib import Path
from typing import BinaryIO

IN_MEMORY_BYTES = 1_000_000
_READ_BYTES = 262_144
_FREE_SHARE = 0.1
_MOST_RESERVED = 10 << 30
"""Free space that is never used: this share of the disk, or so many bytes on a large one."""


class Outbox:
    """First in, first out. Many a client sends all of its body before it reads any of the answer: what is
    answered meanwhile goes to disk, where there is room. One thread puts, another takes.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._file: BinaryIO | None = None
        self._read_at = 0
        self._write_at = 0
        self._is_closed = False

    def put(self, piece: bytes) -> bool:
        """Keep it; False where neither memory nor disk has room for more."""
        with self._lock:
            if self._is_closed:
                return True
            if self._read_at == self._write_at and self._size < IN_MEMORY_BYTES:
                self._pieces.append(piece)
                self._size += len(piece)
                return True
            return self._to_disk(piece)

    @property
    def n_bytes(self) -> int:
        """How much waits."""
        with self._lock:
            return self._size + self._write_at - self._read_at

    def take(self) -> bytes:
        """The next piece; empty when all was taken."""
        with self._lock:
            if self._pieces:
                piece = self._pieces.popleft()
                self._size -= len(piece)
                return piece
            if self._file is None or self._read_at == self._write_at:
                return b""
            piece = os.pread(self._file.fileno(), _READ_BYTES, self._read_at)
            self._read_at += len(piece)
            if self._read_at == self._write_at:
                self._file.truncate(0)
                self._read_at = self._write_at = 0
            return piece

    def close(self) -> None:
        """Forget what waits; a put that is still under way is forgotten too."""
        with self._lock:
            self._is_closed = True
            self._pieces.clear()
            self._size = 0
            if self._file is not None:
                self._file.close()
                self._file = None

    def _to_disk(self, piece: bytes) -> bool:
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115 - closed by close
            disk = shutil.disk_usage(self._folder or tempfile.gettempdir())
            if disk.free - len(piece) < min(disk.total * _FREE_SHARE, _MOST_RESERVED):
                return False
            done = 0
            while done < len(piece):
                done += os.pwrite(self._file.fileno(), piece[done:], self._write_at + done)
        except OSError:
            return False
        self._write_at += len(piece)
        return True
