"""How often one client may ask: a bucket of requests for each, which fills up again as time goes by.

The buckets are in memory that forked workers share, so that a limit holds for all of them together.
"""

from __future__ import annotations

import fcntl
import hashlib
import math
import mmap
import os
import struct
import tempfile
import time
from collections.abc import Callable

_SECONDS = {"s": 1.0, "second": 1.0, "m": 60.0, "minute": 60.0, "h": 3600.0, "hour": 3600.0}
MOST_CLIENTS = 16_384
"""Clients remembered, about; among those that share a row, the one that asked longest ago is forgotten."""
_BUCKETS_A_ROW = 8
_BUCKET = struct.Struct("<Qdd")  # whose, how many requests are left, when that was; all 0 where nobody's
_ROW_BYTES = _BUCKET.size * _BUCKETS_A_ROW
_ROWS = MOST_CLIENTS // _BUCKETS_A_ROW


class RateLimit:
    """`100/s`, `600/m` or `5000/h`: so many requests at once, and again as many in that time.

    Make it before forking. Each process calls it from one thread.
    """

    def __init__(self, rate: str, clock: Callable[[], float] = time.monotonic) -> None:
        number, _, unit = rate.partition("/")
        self._most = float(number)
        self._a_second = self._most / _SECONDS[unit]
        self._clock = clock
        self._salt = os.urandom(16)
        """Nobody can choose names that push others out."""
        self._memory = mmap.mmap(-1, _ROWS * _ROW_BYTES)
        self._locks = _file_of_its_own()
        """Its bytes are locked, one for each row: the system gives up those of a worker that is killed."""

    def wait_s(self, client: str) -> int:
        """Take a request of a client's; 0, or the whole seconds after which it may ask again."""
        digest = hashlib.blake2b(client.encode("utf-8", "replace"), digest_size=8, key=self._salt).digest()
        whose = int.from_bytes(digest, "little") or 1
        row = whose % _ROWS
        fcntl.lockf(self._locks, fcntl.LOCK_EX, 1, row)
        try:
            return self._take(whose, row * _ROW_BYTES)
        finally:
            fcntl.lockf(self._locks, fcntl.LOCK_UN, 1, row)

    def _take(self, whose: int, start: int) -> int:
        now = self._clock()
        buckets = [_BUCKET.unpack_from(self._memory, start + at) for at in range(0, _ROW_BYTES, _BUCKET.size)]
        place = next((i for i, bucket in enumerate(buckets) if bucket[0] == whose), None)
        if place is None:
            left = self._most
            place = min(range(_BUCKETS_A_ROW), key=lambda i: (buckets[i][0] != 0, buckets[i][2]))
        else:
            _, left, at = buckets[place]
            left = min(self._most, left + (now - at) * self._a_second)
        is_allowed = left >= 1.0
        _BUCKET.pack_into(
            self._memory, start + place * _BUCKET.size, whose, left - 1.0 if is_allowed else left, now
        )
        return 0 if is_allowed else max(1, math.ceil((1.0 - left) / self._a_second))


def _file_of_its_own() -> int:
    """A file that no other program sees, where the system has such also with nowhere to write."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("workbench-rate")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
