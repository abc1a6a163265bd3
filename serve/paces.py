"""Which large bodies are answered on the event loop itself: those that keep nobody waiting.

A thread of its own costs a thousand rows a fifth of their time: what one processor has received another one
has to fetch. So a body stays on the event loop while it is the only one asked for and such bodies were quick.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from serve.served_model import ServedModel

MOST_MS = 10.0
"""How long the event loop may be kept."""


class Paces:
    """How long bodies took, and whether anybody else asks. `answered` counts all rows that were answered."""

    def __init__(self, answered: Callable[[], float]) -> None:
        self._answered = answered
        self._seen = -1.0
        self._in_progress = 0
        self._paces: dict[Hashable, tuple[ServedModel, float]] = {}

    @contextmanager
    def asking(self) -> Iterator[None]:
        """While a request is in progress."""
        self._in_progress += 1
        try:
            yield
        finally:
            self._in_progress -= 1

    def allow(self, kind: Hashable, model: ServedModel, n_bytes: int) -> bool:
        """Whether a body may be answered on the event loop."""
        found = self._paces.get(kind)
        # A row by itself may take as long as thousands: then a small body does, too.
        if found is None or found[0] is not model or model.row_ms + found[1] * n_bytes > MOST_MS:
            return False
        return self._in_progress == 1 and self._answered() == self._seen

    def note(self, kind: Hashable, model: ServedModel, n_bytes: int, took_s: float) -> None:
        """A body was answered, wherever it was."""
        self._paces[kind] = (model, took_s * 1000 / max(n_bytes, 1))
        self._seen = self._answered()
