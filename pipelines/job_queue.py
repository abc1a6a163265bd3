"""Runs the trainings that were asked for, and mends what a crash left of them."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

from pipelines.forked import ForkServer
from pipelines.launch import DIED, JobProcess, settle_dead_jobs, train
from pipelines.request import TrainEvent, TrainRequest
from pipelines.retrain import LIVE, WANTED_FILE, queue_again, wanted_request
from store.alerts import clear_alert, raise_alert
from store.errors import BusyError, StorageError, WorkbenchError
from store.jobs import Job, get_job, list_jobs, update_job
from store.layout import Layout
from store.ledger import queue_files, return_files
from store.locks import lock_holder

log = logging.getLogger("workbench.watch")

_DEATHS = 3
IDLE_S = 180.0
"""How long the process that jobs are forked from waits for another one."""
_PAUSES_S = (5.0, 30.0, 120.0, 600.0)
"""Before a training that failed for something that can pass is tried again."""


def settle_jobs(layout: Layout) -> list[Job]:
    """Mend what a crash left: a job that says running and whose lock nobody holds has failed, and the files
    of jobs that ended are given back. Returns the failed ones.

    What nobody waits for any more is queued again, unless its process has died three times.
    """
    failed = []
    for job in list_jobs(layout, states=("running",)):
        if lock_holder(layout.run / f"train-{job.pipeline}.lock") is None:
            failed += settle_dead_jobs(layout, [job])
    return_files(layout)
    for job in failed:
        is_wanted = job.trigger != "manual" or (layout.jobs / job.id / WANTED_FILE).exists()
        if is_wanted and _failures(layout, job, DIED) < _DEATHS:
            _queue_once_more(layout, job)
    return failed


def _failures(layout: Layout, job: Job, error: str | None = None) -> int:
    """How many times in a row this training failed, or failed for `error`."""
    number = 0
    for other in list_jobs(layout, pipeline=job.pipeline, limit=10):
        if other.state in LIVE:
            continue
        is_same = (other.trigger, other.reason, other.state) == (job.trigger, job.reason, "failed")
        if not is_same or (error is not None and other.error != error):
            break
        number += 1
    return number


def _queue_once_more(layout: Layout, job: Job) -> Job | None:
    if list_jobs(layout, pipeline=job.pipeline, states=LIVE):
        return None
    again = queue_again(layout, job, trigger=job.trigger, reason=job.reason, who=job.who)
    queue_files(layout, job.pipeline, again.id)
    return again


class JobQueue:
    """Runs queued trainings, one at a time, in a thread; the training itself is a process of its own."""

    def __init__(
        self,
        layout: Layout,
        make_request: Callable[[Job], TrainRequest],
        *,
        on_change: Callable[[], None] = lambda: None,
        on_event: Callable[[Job, TrainEvent], None] = lambda job, event: None,
    ) -> None:
        self._layout = layout
        self._make_request = make_request
        self._on_change = on_change
        self._on_event = on_event
        self._thread: threading.Thread | None = None
        self._job: Job | None = None
        self._is_stopping = False
        self._not_before: dict[str, float] = {}
        self._server: ForkServer | None = None
        self._ended_at = 0.0

    @property
    def running(self) -> Job | None:
        return self._job

    @property
    def server_pid(self) -> int | None:
        """The process that jobs are forked from, while there is one."""
        return None if self._server is None else self._server.pid

    def step(self) -> None:
        """Start the oldest queued job whose pipeline nobody trains, where none runs here."""
        if self._is_stopping or (self._thread is not None and self._thread.is_alive()):
            return
        now = time.monotonic()
        self._end_idle_server(now)
        for job in reversed(list_jobs(self._layout, states=("queued",))):
            if self._not_before.get(job.id, 0.0) > now:
                continue
            if lock_holder(self._layout.run / f"train-{job.pipeline}.lock") is None:
                self._job = job
                self._thread = threading.Thread(target=self._run, args=(job,), name="training", daemon=True)
                self._thread.start()
                return

    def stop(self, timeout_s: float = 20.0) -> None:
        """End the training that runs; it is queued again for whoever comes next."""
        self._is_stopping = True
        try:
            self._stop_training(timeout_s)
        finally:
            if self._server is not None:
                self._server.close()

    def _stop_training(self, timeout_s: float) -> None:
        thread, job = self._thread, self._job
        if thread is None or not thread.is_alive() or job is None:
            return
        present = get_job(self._layout, job.id)
        if present.state == "running" and present.pid not in (None, os.getpid()):
            assert present.pid is not None
            with suppress(ProcessLookupError, PermissionError):
                os.kill(present.pid, signal.SIGTERM)
        thread.join(timeout_s)
        if get_job(self._layout, job.id).state == "failed":
            _queue_once_more(self._layout, job)

    def _run(self, job: Job) -> None:
        layout, key = self._layout, f"job_failed:{job.pipeline}"
        try:
            request = wanted_request(layout, job) or self._make_request(job)
            result = train(
                request,
                on_event=lambda event: self._on_event(job, event),
                job_id=job.id,
                start=self._start,
            )
            log.info("%s: job %s is done, run %s", job.pipeline, job.id, result.run_id)
            clear_alert(layout, key, reason=f"job {job.id} came to its end", quiet=True)
        except Exception as error:
            self._failed(job, error, key)
        finally:
            with suppress(WorkbenchError):
                return_files(layout)
            self._job = None
            self._ended_at = time.monotonic()
            self._on_change()

    def _start(
        self, folder: Path, environment: Mapping[str, str], log_file: IO[bytes], cwd: Path
    ) -> JobProcess:
        if self._server is None or not self._server.is_alive:
            self._server = ForkServer(environment, cwd, self._layout.run / "watch.log")
        return self._server.start(folder, environment, log_file, cwd)

    def _end_idle_server(self, now: float) -> None:
        """What waits for a next job takes 200 MB."""
        if self._server is not None and now - self._ended_at > IDLE_S:
            self._server.close()
            self._server = None

    def _failed(self, job: Job, error: Exception, key: str) -> None:
        layout = self._layout
        if isinstance(error, BusyError) and get_job(layout, job.id).state == "queued":
            log.info("%s is being trained by somebody else; job %s waits", job.pipeline, job.id)
            return
        state = "failed"
        with suppress(WorkbenchError):
            state = update_job(layout, job.id, state="failed", error=str(error)).state
        if state == "cancelled":
            log.info("%s: job %s was cancelled", job.pipeline, job.id)
            return
        log.warning("%s: job %s failed: %s", job.pipeline, job.id, error)
        if self._is_stopping:
            return
        message = f"training of {job.pipeline} failed: {error}"
        if isinstance(error, BusyError | StorageError):
            number = _failures(layout, job)
            if 0 < number <= len(_PAUSES_S):
                again = _queue_once_more(layout, job)
                if again is not None:
                    pause_s = _PAUSES_S[number - 1]
                    self._not_before[again.id] = time.monotonic() + pause_s
                    log.info("%s: job %s tries again in %.0f s", job.pipeline, again.id, pause_s)
                    return
        raise_alert(
            layout,
            key,
            kind="job_failed",
            severity="warning",
            message=message,
            details={"pipeline": job.pipeline, "job": job.id},
            quiet=True,
        )
