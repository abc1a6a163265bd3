"""What a body becomes once it is read: a few bytes of text can mean an object, and a row of an answer.

Millions of tiny lists take thirty times the memory of their text, and their answers as much again. So they
are counted while a body comes, cheaply, and what is absurd is refused before anything is made of it.
"""

from __future__ import annotations

from serve.problems import Problem

LIGHT_BYTES = 262_144
"""Smaller bodies are never too heavy."""
_MOST_TIMES = 16
"""What the lists, objects and lines of a body may take, as a multiple of its bytes."""
_LEAST_MOST = 48_000_000
"""What they may take however small the body is."""
_LIST = 250
"""Bytes that a list takes, with the row it may be: its prediction, its id, its line in the log."""
_OBJECT = 390
_LINE = 430
"""Of CSV or JSON lines, with the list of its cells."""


class BodyWeight:
    """Counts what is in a body that comes piece by piece; `has_lines` for formats of a record a line.

    Brackets within texts count as well: a body of rows that long has room for them.
    """

    def __init__(self, *, has_lines: bool) -> None:
        self._has_lines = has_lines
        self._uncounted: list[bytes] = []
        self._n_bytes = self._n_lists = self._n_objects = self._n_lines = 0

    def add(self, piece: bytes) -> None:
        """Count it; nothing is done for a body as long as it is light."""
        self._n_bytes += len(piece)
        self._uncounted.append(piece)
        if self._n_bytes <= LIGHT_BYTES:
            return
        for text in self._uncounted:
            self._n_lists += text.count(b"[")
            self._n_objects += text.count(b"{")
            if self._has_lines:
                self._n_lines += max(text.count(b"\n"), text.count(b"\r"))
        self._uncounted.clear()

    def check(self) -> None:
        """Problem 413 for a body that would take too much memory."""
        takes = max(_LIST * self._n_lists + _OBJECT * self._n_objects, _LINE * self._n_lines)
        if takes <= max(_LEAST_MOST, _MOST_TIMES * self._n_bytes):
            return
        n_rows = max(self._n_lists + self._n_objects, self._n_lines)
        what = "lines" if self._has_lines else "lists and objects"
        raise _too_heavy(n_rows, what, takes)


def check_rows(n_rows: int, n_bytes: int) -> None:
    """Problem 413 where a body of as many bytes asks for more answers than memory should be kept for."""
    if n_bytes > LIGHT_BYTES and _LIST * n_rows > max(_LEAST_MOST, _MOST_TIMES * n_bytes):
        raise _too_heavy(n_rows, "rows", _LIST * n_rows)


def check_json(text: bytes) -> None:
    """Problem 413 for JSON that would take too much memory."""
    weight = BodyWeight(has_lines=False)
    weight.add(text)
    weight.check()


def _too_heavy(count: int, what: str, n_bytes: int) -> Problem:
    return Problem(
        413,
        f"these {count:,} {what} would take about {n_bytes / 1e6:.0f} MB of memory at once; send them in"
        " several requests, or rows to predict to /predict/batch, which reads them in parts",
    )
