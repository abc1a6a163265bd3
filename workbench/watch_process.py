"""The process that watches: `workbench watch`."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from store.background import Background
from store.errors import BusyError, SettingsError, WorkbenchError
from workbench.watch_tasks import hosted_tasks
from workbench.watching import WatcherInfo, watcher_process

if TYPE_CHECKING:
    from pipelines.request import TrainRequest
    from pipelines.score_request import ScoreRequest
    from pipelines.settings import PipelineSettings
    from pipelines.watch_loop import WatchLoop
    from store.jobs import Job
    from workbench.settings import Project

log = logging.getLogger("workbench.watch")

HEARTBEAT_S = 15.0


def watch(
    project: Project,
    *,
    is_once: bool = False,
    on_ready: Callable[[WatcherInfo], None] | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> None:
    """Watch the project's data until SIGTERM or SIGINT, or once. Raises BusyError naming a watcher that runs,
    and KeyboardInterrupt after all has ended by SIGINT.

    `clock` is the time of day that schedules go by.
    Sets signal handlers, so it belongs into the main thread of a process of its own.
    """
    from pipelines.watch_loop import WatchLoop

    layout = project.layout.ensure()
    current = CurrentProject(project)
    process = watcher_process(layout)
    with _alone(process):
        started_at = datetime.now(UTC)
        said: list[Any] = [0.0, None]

        def describe(loop: WatchLoop) -> None:
            info = _describe(loop, started_at)
            content = replace(info, heartbeat=started_at).as_json()
            now = time.monotonic()
            if content != said[1] or now - said[0] >= HEARTBEAT_S:
                with contextlib.suppress(WorkbenchError):
                    process.describe(info.as_json())
                if said[1] is None and on_ready is not None:
                    on_ready(info)
                said[:] = [now, content]

        loop = WatchLoop(
            layout,
            current.pipelines,
            current.request,
            current.scoring,
            tasks=hosted_tasks(current),
            on_round=describe,
            clock=clock,
        )
        with _ended_by_signals(loop) as heard:
            if is_once:
                loop.run_once()
            else:
                loop.run()
        if signal.SIGINT in heard:
            raise KeyboardInterrupt


class CurrentProject:
    """The project as its settings file says now; a file that is wrong leaves the last good settings."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self._stamp = self._look()

    def pipelines(self) -> Mapping[str, PipelineSettings]:
        stamp = self._look()
        if stamp != self._stamp:
            from workbench.settings import load_project

            try:
                self.project = load_project(self.project.root)
            except WorkbenchError as error:
                raise SettingsError(error.message, "It goes on with those before.") from error
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

    def scoring(self, job: Job) -> ScoreRequest:
        """What a scoring by the clock is to do; raises SettingsError where the settings have none now."""
        from pipelines.score_request import ScoreRequest

        project = self.project
        name, settings = project.pipeline(job.pipeline)
        if settings.score is None:
            raise SettingsError(
                f"[pipelines.{name}.score] is gone from the settings", "Cancel the job, or put it back."
            )
        return ScoreRequest(
            pipeline=name,
            model=settings.model or name,
            settings=settings.score,
            layout=project.layout,
            store=project.settings.store,
            tracking_uri=project.settings.tracking.uri,
            trusted_types=tuple(project.settings.serve.trusted_types),
            limits=settings.limits,
            occasion=job.reason or job.id,
            tries_failed=job.trigger == "retry",
        )

    def _look(self) -> tuple[int, int] | None:
        from store.layout import SETTINGS_FILE

        try:
            status = (self.project.root / SETTINGS_FILE).stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size


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
                "waits_for": loop.waits_for(name),
                "next_training": _moment(loop.schedules.next_due(f"retrain:{name}")),
                "next_scoring": _moment(loop.schedules.next_due(f"score:{name}")),
            }
            for name, watched in loop.watch.pipelines.items()
        ),
        problems={task.name: task.problem for task in loop.all_tasks if task.problem},
    )


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


@contextmanager
def _alone(process: Background) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(process.registered("watching"))
        except BusyError as error:
            raise BusyError(
                f"this project is watched already: {error.message}",
                "One watcher is enough; end that one to start another: workbench watch --stop.",
            ) from error
        yield


@contextmanager
def _ended_by_signals(loop: WatchLoop) -> Iterator[list[int]]:
    """Yields the signals that came."""
    heard: list[int] = []

    def end(number: int, _frame: object) -> None:
        heard.append(number)
        loop.stop()

    numbers = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
    before = {number: signal.getsignal(number) for number in numbers}
    for number, handler in before.items():
        if number != signal.SIGHUP or handler is signal.SIG_DFL:
            signal.signal(number, end)
    try:
        yield heard
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
