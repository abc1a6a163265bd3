"""Watches over a job's process: the wish to cancel it, the limits of its time and memory, its log's size."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from types import TracebackType
from typing import Protocol, Self

from pipelines.settings import LimitSettings
from store.bounded_logs import cut_middle
from store.job_progress import cancel_words, log_path
from store.layout import Layout

_LOOK_S = 0.25
_MEMORY_LOOK_S = 0.1
_LOG_LOOK_S = 2.0
GRACE_S = 10.0
"""How long a process that is asked to end may take to mark its run before it is killed."""


class Child(Protocol):
    """As much of a process as is needed here; it leads a process group."""

    pid: int

    def poll(self) -> int | None: ...


class Supervisor:
    """Looks at the process until the block ends; `reason` says why it was ended from here, if it was."""

    def __init__(self, layout: Layout, job_id: str, child: Child, limits: LimitSettings) -> None:
        self._layout, self._job_id, self._child, self._limits = layout, job_id, child, limits
        self.reason: str | None = None
        self.is_cancelled = False
        self._is_over = threading.Event()
        self._begun = time.monotonic()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        memory = self._limits.memory_mb
        every_s = _MEMORY_LOOK_S if memory is not None else _LOOK_S
        asked_at: float | None = None
        log_seen_at = 0.0
        while not self._is_over.wait(every_s) and self._child.poll() is None:
            now = time.monotonic()
            if now - log_seen_at >= _LOG_LOOK_S:
                cut_middle(log_path(self._layout, self._job_id))
                log_seen_at = now
            if asked_at is not None:
                if now - asked_at >= GRACE_S:
                    self._signal(signal.SIGKILL)
                continue
            words = cancel_words(self._layout, self._job_id)
            if words is not None:
                self.is_cancelled = True
                self.reason = words
            elif self._limits.time is not None and now - self._begun > self._limits.time:
                self.reason = f"it took longer than {self._limits.time:g} s (limits.time)"
            elif memory is not None and (used := used_mb(self._child.pid)) > memory:
                self.reason = f"it took {used:,.0f} MB, more than {memory:g} (limits.memory_mb)"
                # It has no memory left for an orderly end.
                self._signal(signal.SIGKILL)
                return
            if self.reason is not None:
                asked_at = now
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._child.pid, signal.SIGTERM)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, number)


def used_mb(pid: int) -> float:
    """Resident memory of a process and all that it started, megabytes; 0 when it is gone."""
    import psutil

    total = 0
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for one in [process, *process.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                total += one.memory_info().rss
    return total / 2**20
