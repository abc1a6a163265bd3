"""Counters in memory that all workers share: each writes in a slot of its own, anyone reads their sum.

A slot outlives its worker: the one that replaces it goes on counting where the former was killed. So no
scrape ever sees a counter go back, whichever worker answers it.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import threading
import time
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

_HEAD_BYTES = 64
_NAMES_BYTES = 1 << 20
_VALUES_BYTES = 1 << 20
_SLOT_BYTES = _HEAD_BYTES + _NAMES_BYTES + _VALUES_BYTES
_HEAD = struct.Struct("<qddq")  # pid, when it began, CPU seconds of those before it, bytes of names

Series = tuple[str, tuple[str, ...]]
"""A metric's name and the values of its labels."""


@dataclass(frozen=True)
class Occupant:
    """The worker of a slot."""

    slot: int
    pid: int
    """0 where the slot is empty."""
    started_at: float
    earlier_cpu_s: float
    """CPU time of the dead workers it follows."""


class Board:
    """The slots. Make it before forking; memory that nobody touches costs nothing."""

    def __init__(self, slots: int = 1) -> None:
        self.slots = slots
        self._memory = mmap.mmap(-1, slots * _SLOT_BYTES)
        self._parsed: list[tuple[int, list[tuple[Series, int, int]]]] = [(0, []) for _ in range(slots)]

    def take(self, slot: int) -> Slot:
        """Write in a slot from this process on."""
        return Slot(self._memory, slot * _SLOT_BYTES)

    def occupants(self) -> list[Occupant]:
        """Who writes in which slot."""
        found = []
        for slot in range(self.slots):
            pid, started_at, earlier, _ = _HEAD.unpack_from(self._memory, slot * _SLOT_BYTES)
            found.append(Occupant(slot, pid, started_at, earlier))
        return found

    def bury(self, slot: int, cpu_s: float) -> None:
        """Empty the slot of a worker that ended after so much CPU time; what it counted stays."""
        start = slot * _SLOT_BYTES
        _, _, earlier, size = _HEAD.unpack_from(self._memory, start)
        _HEAD.pack_into(self._memory, start, 0, 0.0, earlier + cpu_s, size)

    def totals(self) -> dict[Series, list[float]]:
        """The values of each series, added up over all slots."""
        totals: dict[Series, list[float]] = {}
        for slot in range(self.slots):
            start = slot * _SLOT_BYTES + _HEAD_BYTES + _NAMES_BYTES
            for series, at, width in self._series(slot):
                values = struct.unpack_from(f"<{width}d", self._memory, start + 8 * at)
                present = totals.get(series)
                totals[series] = (
                    list(values) if present is None else [a + b for a, b in zip(present, values, strict=True)]
                )
        return totals

    def _series(self, slot: int) -> list[tuple[Series, int, int]]:
        """The series of a slot; what was read before is not parsed again."""
        start = slot * _SLOT_BYTES
        size = _HEAD.unpack_from(self._memory, start)[3]
        done, found = self._parsed[slot]
        if size > done:
            names = bytes(self._memory[start + _HEAD_BYTES + done : start + _HEAD_BYTES + size])
            end = found[-1][1] + found[-1][2] if found else 0
            found.extend(_read_names(names, end))
            self._parsed[slot] = (size, found)
        return found


def _read_names(names: bytes, at: int) -> Iterator[tuple[Series, int, int]]:
    for line in names.splitlines():
        name, labels, width = json.loads(line)
        yield (name, tuple(labels)), at, width
        at += width


class Slot:
    """A worker's own counters. Safe for its threads; another process only reads them."""

    def __init__(self, memory: mmap.mmap, start: int) -> None:
        self._memory = memory
        self._start = start
        _, _, earlier, size = _HEAD.unpack_from(memory, start)
        self._size = size
        self._earlier_cpu_s = earlier
        self._values = memoryview(memory)[start + _HEAD_BYTES + _NAMES_BYTES : start + _SLOT_BYTES].cast("d")
        names = bytes(memory[start + _HEAD_BYTES : start + _HEAD_BYTES + size])
        self._known = {series: (at, width) for series, at, width in _read_names(names, 0)}
        self._next = sum(width for _, width in self._known.values())
        self._lock = threading.Lock()
        self._started_at = time.time()
        self._write_head()

    def cell(self, name: str, labels: tuple[str, ...] = ()) -> Cell:
        """One number of its own."""
        values, at = self._place(name, labels, 1)
        return Cell(values, at, self._lock)

    def histogram(self, name: str, bounds: tuple[float, ...], labels: tuple[str, ...] = ()) -> Histogram:
        """Counts between bounds, those beyond the last one, and the sum of all observed."""
        values, at = self._place(name, labels, len(bounds) + 2)
        return Histogram(values, at, self._lock, bounds)

    def _place(self, name: str, labels: tuple[str, ...], width: int) -> tuple[memoryview[float], int]:
        with self._lock:
            found = self._known.get((name, labels))
            if found is not None:
                return self._values, found[0]
            line = json.dumps([name, labels, width]).encode() + b"\n"
            at = self._next
            if self._size + len(line) > _NAMES_BYTES or at + width > len(self._values):
                # After thousands of model versions: what is new is counted, but no longer shown.
                return memoryview(bytearray(8 * width)).cast("d"), 0
            begin = self._start + _HEAD_BYTES + self._size
            self._memory[begin : begin + len(line)] = line
            self._size += len(line)
            self._next += width
            self._known[name, labels] = (at, width)
            # The size last: a reader takes only what is there in full.
            self._write_head()
            return self._values, at

    def _write_head(self) -> None:
        _HEAD.pack_into(
            self._memory, self._start, os.getpid(), self._started_at, self._earlier_cpu_s, self._size
        )


class Cell:
    """A number that goes up, or up and down."""

    __slots__ = ("_at", "_lock", "_values")

    def __init__(self, values: memoryview[float], at: int, lock: threading.Lock) -> None:
        self._values = values
        self._at = at
        self._lock = lock

    def inc(self, amount: float = 1) -> None:
        with self._lock:
            self._values[self._at] += amount

    def dec(self, amount: float = 1) -> None:
        with self._lock:
            self._values[self._at] -= amount

    def set(self, value: float) -> None:
        self._values[self._at] = value

    def get(self) -> float:
        return self._values[self._at]


class Histogram:
    """How many observations fell between which bounds, and their sum."""

    __slots__ = ("_at", "_bounds", "_lock", "_values")

    def __init__(
        self, values: memoryview[float], at: int, lock: threading.Lock, bounds: tuple[float, ...]
    ) -> None:
        self._values = values
        self._at = at
        self._lock = lock
        self._bounds = bounds

    def observe(self, value: float, times: int = 1) -> None:
        at = self._at
        with self._lock:
            self._values[at + bisect_left(self._bounds, value)] += times
            self._values[at + len(self._bounds) + 1] += value * times
