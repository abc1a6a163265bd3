"""A watcher that lives with another process, as `workbench serve --watch` has one."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import threading
import time
from typing import TYPE_CHECKING

from store.background import end
from workbench.watching import watcher_process

if TYPE_CHECKING:
    from workbench.settings import Project

log = logging.getLogger("workbench.watch")

PARENT = "WORKBENCH_WATCH_PARENT"
"""Variable with the pid of the process that a watcher ends with."""
_LEAST_S = 0.5
"""What it has to end in where its host took all the time."""


class HostedWatcher:
    """A watcher that lives with another process, such as the server: started again when it dies."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._child: subprocess.Popen[bytes] | None = None
        self._told_at: float | None = None
        self._is_stopping = threading.Event()
        self._thread = threading.Thread(target=self._supervise, name="watcher", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def tell(self) -> None:
        """Ask the watcher that was started here to end, and don't wait. Safe in a signal handler."""
        if self._told_at is not None:
            return
        self._told_at = time.monotonic()
        self._is_stopping.set()
        child = self._child
        if child is not None:
            with contextlib.suppress(ProcessLookupError):
                child.terminate()

    def stop(self, patience_s: float) -> None:
        """End it; one that ran before is left alone.

        One that is still there `patience_s` after it was told is killed, which loses no file and no job: what
        it was doing is done again.
        """
        self.tell()
        assert self._told_at is not None
        if self._thread.is_alive():
            self._thread.join()  # it waits for nothing but this
        if self._child is not None:
            end(self._child, timeout_s=max(_LEAST_S, self._told_at + patience_s - time.monotonic()))

    def _supervise(self) -> None:
        process, wait_s = watcher_process(self._project.layout), 1.0
        while not self._is_stopping.wait(0.2 if self._child is None else 1.0):
            if self._child is not None:
                if self._child.poll() is None:
                    continue
                log.warning("the watcher ended: %s", process.last_line())
                if self._is_stopping.wait(wait_s):
                    return
                wait_s = min(60.0, wait_s * 2)
                self._child = None
            if not process.is_running:
                self._child = process.spawn(self._project.root, ["watch"], {PARENT: str(os.getpid())})
            elif self._is_stopping.wait(5.0):
                return
