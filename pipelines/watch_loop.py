"""The watcher's round: look, examine what is new, ask for trainings, run them; then wait for a hint."""

from __future__ import annotations

import logging
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines.examine_job import run_child
from pipelines.job_mending import settle_jobs
from pipelines.job_queue import JobQueue, no_scoring
from pipelines.request import TrainRequest
from pipelines.retrain import Decision, decide_on_new_data, request_retrain
from pipelines.scheduled_scoring import ScheduledScoring
from pipelines.schedules import Schedules
from pipelines.score_request import ScoreRequest
from pipelines.settings import PipelineSettings
from pipelines.triggers import Triggers
from pipelines.unfinished_runs import UnfinishedRuns
from pipelines.watch import Watch
from store.alerts import clear_alert, raise_alert
from store.errors import WorkbenchError
from store.jobs import Job, list_jobs
from store.layout import Layout
from store.ledger import Entry, find_file, ledger_path, list_files, record, stamp_of
from store.watch_state import paused_pipelines

log = logging.getLogger("workbench.watch")

DEBOUNCE_S = 2.0
"""How long nothing new has to come before what came becomes one job."""
_LONGEST_WAIT_S = 60.0
"""How long a stream of files that never pauses can put a job off."""
_STATE_S = 1.0
"""Between two looks at what other processes wrote into the state: jobs, pauses, releases."""
_TRIGGERS_S = 5.0
"""Between two looks at the clock, the alarms and the metrics."""
_RUNS_S = 2.0
"""Between two looks at runs that could not be ended."""
_DEADLY = 3
"""Examinations that a file may end before it is quarantined for that."""


@dataclass
class Task:
    """Something done every so often; one that fails is told of and tried again."""

    name: str
    every_s: float
    run: Callable[[], object]
    due_at: float = 0.0
    problem: str | None = None


@dataclass
class WatchLoop:
    """All that the watcher does, in one thread but for examinations and trainings."""

    layout: Layout
    load: Callable[[], Mapping[str, PipelineSettings]]
    """The pipelines' settings as they are now; raises WorkbenchError while they are wrong."""
    make_request: Callable[[Job], TrainRequest]
    make_scoring: Callable[[Job], ScoreRequest] = no_scoring
    tasks: list[Task] = field(default_factory=list)
    """Further periodic work: the monitor, alert delivery."""
    on_round: Callable[[WatchLoop], None] = lambda loop: None
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    """The time of day, for schedules; everything else goes by a clock that nobody sets."""

    def __post_init__(self) -> None:
        self._wakeup = threading.Event()
        self.watch = Watch(self.layout, self._wakeup.set)
        self.schedules = Schedules(self.layout)
        self.triggers = Triggers(self.layout, self.schedules)
        self._scoring = ScheduledScoring(self.layout, self.schedules)
        self.queue = JobQueue(
            self.layout, self.make_request, make_scoring=self.make_scoring, on_change=self._state_changed
        )
        self._unfinished = UnfinishedRuns(self.layout)
        self._own = [
            Task("settings", 2.0, self._reload),
            Task("scan", 0.0, self._look),
            Task("examination", 0.0, self._examine),
            Task("retraining", 0.0, self._decide),
            Task("triggers", _TRIGGERS_S, self._see_triggers),
            Task("jobs", 0.0, self.queue.step),
            Task("runs", _RUNS_S, self._unfinished.step),
        ]
        self._examiner: threading.Thread | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._deaths: dict[tuple[str, str], int] = {}
        self._waiting_since: dict[str, float] = {}
        self._decide_at: dict[str, float] = {}
        self._waits: dict[str, str] = {}
        """Why a pipeline with ready files is not being trained."""
        self._state_seen: tuple[Any, ...] = ()
        self._is_stopping = False
        self.paused: set[str] = set()
        self._pipelines: Mapping[str, PipelineSettings] = {}

    @property
    def all_tasks(self) -> list[Task]:
        return [*self._own, *self.tasks]

    def waits_for(self, pipeline: str) -> str | None:
        """What its new data, or a training that something else asks for, waits for; None for nothing."""
        found: list[str] = []
        for table in (self.triggers.held, self.queue.put_off, self._waits):
            words = table.get(pipeline)
            if words is not None and not any(one.startswith(words) for one in found):
                found.append(words)
        return "; ".join(found) or None

    def stop(self) -> None:
        """End after the present round; safe in a signal handler."""
        self._is_stopping = True
        self._wakeup.set()

    def run(self) -> None:
        """Work until `stop`."""
        self._start()
        while not self._is_stopping:
            self.round()
            self._wakeup.wait(self._next_in())
            self._wakeup.clear()
        self.close()

    def run_once(self) -> None:
        """Look once, examine all that is whole, train what that is worth, then end."""
        self._start()
        quiet_since: float | None = None
        while not self._is_stopping:
            self.round(is_once=True)
            if self._is_busy():
                quiet_since = None
            elif quiet_since is None:
                quiet_since = time.monotonic()
            elif time.monotonic() - quiet_since > 0.2:
                break
            self._wakeup.wait(0.1)
            self._wakeup.clear()
        self.close()

    def round(self, *, is_once: bool = False) -> None:
        """Do all that is due."""
        now = time.monotonic()
        self._is_once = is_once
        self._see_state()
        for task in self.all_tasks:
            if self._is_stopping:
                return
            if now >= task.due_at:
                self._try(task)
                task.due_at = now + task.every_s
        self.on_round(self)

    def close(self) -> None:
        """Let go of everything: the examination ends, a training goes back to the queue."""
        self._is_stopping = True
        child = self._child
        if child is not None and child.poll() is None:
            child.terminate()
        if self._examiner is not None:
            self._examiner.join(10)
        self.queue.stop()
        self._unfinished.close()
        self.watch.close()

    def _start(self) -> None:
        for job in settle_jobs(self.layout):
            log.warning("job %s of %s failed: its process died", job.id, job.pipeline)

    def _next_in(self) -> float:
        if self._is_busy():
            return 0.1
        now = time.monotonic()
        waits = [self.watch.due_in(), _STATE_S]
        waits += [task.due_at - now for task in self.tasks]
        if any(one.retrain.has_triggers or one.score is not None for one in self._pipelines.values()):
            waits += [task.due_at - now for task in self._own if task.name == "triggers"]
        return max(0.02, min(waits))

    def _is_busy(self) -> bool:
        return (
            any(self.watch.has_pending(name) for name in self.watch.pipelines)
            or (self._examiner is not None and self._examiner.is_alive())
            or bool(self._waiting_since)
            or (getattr(self, "_is_once", False) and self._has_jobs())
        )

    def _has_jobs(self) -> bool:
        return self.queue.running is not None or bool(list_jobs(self.layout, states=("queued",)))

    def _try(self, task: Task) -> None:
        try:
            task.run()
        except Exception as error:
            is_known = isinstance(error, WorkbenchError)
            problem = str(error) if is_known else f"{type(error).__name__}: {error}"
            if problem != task.problem:
                if is_known:
                    log.warning("%s: %s", task.name, error)
                else:
                    log.exception("%s failed", task.name)
                message = f"the watcher fails at {task.name}: {error}"
                raise_alert(
                    self.layout,
                    f"watcher:{task.name}",
                    kind="watcher",
                    severity="warning",
                    message=message,
                    quiet=True,
                )
            task.problem = problem
            task.due_at = time.monotonic() + max(task.every_s, 5.0)
        else:
            if task.problem is not None:
                log.info("%s: it works again", task.name)
                task.problem = None
                clear_alert(self.layout, f"watcher:{task.name}", reason="it works again", quiet=True)

    def _reload(self) -> None:
        pipelines = self.load()
        if pipelines is not self._pipelines:
            self._pipelines = pipelines
            self.watch.configure(pipelines)
            self._decide_at.clear()

    def _see_state(self) -> None:
        """Notice what other processes wrote: a file asked of the system tells whether it is worth a look."""
        seen = []
        for path in (self.layout.state_db, self.layout.state_db.with_name("state.sqlite-wal")):
            with suppress(OSError):
                status = path.stat()
                seen.append((status.st_mtime_ns, status.st_size))
        if tuple(seen) != self._state_seen:
            self._state_seen = tuple(seen)
            self._decide_at.clear()
            # Who ends a pause may have changed the settings for it just before.
            self._own[0].due_at = 0.0
            with suppress(WorkbenchError):
                self.paused = paused_pipelines(self.layout, self._pipelines)

    def _state_changed(self) -> None:
        self._state_seen = ()
        self._wakeup.set()

    def _look(self) -> None:
        if self.watch.due_in() <= 0:
            for name in self.watch.look():
                self._waiting_since.setdefault(name, time.monotonic())

    def _examine(self) -> None:
        """Give new files to a child process, one pipeline at a time."""
        if self._examiner is not None and self._examiner.is_alive():
            return
        for name, settings in self._pipelines.items():
            if name not in self.watch.pipelines:
                continue
            paths = self.watch.to_examine(name) if name in self._waiting_since else []
            if paths:
                deadly = [path for path in paths if self._deaths.get((name, str(path)))]
                # What ended an examination before is looked at alone.
                batch = [path for path in paths if path not in deadly] or deadly[:1]
                self._examiner = threading.Thread(
                    target=self._run_examiner, args=(name, settings, batch), name="examiner", daemon=True
                )
                self._examiner.start()
                return

    def _see_triggers(self) -> None:
        now = self.clock()
        jobs = self.triggers.step(self._pipelines, self.paused, now)
        for job in [*jobs, *self._scoring.step(self._pipelines, now)]:
            log.info("%s: job %s is queued: %s", job.pipeline, job.id, job.reason)
            self._state_changed()

    def _run_examiner(self, name: str, settings: PipelineSettings, paths: list[Path]) -> None:
        left = {ledger_path(path, self.layout.root): path for path in paths}

        def note(answer: dict[str, Any]) -> None:
            path = answer["path"]
            left.pop(path, None)
            self.watch.examined(name, path, is_settled=answer["state"] not in (None, "new"))
            log.info("%s: %s is %s%s", name, path, answer["state"] or "not whole", _because(answer["reason"]))

        def keep(child: subprocess.Popen[bytes]) -> None:
            self._child = child

        problem = run_child(self.layout, name, settings, paths, on_file=note, on_start=keep)
        self._child = None
        if problem is not None and not self._is_stopping:
            log.warning("%s: the examination of %d files ended: %s", name, len(paths), problem)
            for path, file in left.items():
                key = (name, str(file))
                self._deaths[key] = self._deaths.get(key, 0) + 1
                if len(left) == 1 and self._deaths[key] >= _DEADLY:
                    self._give_up(name, path, file, problem)
        self._wakeup.set()

    def _give_up(self, name: str, path: str, file: Path, problem: str) -> None:
        reason = f"{path} could not be examined: {problem}"
        with suppress(OSError, WorkbenchError):
            known = find_file(self.layout, name, path)
            sha256 = None if known is None else known.sha256
            report = {"path": path, "valid": False, "rows": None, "findings": []}
            entry = Entry(path, stamp_of(file.stat()), "quarantined", sha256, reason=reason, report=report)
            record(self.layout, name, [entry])

    def _decide(self) -> None:
        """Ask for a training where new data has come to rest and the settings allow it."""
        now = time.monotonic()
        is_examining = self._examiner is not None and self._examiner.is_alive()
        for name, settings in self._pipelines.items():
            watched = self.watch.pipelines.get(name)
            if watched is None or now < self._decide_at.get(name, 0.0):
                continue
            is_resting = not watched.pending and not is_examining and not self.watch.to_examine(name)
            since = self._waiting_since.get(name, now)
            has_settled = is_resting and now - self.watch.last_change >= DEBOUNCE_S
            if not has_settled and not (now - since > _LONGEST_WAIT_S and not is_examining):
                continue
            self._waiting_since.pop(name, None)
            decision = decide_on_new_data(self.layout, name, settings.retrain)
            if self.paused & {name, "*"} and (decision.reason or decision.waits_for):
                decision = Decision(None, "the pause to end")
            if decision.reason is not None:
                job = request_retrain(self.layout, name, trigger="new_data", reason=decision.reason)
                if job is not None:
                    log.info("%s: job %s is queued for %s", name, job.id, decision.reason)
                self._waits.pop(name, None)
            elif decision.waits_for is not None and list_files(self.layout, pipeline=name, states=("ready",)):
                self._waits[name] = decision.waits_for
            else:
                self._waits.pop(name, None)
            # Until the state changes or time is up, the answer is the same.
            self._decide_at[name] = now + (3600 if decision.wait_s is None else decision.wait_s)


def _because(reason: str | None) -> str:
    return f": {reason}" if reason else ""
