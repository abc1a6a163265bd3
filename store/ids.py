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
_FRESH_MS = 20
_MOST_READY = 512


class _Source:
    """One process's ids: a clock that never goes back, and a counter that starts anywhere in 39 bits.

    The counter keeps processes apart within a millisecond; starting below 2^39 leaves it room to grow in
    its 40 bits, so that ids of one process also sort by the order they were made in. Where they are wanted
    quickly one after the other, more are made at once, to be given out within _FRESH_MS.
    """

    def __init__(self) -> None:
        self.reseed()

    def reseed(self) -> None:
        self._lock = threading.Lock()  # in a forked child, a thread that isn't there may hold the parent's
        self._counter = secrets.randbits(39)
        self._millisecond = 0
        self._ready: list[str] = []
        self._given = 0

    def take(self, count: int) -> list[str]:
        with self._lock:
            millisecond = time.time_ns() // 1_000_000
            given = self._given
            if millisecond > self._millisecond + _FRESH_MS:
                self._millisecond, self._ready = millisecond, []
            ids = self._ready[given : given + count]
            self._given = given + count
            if len(ids) < count:
                missing = count - len(ids)
                # As many as the last time, where those have grown old; twice as many where they were too few.
                likely = 2 * len(self._ready) or given
                self._millisecond = max(self._millisecond, millisecond)
                self._ready = self._make(max(missing, min(likely, _MOST_READY)))
                ids += self._ready[:missing]
                self._given = missing
            return ids

    def _make(self, count: int) -> list[str]:
        prefix = _encode(self._millisecond, _TIME_LENGTH)
        ids: list[str] = []
        while len(ids) < count:
            # All of a thousand that follow each other share their beginning.
            number, pair = self._counter, self._counter & 1023
            pairs = _PAIRS[pair : pair + count - len(ids)]
            beginning = prefix + _middle(number)
            ids += [beginning + pair for pair in pairs]
            self._counter += len(pairs)
        return ids


def _middle(number: int) -> str:
    """A counter's digits between the time and the last pair."""
    return _PAIRS[number >> 30 & 1023] + _PAIRS[number >> 20 & 1023] + _PAIRS[number >> 10 & 1023]


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
