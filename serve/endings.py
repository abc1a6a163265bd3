"""How the server is told to end: SIGTERM, ctrl-C, or its terminal hanging up."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any


class _ToldToEnd(BaseException):
    """A signal came before anything was answered."""


class Ending:
    """Whether the server was told to end; `on_begin` is called when it is, from within a signal handler."""

    def __init__(self, on_begin: Callable[[], None] = lambda: None) -> None:
        self._on_begin = on_begin
        self._has_begun = False
        self.was_interrupted = False
        """Whether it was ctrl-C, which its shell wants to know of."""

    def begin(self, number: int) -> None:
        """The signal came. It may interrupt itself: only the first one is told on."""
        if self._has_begun:
            return
        self._has_begun = True
        self.was_interrupted = number == signal.SIGINT
        self._on_begin()

    @contextmanager
    def heeded(self) -> Iterator[None]:
        """End the block by the first signal while nobody else heeds signals; further ones change nothing.

        As the first process of a container, one without a handler would not be ended at all.
        """

        def handle(number: int, _frame: Any) -> None:
            is_first = not self._has_begun
            self.begin(number)
            if is_first:
                raise _ToldToEnd

        try:
            before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
        except ValueError:  # not the main thread, where signals never arrive
            yield
            return
        try:
            yield
        except _ToldToEnd:
            pass
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def heed_no_hangup() -> None:
    """The end has begun, and its last steps are short: a terminal that is gone may say so several times."""
    with suppress(ValueError):  # not the main thread
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


def ends_on_hangup() -> bool:
    """Whether SIGHUP will say that this process's terminal is gone: asked before it is; no with nohup."""
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        return False
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
