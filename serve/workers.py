"""Several workers: forked once the models are loaded, so that they share them; replaced when they die.

The parent answers nothing itself. It keeps the sockets open, so a connection that comes while a worker is
being replaced waits for the next one, and it passes on what concerns all of them.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from serve.clerk import CLOSE_SECONDS, Clerk
from serve.clerk_desk import ClerkDesk, RemoteClerk
from serve.ports import listen_beside
from serve.systemd import notify, watchdog_interval_s
from serve.worker import GRACE_S, Duties, Workplace, answer_until_told
from store.errors import WorkbenchError
from store.journal import append_event
from store.tracking import open_registry

log = logging.getLogger("workbench.serve")

STEADY_S = 10.0
"""A worker that lived so long is replaced at once when it dies."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
"""Before a worker that dies sooner is replaced; doubled each time."""
_GRACE_S = GRACE_S + 0.6
"""What workers are given beyond the deadline of draining, before they are killed."""
_DESK_S = CLOSE_SECONDS + 2.0
"""The same for the one who folds."""
_DESK = -1
"""The slot of the process that keeps the clerk's desk."""
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


@dataclass
class _Child:
    """A process that was forked, or that is to be."""

    slot: int
    pid: int = 0
    link: socket.socket | None = None
    """Closed by either side when it ends."""
    is_ready: bool = False
    started_at: float = 0.0
    early_deaths: int = 0
    start_at: float = 0.0


class Supervisor:
    """Starts the workers, looks after them, and ends them."""

    def __init__(
        self,
        place: Workplace,
        listeners: Sequence[socket.socket],
        registry_layout: Any,
        on_ready: Callable[[], None],
    ) -> None:
        self._place = place
        self._listeners = list(listeners)
        """One for each worker, or one for all."""
        self._address = listeners[0].family, listeners[0].getsockname()
        self._registry_layout = registry_layout
        self._on_ready = on_ready
        self._desk = ClerkDesk() if place.layout is not None else None
        slots = [*range(place.config.settings.workers), *([_DESK] if self._desk is not None else [])]
        self._children = {slot: _Child(slot) for slot in slots}
        self._is_stopping = False
        self._is_announced = False
        self._has_failed = False
        self._wishes: set[signal.Signals] = set()

    def run(self) -> None:
        """Return after the workers have ended, on SIGTERM or SIGINT.

        Raises WorkbenchError when they can't start in the first place.
        """
        gc.collect()
        gc.freeze()  # what is shared stays untouched, and so shared
        with self._catching_signals() as wakeup:
            watchdog_s = watchdog_interval_s()
            alive_at = 0.0
            while not self._is_stopping:
                self._start_due()
                self._wait(wakeup, 0.2 if self._is_late() else 1.0)
                self._heed_signals()
                if watchdog_s is not None and time.monotonic() - alive_at >= min(watchdog_s, 1.0):
                    alive_at = time.monotonic()
                    notify("WATCHDOG=1")
            self._stop(wakeup)
        if self._desk is not None:
            self._desk.close()
        if self._has_failed:
            raise WorkbenchError("the workers can't start", "The log above says why.")

    def _start_due(self) -> None:
        now = time.monotonic()
        for child in self._children.values():
            if not child.pid and now >= child.start_at:
                self._start(child)

    def _is_late(self) -> bool:
        return any(not child.pid for child in self._children.values())

    def _start(self, child: _Child) -> None:
        self._open_listener(child)
        ours, theirs = socket.socketpair()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            self._be_child(child.slot, theirs, ours)
        theirs.close()
        child.pid, child.link, child.is_ready = pid, ours, False
        child.started_at = time.monotonic()

    def _open_listener(self, child: _Child) -> None:
        """Listen for a worker again that had to wait for its start."""
        if len(self._listeners) > 1 and child.slot != _DESK and self._listeners[child.slot].fileno() < 0:
            with contextlib.suppress(OSError):
                self._listeners[child.slot] = listen_beside(*self._address)

    def _close_listener(self, child: _Child) -> None:
        """Leave new connections to the other workers: one that waits here would wait long."""
        if len(self._listeners) > 1 and child.slot != _DESK:
            self._listeners[child.slot].close()

    def _close_listeners(self) -> None:
        admin = self._place.admin_listener
        for listener in (*self._listeners, *([admin] if admin is not None else [])):
            listener.close()

    def _be_child(self, slot: int, link: socket.socket, parents_end: socket.socket) -> None:
        """Never returns: what the parent does when it ends isn't this process's to do."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            parents_end.close()
            for other in self._children.values():
                if other.link is not None:
                    other.link.close()
            if slot == _DESK:
                self._keep_desk(link)
            else:
                self._work(slot, link)
            status = 0
        except BaseException:
            log.exception("worker %d failed", slot)
        finally:
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)

    def _work(self, slot: int, link: socket.socket) -> None:
        place = self._place
        registry = open_registry(place.config.tracking_uri, self._registry_layout)
        place.host.use(registry)
        place.host.refresh()  # it may have changed since the parent loaded the models
        duties = Duties(
            slot=slot,
            clerk=RemoteClerk(self._desk.address) if self._desk is not None else None,
            on_started=lambda: link.sendall(b"ready\n"),
            on_changed=lambda: link.sendall(b"changed\n"),
            parent=link,
            ignores_interrupt=True,
            reloads_on_hangup=True,
        )
        # uvicorn closes the sockets that it is given.
        listener = self._listeners[slot % len(self._listeners)]
        for other in self._listeners:
            if other is not listener:
                other.close()
        answer_until_told(replace(place, registry=registry), listener, duties)

    def _keep_desk(self, link: socket.socket) -> None:
        place, told = self._place, []
        assert self._desk is not None
        assert place.layout is not None
        self._close_listeners()
        clerk = Clerk(place.layout, place.config.store, place.config.tracking_uri, beside=place.config.beside)

        def end(*_: Any) -> None:
            told.append(True)
            in_time = threading.Timer(CLOSE_SECONDS, clerk.hurry)  # what it does now may take longer
            in_time.daemon = True
            in_time.start()

        signal.signal(signal.SIGTERM, end)
        self._desk.keep(clerk, lambda: bool(told) or _has_ended(link))
        if not told:
            self._desk.close()  # nobody is left to do it

    def _wait(self, wakeup: socket.socket, timeout_s: float) -> None:
        """Until a signal, a word of a child, or the time comes."""
        links = {child.link: child for child in self._children.values() if child.link is not None}
        with contextlib.suppress(InterruptedError):
            readable = select.select([wakeup, *links], [], [], timeout_s)[0]
            for source in readable:
                if source is wakeup:
                    with contextlib.suppress(BlockingIOError):
                        self._wishes.update(map(signal.Signals, wakeup.recv(4096)))
                else:
                    self._hear(links[source])
        self._reap()

    def _hear(self, child: _Child) -> None:
        assert child.link is not None
        try:
            said = child.link.recv(4096)
        except OSError:
            said = b""
        if not said:
            child.link.close()
            child.link = None
            return
        if b"ready" in said:
            child.is_ready = True
            workers = [other for other in self._children.values() if other.slot != _DESK]
            if not self._is_announced and all(other.is_ready for other in workers):
                self._is_announced = True
                self._on_ready()
        if b"changed" in said:
            self._pass_on(signal.SIGHUP, but=child)

    def _heed_signals(self) -> None:
        wishes, self._wishes = self._wishes, set()
        if wishes & {signal.SIGTERM, signal.SIGINT} or (signal.SIGHUP in wishes and has_terminal()):
            self._is_stopping = True
        elif signal.SIGHUP in wishes:
            log.info("SIGHUP: every worker looks at the registry again")
            self._pass_on(signal.SIGHUP)

    def _pass_on(self, number: signal.Signals, *, but: _Child | None = None) -> None:
        # Before it is ready, a worker has nothing to look at again, and no handler for the signal.
        _kill([c for c in self._children.values() if c.slot != _DESK and c is not but and c.is_ready], number)

    def _reap(self) -> None:
        for child in self._children.values():
            if not child.pid:
                continue
            try:
                pid, status, usage = os.wait4(child.pid, os.WNOHANG)
            except ChildProcessError:
                pid, status, usage = child.pid, 0, None
            if pid:
                self._bury(child, status, usage.ru_utime + usage.ru_stime if usage is not None else 0.0)

    def _bury(self, child: _Child, status: int, cpu_s: float) -> None:
        pid, lived_s = child.pid, time.monotonic() - child.started_at
        child.pid, child.is_ready = 0, False
        if child.link is not None:
            child.link.close()
            child.link = None
        if child.slot != _DESK:
            self._place.board.bury(child.slot, cpu_s)
        if self._is_stopping:
            return
        if not self._is_announced and child.slot != _DESK and not os.WIFSIGNALED(status):
            # What keeps the first ones from starting would keep all others, too.
            self._is_stopping = self._has_failed = True
            return
        pause_s = 0.0
        if lived_s >= STEADY_S:
            child.early_deaths = 0
        else:
            pause_s = (
                min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**child.early_deaths) if child.early_deaths else 0.0
            )
            child.early_deaths += 1
        child.start_at = time.monotonic() + pause_s
        if pause_s:
            self._close_listener(child)
        who = "the helper for the log" if child.slot == _DESK else f"worker {child.slot}"
        soon = f"in {pause_s:g} s" if pause_s else "at once"
        log.error("%s (pid %d) ended by %s: it is replaced %s", who, pid, _cause(status), soon)
        if self._place.layout is not None and child.slot != _DESK:
            with contextlib.suppress(WorkbenchError, OSError):
                append_event(
                    self._place.layout,
                    "worker_replaced",
                    reason=f"it ended by {_cause(status)}",
                    details={"worker": child.slot, "pid": pid, "after_s": round(lived_s, 1)},
                )

    def _stop(self, wakeup: socket.socket) -> None:
        """End the workers, then the one who folds what they left; kill who doesn't end in time."""
        notify("STOPPING=1")
        self._close_listeners()
        workers = [child for child in self._children.values() if child.slot != _DESK]
        self._end(workers, wakeup, self._place.config.settings.drain_seconds + _GRACE_S)
        self._end([self._children[_DESK]] if self._desk is not None else [], wakeup, _DESK_S)

    def _end(self, children: Sequence[_Child], wakeup: socket.socket, patience_s: float) -> None:
        deadline = time.monotonic() + patience_s
        self._wishes.clear()
        _kill(children, signal.SIGTERM)
        while any(child.pid for child in children):
            self._wait(wakeup, 0.1)
            # A second ctrl-C says that somebody has no more patience.
            if time.monotonic() > deadline or self._wishes & {signal.SIGINT, signal.SIGTERM}:
                self._wishes.clear()
                log.warning("workers that have not ended are killed")
                _kill(children, signal.SIGKILL)
                deadline = time.monotonic() + 1.0

    @contextmanager
    def _catching_signals(self) -> Iterator[socket.socket]:
        """The end of a pair of sockets where the numbers of signals arrive."""
        heard, told = socket.socketpair()
        heard.setblocking(False)
        told.setblocking(False)
        before = {number: signal.signal(number, _ignore) for number in _SIGNALS}
        before_fd = signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
        try:
            yield heard
        finally:
            signal.set_wakeup_fd(before_fd)
            for number, handler in before.items():
                signal.signal(number, handler)
            heard.close()
            told.close()


def has_terminal() -> bool:
    """Whether a terminal can hang up on this process: then SIGHUP says that it did."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _kill(children: Sequence[_Child], number: signal.Signals) -> None:
    for child in children:
        if child.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, number)


def _has_ended(link: socket.socket) -> bool:
    return bool(select.select([link], [], [], 0)[0])


def _cause(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"signal {signal.Signals(os.WTERMSIG(status)).name}"
    return f"exit status {os.waitstatus_to_exitcode(status)}"


def _ignore(_number: int, _frame: Any) -> None:
    """Signals are read from the wake-up socket."""
