"""A watcher that lives with another process, as `workbench serve --watch` has one."""

from __future__ import annotations

import logging
import os
import subprocess
import threading
from typing import TYPE_CHECKING

from store.background import end
from workbench.watching import watcher_process

if TYPE_CHECKING:
    from workbench.settings import Project

log = logging.getLogger("workbench.watch")

PARENT = "WORKBENCH_WATCH_PARENT"
"""Variable with the pid of the process that a watcher ends with."""


class HostedWatcher:
    """A watcher that lives with another process, such as the server: started again when it dies."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._child: subprocess.Popen[bytes] | None = None
        self._is_stopping = threading.Event()
        self._thread = threading.Thread(target=self._supervise, name="watcher", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the watcher that was started here; one that ran before is left alone."""
        self._is_stopping.set()
        if self._thread.is_alive():
            self._thread.join(30)
        if self._child is not None:
            end(self._child, timeout_s=30)

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
