"""Several workers: forked once the models are loaded, so that they share them; replaced when they die.

The parent answers nothing itself. It keeps the sockets open, so a connection that comes while a worker is
being replaced waits for the next one. It also loads what is promoted and forks a successor of each worker,
one after the other, so that they share the new model as they did the old one; a worker whose successor
answers takes no more connections, answers on those it has, and ends.
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
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from serve.children import DESK, SIGNALS, Child, be_child, cause, ignore, keep_desk, kill
from serve.clerk import CLOSE_SECONDS
from serve.clerk_desk import ClerkDesk, RemoteClerk
from serve.control import LOG_SECONDS, bound_log
from serve.endings import Ending, ends_on_hangup
from serve.following import Follower
from serve.ports import Listeners
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
_LOADING_S = 10.0
"""How long the successor of a dead worker waits for a load to end, so that it has what is loaded."""
_MOST_PER_SLOT = 4
"""Processes that may answer for one worker at once: itself, and those before it that end."""


class Supervisor:
    """Starts the workers, looks after them, and ends them."""

    def __init__(
        self,
        place: Workplace,
        listeners: Sequence[socket.socket],
        registry_layout: Any,
        on_ready: Callable[[], None],
        ending: Ending,
    ) -> None:
        self._place = place
        self._listeners = Listeners(listeners)
        self._registry_layout = registry_layout
        self._on_ready = on_ready
        self._ending = ending
        self._ends_on_hangup = ends_on_hangup()
        self._desk = ClerkDesk() if place.layout is not None else None
        slots = [*range(place.config.settings.workers), *([DESK] if self._desk is not None else [])]
        self._children = {slot: Child(slot) for slot in slots}
        self._successors: dict[int, Child] = {}
        """By slot; each takes its place among the children when it answers."""
        self._retired: list[Child] = []
        host, settings = place.host, place.config.settings
        # Models that are loaded when somebody asks are each worker's own affair.
        self._follower = (
            Follower(host, settings.reload_seconds, self._fork_trial)
            if not (settings.lazy or settings.max_loaded_mb)
            else None
        )
        self._is_stopping = False
        self._is_announced = False
        self._has_failed = False
        self._wishes: set[signal.Signals] = set()

    def run(self) -> None:
        """Return after the workers have ended, on a signal.

        Raises WorkbenchError when they can't start in the first place.
        """
        gc.collect()
        gc.freeze()  # what is shared stays untouched, and so shared
        with self._catching_signals() as wakeup:
            watchdog_s = watchdog_interval_s()
            alive_at = bounded_at = 0.0
            while not self._is_stopping:
                if self._is_announced and self._follower is not None:
                    self._follower.step()
                self._start_due()
                self._wait(wakeup, self._pause_s())
                self._heed_signals()
                if watchdog_s is not None and time.monotonic() - alive_at >= min(watchdog_s, 1.0):
                    alive_at = time.monotonic()
                    notify("WATCHDOG=1")
                if self._place.layout is not None and time.monotonic() - bounded_at >= LOG_SECONDS:
                    bounded_at = time.monotonic()
                    bound_log(self._place.layout)
            self._stop(wakeup)
        if self._desk is not None:
            self._desk.close()
        if self._has_failed:
            raise WorkbenchError("the workers can't start", "The log above says why.")

    def _start_due(self) -> None:
        now = time.monotonic()
        loading_s = 0.0 if self._follower is None else self._follower.in_thread_s
        if 0.0 < loading_s < _LOADING_S:
            return
        for child in self._children.values():
            if not child.pid and now >= child.start_at and child.slot not in self._successors:
                self._start(child)

        if self._is_announced and self._follower is not None and not self._successors and not loading_s:
            self._start_successor(self._follower.generation, now)

    def _start_successor(self, generation: int, now: float) -> None:
        """Of one worker at a time that has other models than are due."""
        for child in self._children.values():
            if child.slot != DESK and child.is_ready and child.generation < generation:
                successor = Child(child.slot, start_at=child.start_at, early_deaths=child.early_deaths)
                if now >= child.start_at and self._has_room(successor):
                    self._successors[child.slot] = successor
                    self._start(successor)
                return
        desk = self._children.get(DESK)
        if desk is not None and desk.pid and desk.generation < generation and not desk.is_told:
            # It shares memory with processes that are no more. What is asked meanwhile waits for the next.
            desk.is_told = True
            kill([desk], signal.SIGTERM)

    def _has_room(self, child: Child) -> bool:
        """Give it a place on the board that nobody has, its slot's own rather than another."""
        taken = {other.place for other in self._everyone() if other.pid and other.slot != DESK}
        free = [place for place in (child.slot, *range(self._place.board.slots)) if place not in taken]
        if free:
            child.place = free[0]
        return bool(free)

    def _everyone(self) -> list[Child]:
        return [*self._children.values(), *self._successors.values(), *self._retired]

    def _pause_s(self) -> float:
        """How long to wait for a word before looking whether there is something to do."""
        if any(not child.pid for child in self._children.values()):
            return 0.2
        if self._follower is None or not self._is_announced:
            return 1.0
        is_changing = self._follower.is_busy or bool(self._successors)
        return 0.05 if is_changing else min(1.0, self._place.config.settings.reload_seconds)

    def _fork_trial(self) -> int:
        """A child that loads what is due and ends."""
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            be_child("a trial", self._try_models)
        return pid

    def _start(self, child: Child) -> None:
        if child.slot != DESK and not self._has_room(child):
            return
        child.generation = self._follower.generation if self._follower is not None else 0
        if child.slot != DESK:
            self._listeners.open(child.slot)
        ours, theirs = socket.socketpair()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            if child.slot == DESK:
                be_child("the helper for the log", lambda: self._keep_desk(theirs, ours))
            be_child(f"worker {child.slot}", lambda: self._work(child, theirs, ours))
        theirs.close()
        child.pid, child.link, child.is_ready, child.is_told = pid, ours, False, False
        child.started_at = time.monotonic()

    def _close_listeners(self) -> None:
        self._listeners.close_all()
        if self._place.admin_listener is not None:
            self._place.admin_listener.close()

    def _leave_parent(self, parents_end: socket.socket | None) -> None:
        """In a child: what is the parent's own is closed."""
        for link in (parents_end, *(other.link for other in self._everyone())):
            if link is not None:
                link.close()

    def _try_models(self) -> None:
        self._leave_parent(None)
        self._close_listeners()
        log.setLevel(logging.CRITICAL)  # the parent will say the same
        self._place.host.use(open_registry(self._place.config.tracking_uri, self._registry_layout))
        self._place.host.refresh(force=True)

    def _work(self, child: Child, link: socket.socket, parents_end: socket.socket) -> None:
        self._leave_parent(parents_end)
        place = self._place
        registry = open_registry(place.config.tracking_uri, self._registry_layout)
        place.host.use(registry)
        if self._follower is None:
            place.host.refresh()  # it may have changed since the parent loaded the models
        duties = Duties(
            slot=child.place,
            clerk=RemoteClerk(self._desk.address) if self._desk is not None else None,
            on_started=lambda: link.sendall(b"ready\n"),
            on_changed=lambda: link.sendall(b"changed\n"),
            parent=link,
            follows_registry=self._follower is None,
            is_successor=child.slot in self._successors,
            ignores_interrupt=True,
        )
        # uvicorn closes the sockets that it is given.
        answer_until_told(replace(place, registry=registry), self._listeners.only(child.slot), duties)

    def _keep_desk(self, link: socket.socket, parents_end: socket.socket) -> None:
        self._leave_parent(parents_end)
        self._close_listeners()
        assert self._desk is not None
        keep_desk(self._desk, self._place, link)

    def _wait(self, wakeup: socket.socket, timeout_s: float) -> None:
        """Until a signal, a word of a child, or the time comes."""
        links = {child.link: child for child in self._everyone() if child.link is not None}
        with contextlib.suppress(InterruptedError):
            readable = select.select([wakeup, *links], [], [], timeout_s)[0]
            for source in readable:
                if source is wakeup:
                    with contextlib.suppress(BlockingIOError):
                        self._wishes.update(map(signal.Signals, wakeup.recv(4096)))
                else:
                    self._hear(links[source])
        self._reap()

    def _hear(self, child: Child) -> None:
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
            if self._successors.get(child.slot) is child:
                self._let_succeed(child)
            workers = [other for other in self._children.values() if other.slot != DESK]
            if not self._is_announced and all(other.is_ready for other in workers):
                self._is_announced = True
                self._on_ready()
        if b"changed" in said:
            self._look_again(but=child)

    def _let_succeed(self, successor: Child) -> None:
        before = self._children[successor.slot]
        self._children[successor.slot] = self._successors.pop(successor.slot)
        if before.pid:
            self._retired.append(before)
        if before.link is not None:
            with contextlib.suppress(OSError):
                before.link.sendall(b"retire\n")

    def _look_again(self, *, but: Child | None = None) -> None:
        if self._follower is not None:
            self._follower.look_soon()
        else:
            self._pass_on(signal.SIGHUP, but=but)

    def _heed_signals(self) -> None:
        wishes, self._wishes = self._wishes, set()
        endings = {signal.SIGTERM, signal.SIGINT} | ({signal.SIGHUP} if self._ends_on_hangup else set())
        if told := wishes & endings:
            self._is_stopping = True
            self._ending.begin(min(told))
        elif signal.SIGHUP in wishes:
            log.info("SIGHUP: every worker looks at the registry again")
            self._look_again()

    def _pass_on(self, number: signal.Signals, *, but: Child | None = None) -> None:
        # Before it is ready, a worker has nothing to look at again, and no handler for the signal.
        kill([c for c in self._children.values() if c.slot != DESK and c is not but and c.is_ready], number)

    def _reap(self) -> None:
        if self._follower is not None and self._follower.trial_pid:
            pid, status = os.waitpid(self._follower.trial_pid, os.WNOHANG)
            if pid:
                self._follower.trial_ended(status)
        for child in self._everyone():
            if not child.pid:
                continue
            try:
                pid, status, usage = os.wait4(child.pid, os.WNOHANG)
            except ChildProcessError:
                pid, status, usage = child.pid, 0, None
            if pid:
                self._bury(child, status, usage.ru_utime + usage.ru_stime if usage is not None else 0.0)

    def _bury(self, child: Child, status: int, cpu_s: float) -> None:
        pid, lived_s = child.pid, time.monotonic() - child.started_at
        child.pid, child.is_ready = 0, False
        if child.link is not None:
            child.link.close()
            child.link = None
        if child.slot != DESK:
            self._place.board.bury(child.place, cpu_s)
        if child in self._retired:
            self._retired.remove(child)
            return
        if self._is_stopping:
            return
        if self._successors.get(child.slot) is child:
            del self._successors[child.slot]
            present = self._children[child.slot]
            present.start_at = time.monotonic() + LONGEST_PAUSE_S
            log.error(
                "the successor of worker %d ended by %s: the worker stays for now", child.slot, cause(status)
            )
            return
        if not self._is_announced and child.slot != DESK and not os.WIFSIGNALED(status):
            # What keeps the first ones from starting would keep all others, too.
            self._is_stopping = self._has_failed = True
            return
        if child.is_told:
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
        if pause_s and child.slot != DESK:
            self._listeners.close(child.slot)
        who = "the helper for the log" if child.slot == DESK else f"worker {child.slot}"
        soon = f"in {pause_s:g} s" if pause_s else "at once"
        log.error("%s (pid %d) ended by %s: it is replaced %s", who, pid, cause(status), soon)
        if self._place.layout is not None and child.slot != DESK:
            with contextlib.suppress(WorkbenchError, OSError):
                append_event(
                    self._place.layout,
                    "worker_replaced",
                    reason=f"it ended by {cause(status)}",
                    details={"worker": child.slot, "pid": pid, "after_s": round(lived_s, 1)},
                )

    def _stop(self, wakeup: socket.socket) -> None:
        """End the workers, then the one who folds what they left; kill who doesn't end in time."""
        notify("STOPPING=1")
        self._close_listeners()
        if self._follower is not None and self._follower.trial_pid:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(self._follower.trial_pid, signal.SIGKILL)
                os.waitpid(self._follower.trial_pid, 0)
            self._follower.trial_pid = 0
        workers = [child for child in self._everyone() if child.slot != DESK]
        self._end(workers, wakeup, self._place.config.settings.drain_seconds + _GRACE_S)
        self._end([self._children[DESK]] if self._desk is not None else [], wakeup, _DESK_S)

    def _end(self, children: Sequence[Child], wakeup: socket.socket, patience_s: float) -> None:
        deadline = time.monotonic() + patience_s
        self._wishes.clear()
        kill(children, signal.SIGTERM)
        while any(child.pid for child in children):
            self._wait(wakeup, 0.1)
            # A second ctrl-C says that somebody has no more patience.
            if time.monotonic() > deadline or self._wishes & {signal.SIGINT, signal.SIGTERM}:
                self._wishes.clear()
                log.warning("workers that have not ended are killed")
                kill(children, signal.SIGKILL)
                deadline = time.monotonic() + 1.0

    @contextmanager
    def _catching_signals(self) -> Iterator[socket.socket]:
        """The end of a pair of sockets where the numbers of signals arrive."""
        heard, told = socket.socketpair()
        heard.setblocking(False)
        told.setblocking(False)
        before = {number: signal.signal(number, ignore) for number in SIGNALS}
        before_fd = signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
        try:
            yield heard
        finally:
            signal.set_wakeup_fd(before_fd)
            for number, handler in before.items():
                signal.signal(number, handler)
            heard.close()
            told.close()


def slots_for(workers: int) -> int:
    """How many slots of the board so many workers need."""
    return workers if workers == 1 else workers * _MOST_PER_SLOT
