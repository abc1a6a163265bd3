"""The watcher of a project: the process itself, and how others find, start and stop it."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from store.errors import BusyError, WorkbenchError
from store.files import write_atomically
from store.layout import Layout
from store.locks import lock_holder, locked

if TYPE_CHECKING:
    from pipelines.request import TrainRequest
    from pipelines.scheduled_scoring import ScheduledScoring
    from pipelines.score_job import ScoreRequest
    from pipelines.settings import PipelineSettings
    from pipelines.watch_loop import Task, WatchLoop
    from store.jobs import Job
    from workbench.settings import Project

log = logging.getLogger("workbench.watch")

HEARTBEAT_S = 15.0
MONITOR_S = 15.0
AT_REST_S = 900.0
"""How often drift is looked for while nothing is predicted: windows end by the clock, too."""
_POLL_S = 0.05
_children: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True)
class WatcherInfo:
    """A running watcher, as it last described itself."""

    pid: int
    started_at: datetime
    heartbeat: datetime
    folders: tuple[Mapping[str, Any], ...] = ()
    """{"path", "events", "why_not"} of each folder: whether changes come as events, and why not."""
    pipelines: tuple[Mapping[str, Any], ...] = ()
    """{"name", "folder", "paused", "waits_for"} of each pipeline."""
    problems: Mapping[str, str] | None = None
    """What fails at the moment, by the name of the task."""

    @property
    def is_paused(self) -> bool:
        return bool(self.pipelines) and all(row.get("paused") for row in self.pipelines)

    def as_json(self) -> dict[str, Any]:
        """The watcher in `status --json`."""
        return {
            "pid": self.pid,
            "started_at": self.started_at.isoformat(),
            "heartbeat": self.heartbeat.isoformat(),
            "paused": self.is_paused,
            "folders": [dict(row) for row in self.folders],
            "pipelines": [dict(row) for row in self.pipelines],
            "problems": dict(self.problems or {}),
        }


def info_path(layout: Layout) -> Path:
    return layout.run / "watch.json"


def lock_path(layout: Layout) -> Path:
    return layout.run / "watch.lock"


def log_path(layout: Layout) -> Path:
    return layout.run / "watch.log"


def running_watcher(layout: Layout) -> WatcherInfo | None:
    """The project's watcher; None when no living process holds its lock. Pauses are those of this moment."""
    if lock_holder(lock_path(layout)) is None:
        return None
    try:
        raw = json.loads(info_path(layout).read_text("utf-8"))
        info = WatcherInfo(
            pid=raw["pid"],
            started_at=datetime.fromisoformat(raw["started_at"]),
            heartbeat=datetime.fromisoformat(raw["heartbeat"]),
            folders=tuple(raw["folders"]),
            pipelines=tuple(raw["pipelines"]),
            problems=raw["problems"],
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None  # it starts or ends at this moment
    from store.watch_state import paused_pipelines

    paused = paused_pipelines(layout, [row["name"] for row in info.pipelines])
    rows = tuple({**row, "paused": row["name"] in paused} for row in info.pipelines)
    return replace(info, pipelines=rows)


def start_background(
    root: Path,
    *,
    options: Sequence[str] = (),
    timeout_s: float = 30.0,
    on_wait: Callable[[float], None] | None = None,
) -> WatcherInfo:
    """Start `workbench watch` for the project at `root` in a session of its own, and wait until it watches.

    It survives the end of this process. Returns the watcher that runs already, where there is one. Raises
    WorkbenchError with the last line of its log when it ends early or isn't ready in time.
    """
    from workbench.settings import load_project

    layout = load_project(root).layout.ensure()
    present = running_watcher(layout)
    if present is not None:
        return present
    child = start_child(root, layout, options=options)
    started = time.monotonic()
    try:
        while (waited := time.monotonic() - started) < timeout_s:
            info = running_watcher(layout)
            if info is not None and info.pid == child.pid:
                _children[child.pid] = child
                return info
            if child.poll() is not None:
                raise WorkbenchError(
                    f"the watcher ended at once: {_last_line(log_path(layout))}",
                    f"Its log is {log_path(layout)}.",
                )
            if on_wait is not None:
                on_wait(waited)
            time.sleep(_POLL_S)
        raise WorkbenchError(
            f"the watcher was not ready within {timeout_s:g} s: {_last_line(log_path(layout))}",
            f"Its log is {log_path(layout)}.",
        )
    except BaseException:
        _end(child)
        raise


def start_child(
    root: Path, layout: Layout, *, options: Sequence[str] = (), parent: int | None = None
) -> subprocess.Popen[bytes]:
    """Start the process without waiting for it; with `parent`, it ends when that process is gone."""
    environment = dict(os.environ)
    if parent is not None:
        environment["WORKBENCH_WATCH_PARENT"] = str(parent)
    with log_path(layout.ensure()).open("ab") as output:
        # -P: a project's folder may hold packages with the names of ours.
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "workbench", "-C", str(root), "watch", *options],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd=root,
            env=environment,
        )


def stop_watcher(layout: Layout, timeout_s: float = 30.0) -> bool:
    """End the project's watcher; a training that it runs goes back to the queue. False when none runs.

    Raises WorkbenchError when it belongs to another user or is still there after `timeout_s`.
    """
    info = running_watcher(layout)
    if info is None:
        return False
    try:
        os.kill(info.pid, signal.SIGTERM)
    except ProcessLookupError:
        raise WorkbenchError(
            f"the watcher runs where its pid {info.pid} can't be reached", "Stop it where it was started."
        ) from None
    except PermissionError as error:
        raise WorkbenchError(
            f"the watcher (pid {info.pid}) belongs to another user", "Ask them, or use sudo."
        ) from error
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if lock_holder(lock_path(layout)) is None:
            child = _children.pop(info.pid, None)
            if child is not None:
                child.wait()
            return True
        time.sleep(_POLL_S)
    raise WorkbenchError(
        f"the watcher (pid {info.pid}) has not ended within {timeout_s:g} s", "End it with: kill -9."
    )


def watch(
    project: Project, *, is_once: bool = False, on_ready: Callable[[WatcherInfo], None] | None = None
) -> None:
    """Watch the project's data until SIGTERM or SIGINT, or once. Raises BusyError naming a watcher that runs.

    Sets signal handlers, so it belongs into the main thread of a process of its own.
    """
    from pipelines.scheduled_scoring import ScheduledScoring
    from pipelines.watch_loop import WatchLoop

    layout = project.layout.ensure()
    current = _Current(project)
    with _registered(layout):
        started_at = datetime.now(UTC)
        said: list[Any] = [0.0, None]

        def describe(loop: WatchLoop) -> None:
            info = _describe(loop, started_at)
            content = replace(info, heartbeat=started_at).as_json()
            now = time.monotonic()
            if content != said[1] or now - said[0] >= HEARTBEAT_S:
                with contextlib.suppress(WorkbenchError):
                    write_atomically(info_path(layout), json.dumps(info.as_json()))
                if said[1] is None and on_ready is not None:
                    on_ready(info)
                said[:] = [now, content]

        scoring = ScheduledScoring(layout, current.scorings)
        tasks = _tasks(current, scoring)
        loop = WatchLoop(layout, current.pipelines, current.request, tasks=tasks, on_round=describe)
        with _ended_by_signals(loop), contextlib.closing(scoring):
            if is_once:
                loop.run_once()
                scoring.finish()
            else:
                loop.run()


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
        child = self._child
        if child is not None:
            if child.poll() is None:
                child.terminate()
            try:
                child.wait(30)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def _supervise(self) -> None:
        layout, wait_s = self._project.layout, 1.0
        while not self._is_stopping.wait(0.2 if self._child is None else 1.0):
            if self._child is not None:
                if self._child.poll() is None:
                    continue
                log.warning("the watcher ended: %s", _last_line(log_path(layout)))
                if self._is_stopping.wait(wait_s):
                    return
                wait_s = min(60.0, wait_s * 2)
                self._child = None
            if lock_holder(lock_path(layout)) is None:
                self._child = start_child(self._project.root, layout, parent=os.getpid())
            elif self._is_stopping.wait(5.0):
                return


class _Current:
    """The project as its settings file says now; a file that is wrong leaves the last good settings."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self._stamp = self._look()

    def pipelines(self) -> Mapping[str, PipelineSettings]:
        stamp = self._look()
        if stamp != self._stamp:
            from workbench.settings import load_project

            self.project = load_project(self.project.root)
            self._stamp = stamp
            log.info("the settings were read again")
        return self.project.settings.pipelines

    def request(self, job: Job) -> TrainRequest:
        from pipelines.request import TrainRequest

        project = self.project
        _, settings = project.pipeline(job.pipeline)
        return TrainRequest(
            pipeline=job.pipeline,
            settings=settings,
            tracking_uri=project.settings.tracking.uri,
            layout=project.layout,
            store=project.settings.store,
            reason=job.reason,
            who=job.who,
            trigger=job.trigger,
            trusted_types=project.settings.serve.trusted_types,
        )

    def scorings(self) -> Mapping[str, ScoreRequest]:
        """The scorings by the clock that the settings want, by pipeline."""
        from pipelines.score_job import ScoreRequest

        project = self.project
        return {
            name: ScoreRequest(
                pipeline=name,
                model=settings.model or name,
                settings=settings.score,
                layout=project.layout,
                store=project.settings.store,
                tracking_uri=project.settings.tracking.uri,
                trusted_types=tuple(project.settings.serve.trusted_types),
                nice=settings.limits.nice,
            )
            for name, settings in project.settings.pipelines.items()
            if settings.score is not None
        }

    def _look(self) -> tuple[int, int] | None:
        from store.layout import SETTINGS_FILE

        try:
            status = (self.project.root / SETTINGS_FILE).stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size


def _tasks(current: _Current, scoring: ScheduledScoring) -> list[Task]:
    """Work that the watcher hosts besides its own."""
    from pipelines.watch_loop import Task

    tasks = [
        Task("alert delivery", 2.0, _Delivery(current).step),
        Task("monitor", MONITOR_S, _Monitor(current).step),
        Task("champions", MONITOR_S, _Champions(current).step),
        Task("scoring", 1.0, scoring.step),
    ]
    parent = os.environ.pop("WORKBENCH_WATCH_PARENT", None)
    if parent is not None:

        def end_with_parent() -> None:
            if os.getppid() != int(parent):
                os.kill(os.getpid(), signal.SIGTERM)

        tasks.append(Task("parent", 1.0, end_with_parent))
    return tasks


class _Delivery:
    """Delivers alerts when the state changed, and now and then: what goes on is repeated by the clock."""

    def __init__(self, current: _Current) -> None:
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


class _Champions:
    """Rolls back what does worse than the champion before, when the findings or the audit trail changed."""

    def __init__(self, current: _Current) -> None:
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


class _Monitor:
    """Looks for drift where no server does, in a process of its own: it takes memory that is given back."""

    def __init__(self, current: _Current) -> None:
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
                raise WorkbenchError("the monitor's process failed", f"Its log is {log_path(layout)}.")
        if lock_holder(layout.run / "server.lock") is not None:
            return  # the server's helper does it
        seen = _stamps([layout.predictions, *_entries(layout.spool)])
        if not seen or (seen == self._seen and time.monotonic() - self._ran_at < AT_REST_S):
            return
        self._seen, self._ran_at = seen, time.monotonic()
        with log_path(layout).open("ab") as output:
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


def _describe(loop: WatchLoop, started_at: datetime) -> WatcherInfo:
    return WatcherInfo(
        pid=os.getpid(),
        started_at=started_at,
        heartbeat=datetime.now(UTC),
        folders=tuple(loop.watch.hints.folders()),
        pipelines=tuple(
            {
                "name": name,
                "folder": str(watched.base),
                "paused": bool(loop.paused & {name, "*"}),
                "waits_for": loop.waits.get(name),
            }
            for name, watched in loop.watch.pipelines.items()
        ),
        problems={task.name: task.problem for task in loop.all_tasks if task.problem},
    )


@contextmanager
def _registered(layout: Layout) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(lock_path(layout), what="watching", timeout_s=0))
        except BusyError as error:
            raise BusyError(
                f"this project is watched already: {error.message}",
                "One watcher is enough; end that one to start another.",
            ) from error
        try:
            yield
        finally:
            info_path(layout).unlink(missing_ok=True)


@contextmanager
def _ended_by_signals(loop: WatchLoop) -> Iterator[None]:
    def end(*_: object) -> None:
        loop.stop()

    numbers = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
    before = {number: signal.getsignal(number) for number in numbers}
    for number, handler in before.items():
        if number != signal.SIGHUP or handler is signal.SIG_DFL:
            signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _last_line(path: Path) -> str:
    try:
        lines = path.read_text("utf-8", errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1] if lines else "it said nothing"


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        child.terminate()
    try:
        child.wait(10)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
