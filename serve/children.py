"""What the parent of several workers forks: the processes themselves, and how each begins and ends."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from serve.clerk import CLOSE_SECONDS, Clerk

if TYPE_CHECKING:
    from serve.clerk_desk import ClerkDesk
    from serve.worker import Workplace

log = logging.getLogger("workbench.serve")

DESK = -1
"""The slot of the process that keeps the clerk's desk."""
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
"""Those that the parent heeds."""


@dataclass(eq=False)
class Child:
    """A process that was forked, or that is to be."""

    slot: int
    place: int = 0
    """Its slot on the board, which has more: a worker counts there until it has ended."""
    generation: int = 0
    """Which models it began with (see `serve.following`)."""
    pid: int = 0
    link: socket.socket | None = None
    """Closed by either side when it ends."""
    is_ready: bool = False
    is_told: bool = False
    """Whether it ends because it was told to."""
    started_at: float = 0.0
    early_deaths: int = 0
    start_at: float = 0.0


def be_child(name: str, work: Callable[[], None]) -> NoReturn:
    """In a process just forked: do its work and end. What the parent does when it ends isn't this one's."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        work()
        status = 0
    except BaseException:
        log.exception("%s failed", name)
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def keep_desk(desk: ClerkDesk, place: Workplace, link: socket.socket) -> None:
    """Fold and answer until SIGTERM, or until the parent's end of the link is closed."""
    told: list[bool] = []
    assert place.layout is not None
    clerk = Clerk(place.layout, place.config.store, place.config.tracking_uri, beside=place.config.beside)

    def end(*_: Any) -> None:
        told.append(True)
        in_time = threading.Timer(CLOSE_SECONDS, clerk.hurry)  # what it does now may take longer
        in_time.daemon = True
        in_time.start()

    signal.signal(signal.SIGTERM, end)
    desk.keep(clerk, lambda: bool(told) or _has_ended(link))
    if not told:
        desk.close()  # nobody is left to do it


def kill(children: Sequence[Child], number: signal.Signals) -> None:
    """Send a signal to those that live."""
    for child in children:
        if child.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, number)


def cause(status: int) -> str:
    """What a process ended by, in words."""
    if os.WIFSIGNALED(status):
        return f"signal {signal.Signals(os.WTERMSIG(status)).name}"
    return f"exit status {os.waitstatus_to_exitcode(status)}"


def ignore(_number: int, _frame: Any) -> None:
    """For signals that are read from a wake-up socket."""


def _has_ended(link: socket.socket) -> bool:
    return bool(select.select([link], [], [], 0)[0])
