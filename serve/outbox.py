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
"""Of one answer; all together have what `Memory` has."""
PIECE_BYTES = 65_536
"""What is handed to a connection at once: more waits until the client has taken it."""
_FREE_SHARE = 0.1
_MOST_RESERVED = 10 << 30
"""Free space that is never used: this share of the disk, or so many bytes on a large one."""


class Memory:
    """What all outboxes together may hold in memory, bytes."""

    def __init__(self, most: int) -> None:
        self._left = most
        self._lock = threading.Lock()

    def take(self, n_bytes: int) -> bool:
        """Whether there was room for as many, which are then taken."""
        with self._lock:
            if n_bytes > self._left:
                return False
            self._left -= n_bytes
            return True

    def give_back(self, n_bytes: int) -> None:
        with self._lock:
            self._left += n_bytes


class Outbox:
    """First in, first out. Many a client sends all of its body before it reads any of the answer: what is
    answered meanwhile goes to disk, where there is room. One thread puts, another takes.
    """

    def __init__(self, folder: Path | None, memory: Memory | None = None) -> None:
        self._folder = folder
        self._memory = memory if memory is not None else Memory(IN_MEMORY_BYTES + PIECE_BYTES)
        self._lock = threading.Lock()
        self._pieces: deque[bytes] = deque()
        self._taken = 0
        """Bytes of the first piece that were taken."""
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
            is_next = self._read_at == self._write_at and self._size < IN_MEMORY_BYTES
            if is_next and self._memory.take(len(piece)):
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
                first = self._pieces[0]
                piece = first[self._taken : self._taken + PIECE_BYTES]
                self._taken += len(piece)
                self._size -= len(piece)
                if self._taken == len(first):
                    self._pieces.popleft()
                    self._taken = 0
                    self._memory.give_back(len(first))
                return piece
            if self._file is None or self._read_at == self._write_at:
                return b""
            piece = os.pread(self._file.fileno(), PIECE_BYTES, self._read_at)
            self._read_at += len(piece)
            if self._read_at == self._write_at:
                self._file.truncate(0)
                self._read_at = self._write_at = 0
            return piece

    def close(self) -> None:
        """Forget what waits; a put that is still under way is forgotten too."""
        with self._lock:
            self._is_closed = True
            self._memory.give_back(sum(map(len, self._pieces)))
            self._pieces.clear()
            self._size = self._taken = 0
            if self._file is not None:
                self._file.close()
                self._file = None

    def __del__(self) -> None:
        self.close()  # of an answer that nobody waited for

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
