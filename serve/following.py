"""The parent of several workers follows promotions: what it loads once, the next workers inherit.

It looks and loads in a thread, so that signals are heeded meanwhile, and never forks while that thread lives.
A version is first loaded by a child that ends thereafter: one that crashes the process which loads it must
not be this one's end.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING

from serve.background import RETRY_SECONDS

if TYPE_CHECKING:
    from serve.hosting import ModelHost

log = logging.getLogger("workbench.serve")


class Follower:
    """Call `step` again and again; `generation` goes up with each change of what is in service."""

    def __init__(self, host: ModelHost, every_s: float, fork_trial: Callable[[], int]) -> None:
        self._host = host
        self._every_s = every_s
        self._fork_trial = fork_trial
        """Forks a child that loads what is due and ends; returns its pid."""
        self._thread: threading.Thread | None = None
        self._then: Callable[[], None] = lambda: None
        self._began_at = 0.0
        self.trial_pid = 0
        """The child that loads what is due, where there is one."""
        self._is_outdated = False
        self._is_told = False
        self._next_look = time.monotonic() + every_s
        self._next_retry = time.monotonic() + RETRY_SECONDS
        self._crashed_at: Hashable = None
        self.generation = 0

    @property
    def in_thread_s(self) -> float:
        """How long it has been at work in a thread, in which time a fork had better wait; 0: it isn't."""
        return 0.0 if self._thread is None else time.monotonic() - self._began_at

    @property
    def is_busy(self) -> bool:
        return self._thread is not None or bool(self.trial_pid)

    def look_soon(self) -> None:
        """Look without waiting for the time, and try again what failed."""
        self._is_told = True

    def step(self) -> None:
        """Do what is next; never waits."""
        if self._thread is not None:
            if self._thread.is_alive():
                return
            self._thread.join()
            self._thread = None
            self._then()
            return  # whoever waits to fork has a turn
        now = time.monotonic()
        if self.is_busy or (now < self._next_look and not self._is_told):
            return
        self._next_look = now + self._every_s
        is_forced, self._is_told = self._is_told, False
        if self._host.failures and now >= self._next_retry:
            is_forced = True
        self._is_outdated = False
        self._start(lambda: self._look(is_forced=is_forced), self._try)

    def trial_ended(self, status: int) -> None:
        """Take note of how it went: only what didn't crash there is loaded here."""
        self.trial_pid = 0
        before = self._host.standing()
        if os.WIFSIGNALED(status):
            self._crashed_at = self._host.fingerprint
            reason = f"loading it ended its process by signal {os.WTERMSIG(status)}"
            self._start(lambda: self._host.note_crash(reason), lambda: self._loaded(before))
        else:
            self._start(lambda: self._host.refresh(force=True), lambda: self._loaded(before))

    def _look(self, *, is_forced: bool) -> None:
        is_outdated = self._host.is_outdated()
        self._is_outdated = is_forced or (is_outdated and self._host.fingerprint != self._crashed_at)

    def _try(self) -> None:
        if self._is_outdated:
            self._next_retry = time.monotonic() + RETRY_SECONDS
            self.trial_pid = self._fork_trial()

    def _loaded(self, before: Hashable) -> None:
        if self._host.standing() != before:
            self.generation += 1

    def _start(self, work: Callable[[], object], then: Callable[[], None]) -> None:
        def run() -> None:
            try:
                work()
            except (
                Exception
            ):  # whatever it is, the models in service go on answering and the next look may do
                log.exception("looking for a promotion failed")

        self._then, self._began_at = then, time.monotonic()
        self._thread = threading.Thread(target=run, name="following", daemon=True)
        self._thread.start()
