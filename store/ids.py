"""Prediction ids: 17 characters, unique across processes, in order of time as plain text."""

from __future__ import annotations

import os
import secrets
import threading
import time

# Base 32 with digits before letters, so that text order is number order.
_DIGITS = "0123456789abcdefghijklmnopqrstuv"
_PAIRS = [first + second for first in _DIGITS for second in _DIGITS]
ID_LENGTH = 17
_TIME_LENGTH = 9  # 45 bits of milliseconds since 1970: until the year 3084


class _Source:
    """One process's ids: a clock that never goes back, and a counter that starts anywhere in 39 bits.

    The counter keeps processes apart within a millisecond; starting below 2^39 leaves it room to grow in
    its 40 bits, so that ids of one process also sort by the order they were made in.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.reseed()

    def reseed(self) -> None:
        self._counter = secrets.randbits(39)
        self._millisecond = 0
        self._prefix = ""
        self._head = ""
        self._head_of = -1

    def take(self, count: int) -> list[str]:
        with self._lock:
            millisecond = time.time_ns() // 1_000_000
            if millisecond > self._millisecond:
                self._millisecond = millisecond
                self._prefix = _encode(millisecond, _TIME_LENGTH)
                self._head_of = -1
            first = self._counter
            self._counter = first + count
            # All of a thousand that follow each other share their beginning.
            if self._head_of != first >> 10:
                self._head, self._head_of = _head(self._prefix, first), first >> 10
            head, prefix = self._head, self._prefix
        last_pair = first & 1023
        ids = [head + pair for pair in _PAIRS[last_pair : last_pair + count]]
        while len(ids) < count:
            at = first + len(ids)
            head = _head(prefix, at)
            ids += [head + pair for pair in _PAIRS[: count - len(ids)]]
        return ids


def _head(prefix: str, number: int) -> str:
    """All but the last pair of an id."""
    return prefix + _PAIRS[number >> 30 & 1023] + _PAIRS[number >> 20 & 1023] + _PAIRS[number >> 10 & 1023]


def _encode(number: int, length: int) -> str:
    return "".join(_DIGITS[number >> 5 * place & 31] for place in reversed(range(length)))


_source = _Source()
# A forked worker would otherwise continue its parent's counter, as every sibling would.
os.register_at_fork(after_in_child=_source.reseed)


def new_prediction_ids(n: int) -> list[str]:
    """`n` new ids, in ascending order, after all that this process made before."""
    return _source.take(n)


def is_prediction_id(text: str) -> bool:
    """Whether `text` has the form of an id made here and doesn't lie in the future."""
    if len(text) != ID_LENGTH or any(character not in _DIGITS for character in text):
        return False
    milliseconds = 0
    for character in text[:_TIME_LENGTH]:
        milliseconds = milliseconds << 5 | _DIGITS.index(character)
    day_ms = 86_400_000
    return milliseconds <= time.time_ns() // 1_000_000 + day_ms
