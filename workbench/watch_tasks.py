"""What the watcher does besides its own work: alerts delivered, drift looked for, champions rolled back."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from store.errors import WorkbenchError
from store.locks import lock_holder
from workbench.hosted_watcher import PARENT
from workbench.watching import watcher_process

if TYPE_CHECKING:
    from pipelines.watch_loop import Task
    from workbench.watch_process import CurrentProject

log = logging.getLogger("workbench.watch")

MONITOR_S = 15.0
HOUSEKEEPING_S = 60.0
AT_REST_S = 900.0
"""How often drift is looked for while nothing is predicted: windows end by the clock, too."""


def hosted_tasks(current: CurrentProject) -> list[Task]:
    """All of it, for a watch loop."""
    from pipelines.watch_loop import Task

    tasks = [
        Task("alert delivery", 2.0, AlertDelivery(current).step),
        Task("monitor", MONITOR_S, DriftMonitor(current).step),
        Task("champions", MONITOR_S, Champions(current).step),
        Task("housekeeping", HOUSEKEEPING_S, Housekeeping(current).step),
    ]
    parent = os.environ.pop(PARENT, None)
    if parent is not None:

        def end_with_parent() -> None:
            if os.getppid() != int(parent):
                os.kill(os.getpid(), signal.SIGTERM)

        tasks.append(Task("parent", 1.0, end_with_parent))
    return tasks


class AlertDelivery:
    """Delivers alerts when the state changed, and now and then: what goes on is repeated by the clock."""

    def __init__(self, current: CurrentProject) -> None:
        self._current = current
        self._seen: object = None
        self._ran_at = 0.0

    def step(self) -> None:
        project = self._current.project
        path = project.layout.state_db
        seen = _stamps([path, path.with_name(f"{path.name}-wal")])
        if seen == self._seen and time.monotonic() - self._ran_at < 30.0:
            return
        from workbench.alerting import deliver

        self._seen, self._ran_at = seen, time.monotonic()
        deliver(project.layout, project.settings.alerts, project=project.name)


class Champions:
    """Rolls back what does worse than the champion before, when the findings or the audit trail changed."""

    def __init__(self, current: CurrentProject) -> None:
        self._current = current
        self._seen: object = None

    def step(self) -> None:
        project = self._current.project
        layout = project.layout
        watched = {
            name: settings
            for name, settings in project.settings.pipelines.items()
            if settings.gate.auto_rollback
        }
        findings = layout.state / "findings.sqlite"
        files = [findings, findings.with_name(f"{findings.name}-wal"), layout.journal]
        seen = _stamps(files)
        if not watched or seen == self._seen:
            return
        from pipelines.rollback import watch_champion
        from store.tracking import open_registry, resolve_uri

        registry = open_registry(resolve_uri(project.settings.tracking.uri, project.root), layout)
        for name, settings in watched.items():
            reason = watch_champion(layout, registry, name, settings)
            if reason is not None:
                log.warning("%s is rolled back: %s", name, reason)
        self._seen = seen


class DriftMonitor:
    """Looks for drift where no server does, in a process of its own: it takes memory that is given back."""

    def __init__(self, current: CurrentProject) -> None:
        self._current = current
        self._child: subprocess.Popen[bytes] | None = None
        self._seen: object = None
        self._ran_at = 0.0

    def step(self) -> None:
        layout = self._current.project.layout
        if self._child is not None:
            code = self._child.poll()
            if code is None:
                return
            self._child = None
            if code:
                log_path = watcher_process(layout).log_path
                raise WorkbenchError("the monitor's process failed", f"Its log is {log_path}.")
        if lock_holder(layout.run / "server.lock") is not None:
            return  # the server's helper does it
        seen = _stamps([layout.predictions, *_entries(layout.spool)])
        if not seen or (seen == self._seen and time.monotonic() - self._ran_at < AT_REST_S):
            return
        self._seen, self._ran_at = seen, time.monotonic()
        with watcher_process(layout).log_path.open("ab") as output:
            self._child = subprocess.Popen(
                [sys.executable, "-P", "-c", _CATCH_UP, str(self._current.project.root)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )


_CATCH_UP = """
import pathlib, sys
from workbench.monitoring import Monitor

Monitor(pathlib.Path(sys.argv[1])).catch_up()
"""


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _stamps(paths: Sequence[Path]) -> list[tuple[str, int, int]]:
    found = []
    for path in paths:
        with contextlib.suppress(OSError):
            status = path.stat()
            found.append((path.name, status.st_mtime_ns, status.st_size))
    return found


class Housekeeping:
    """Keeps the watcher's log and the folders of old jobs from filling the disk."""

    def __init__(self, current: CurrentProject) -> None:
        self._current = current

    def step(self) -> None:
        from store.bounded_logs import prune_jobs, rotate

        layout = self._current.project.layout
        rotate(watcher_process(layout).log_path)
        prune_jobs(layout)
