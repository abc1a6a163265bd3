"""Runs the trainings and scorings that were asked for, one of each at a time."""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipelines.forked import Forks
from pipelines.job_mending import failures, queue_once_more
from pipelines.job_process import REQUEST_FILE
from pipelines.launch import train
from pipelines.request import TrainEvent, TrainRequest
from pipelines.retrain import wanted_request
from pipelines.score_launch import run_scoring
from pipelines.score_request import ScoreRequest
from store.alerts import clear_alert, raise_alert
from store.errors import BusyError, StorageError, UsageError, WorkbenchError
from store.jobs import Job, JobKind, get_job, job_lock, list_jobs, update_job
from store.layout import Layout
from store.ledger import return_files
from store.locks import lock_holder
from store.tracking import file_store_path, is_file_store, resolve_uri

log = logging.getLogger("workbench.watch")

IDLE_S = 60.0
"""How long the process that jobs are forked from, which takes some 200 MB, waits for another one."""
_PAUSES_S = (5.0, 30.0, 120.0, 600.0, 3_600.0)
"""Before a job that failed for something that can pass is tried again; the last one again and again."""
_TOLD_AFTER = 3
"""Such failures in a row before there is an alert."""
_WORDS: Mapping[JobKind, str] = {"train": "training of", "score": "scheduled scoring of"}


@dataclass
class _Lane:
    """Where jobs of one kind run, one after the other."""

    kind: JobKind
    thread: threading.Thread | None = None
    job: Job | None = None

    @property
    def is_busy(self) -> bool:
        return self.thread is not None and self.thread.is_alive()


@dataclass(frozen=True)
class _Pause:
    """Why a job is not tried at once."""

    until: float
    """time.monotonic()."""
    words: str
    away: Path | None = None
    """The folder of runs that was not there; once it is, nothing is waited for."""

    def is_over(self, now: float) -> bool:
        return now >= self.until or (self.away is not None and self.away.is_dir())


def no_scoring(job: Job) -> ScoreRequest:
    """For a queue that only trains."""
    raise UsageError(f"nobody scores for {job.pipeline} here")


class JobQueue:
    """Runs queued jobs in threads; each is a process of its own."""

    def __init__(
        self,
        layout: Layout,
        make_request: Callable[[Job], TrainRequest],
        *,
        make_scoring: Callable[[Job], ScoreRequest] = no_scoring,
        on_change: Callable[[], None] = lambda: None,
        on_event: Callable[[Job, TrainEvent], None] = lambda job, event: None,
    ) -> None:
        self._layout = layout
        self._make_request, self._make_scoring = make_request, make_scoring
        self._on_change = on_change
        self._on_event = on_event
        self._lanes = (_Lane("train"), _Lane("score"))
        self._is_stopping = False
        self._not_before: dict[str, _Pause] = {}
        self.put_off: dict[str, str] = {}
        """By pipeline, until when the next try of a job is put off, and why."""
        self._forks = Forks(layout.run / "watch.log")
        self._ended_at = 0.0

    @property
    def running(self) -> Job | None:
        """A job that runs here, if any."""
        return next((lane.job for lane in self._lanes if lane.job is not None), None)

    @property
    def server_pid(self) -> int | None:
        """The process that jobs are forked from, while there is one."""
        return self._forks.pid

    def step(self) -> None:
        """Start the oldest queued job of each kind that nobody does for its pipeline, where none runs."""
        if self._is_stopping or all(lane.is_busy for lane in self._lanes):
            return
        now = time.monotonic()
        if not self._lanes[0].is_busy:
            self._end_idle_server(now)
        waiting = list_jobs(self._layout, states=("queued",))[::-1]
        self._not_before = {job.id: self._not_before[job.id] for job in waiting if job.id in self._not_before}
        self.put_off = {
            job.pipeline: self._not_before[job.id].words for job in waiting if job.id in self._not_before
        }
        for lane in self._lanes:
            if not lane.is_busy:
                self._start_next(lane, [job for job in waiting if job.kind == lane.kind], now)

    def stop(self, timeout_s: float = 20.0) -> None:
        """End the jobs that run; they are queued again for whoever comes next."""
        self._is_stopping = True
        try:
            for lane in self._lanes:
                self._ask_to_end(lane)
            for lane in self._lanes:
                self._wait_for_end(lane, timeout_s)
        finally:
            self._forks.close()

    def _start_next(self, lane: _Lane, waiting: list[Job], now: float) -> None:
        for job in waiting:
            pause = self._not_before.get(job.id)
            if pause is not None and not pause.is_over(now):
                continue
            if lock_holder(job_lock(self._layout, job.kind, job.pipeline)) is None:
                lane.job = job
                lane.thread = threading.Thread(
                    target=self._run, args=(lane, job), name=f"{job.kind} job", daemon=True
                )
                lane.thread.start()
                return

    def _ask_to_end(self, lane: _Lane) -> None:
        if not lane.is_busy or lane.job is None:
            return
        present = get_job(self._layout, lane.job.id)
        if present.state == "running" and present.pid not in (None, os.getpid()):
            assert present.pid is not None
            with suppress(ProcessLookupError, PermissionError):
                os.kill(present.pid, signal.SIGTERM)

    def _wait_for_end(self, lane: _Lane, timeout_s: float) -> None:
        job, thread = lane.job, lane.thread
        if job is None or thread is None:
            return
        thread.join(timeout_s)
        if get_job(self._layout, job.id).state == "failed":
            queue_once_more(self._layout, job)

    def _run(self, lane: _Lane, job: Job) -> None:
        layout = self._layout
        try:
            if job.kind == "score":
                files = run_scoring(self._make_scoring(job), job.id)
                log.info("%s: job %s is done, %d files scored", job.pipeline, job.id, len(files))
            else:
                request = wanted_request(layout, job) or self._make_request(job)
                result = train(
                    request,
                    on_event=lambda event: self._on_event(job, event),
                    job_id=job.id,
                    start=self._forks,
                )
                log.info("%s: job %s is done, run %s", job.pipeline, job.id, result.run_id)
            clear_alert(layout, _alert_key(job), reason=f"job {job.id} came to its end", quiet=True)
        except Exception as error:
            self._failed(job, error)
        finally:
            with suppress(WorkbenchError):
                return_files(layout)
            if job.kind == "train":
                self._ended_at = time.monotonic()
            lane.job = None
            self._on_change()

    def _end_idle_server(self, now: float) -> None:
        if now - self._ended_at > IDLE_S:
            self._forks.close()

    def _failed(self, job: Job, error: Exception) -> None:
        layout = self._layout
        if isinstance(error, BusyError) and get_job(layout, job.id).state == "queued":
            log.info("%s is busy elsewhere; job %s waits", job.pipeline, job.id)
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
        again = ""
        if isinstance(error, BusyError | StorageError):
            number = failures(layout, job)
            again = self._try_later(job, error, number)
            if again and number < _TOLD_AFTER:
                return
        raise_alert(
            layout,
            _alert_key(job),
            kind="job_failed",
            severity="warning",
            message=f"{_WORDS[job.kind]} {job.pipeline} failed: {error}{again}",
            details={"pipeline": job.pipeline, "job": job.id},
            quiet=True,
        )

    def _try_later(self, job: Job, error: WorkbenchError, number: int) -> str:
        """Queue what failed for the `number`th time once more, for later; in words when, or nothing."""
        again = queue_once_more(self._layout, job) if number else None
        if again is None:
            return ""
        pause_s = _PAUSES_S[min(number, len(_PAUSES_S)) - 1]
        away = _missing_store(self._layout, job)
        at = f"{datetime.now(UTC) + timedelta(seconds=pause_s):%H:%M:%S} UTC"
        when = at if away is None else f"{away} to be there again, or {at}"
        words = f"{when}, for another try ({error.message.rstrip('.')})"
        self._not_before[again.id] = _Pause(time.monotonic() + pause_s, words, away)
        log.info("%s: job %s tries again in %.0f s", job.pipeline, again.id, pause_s)
        return f" It is tried again at {at}."


def _missing_store(layout: Layout, job: Job) -> Path | None:
    """The folder of runs that the job was to write to, where it isn't there."""
    try:
        uri = json.loads((layout.jobs / job.id / REQUEST_FILE).read_bytes())["tracking_uri"]
        uri = resolve_uri(uri, layout.root)
        folder = file_store_path(uri) if is_file_store(uri) else None
    except (OSError, ValueError, KeyError, WorkbenchError):
        return None
    return folder if folder is not None and not folder.is_dir() else None


def _alert_key(job: Job) -> str:
    return f"{'job' if job.kind == 'train' else 'score'}_failed:{job.pipeline}"
