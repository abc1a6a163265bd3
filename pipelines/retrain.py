"""When a pipeline trains by itself, and the queue of trainings that were asked for."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pipelines.launch import train
from pipelines.request import TrainEvent, TrainRequest
from pipelines.settings import RetrainSettings
from store.alerts import clear_alert, raise_alert
from store.errors import BusyError, WorkbenchError
from store.jobs import Job, add_job, get_job, list_jobs, update_job
from store.layout import Layout
from store.ledger import list_files, queue_files, return_files
from store.locks import lock_holder

log = logging.getLogger("workbench.watch")

LIVE = ("queued", "running")
DIED = "its process died"
_DEATHS = 3


@dataclass(frozen=True)
class Decision:
    """Whether new data is worth a training: the reason for it, or what it waits for."""

    reason: str | None
    waits_for: str | None = None
    wait_s: float | None = None
    """Seconds until it is worth asking again, where only time is missing."""


def decide_on_new_data(
    layout: Layout, pipeline: str, settings: RetrainSettings, now: datetime | None = None
) -> Decision:
    """Look at the ready files of a pipeline and at its trainings so far."""
    now = now or datetime.now(UTC)
    ready = list_files(layout, pipeline=pipeline, states=("ready",))
    # A file that had its turn in a training that failed doesn't ask for another one alone.
    fresh = [file for file in ready if file.job_id is None]
    if not fresh:
        return Decision(None)
    if not settings.on_new_data:
        return Decision(None, "on_new_data is off")
    jobs = list_jobs(layout, pipeline=pipeline)
    if any(job.state in LIVE for job in jobs):
        return Decision(None, "the training before it")
    rows = sum(file.rows or 0 for file in ready)
    if rows < settings.min_new_rows:
        return Decision(None, f"{settings.min_new_rows - rows:,} more rows (min_new_rows)")
    ended = [job.ended_at for job in jobs if job.ended_at is not None and job.ended_at <= now]
    if ended and settings.cooldown:
        wait = (max(ended) + timedelta(seconds=settings.cooldown) - now).total_seconds()
        if wait > 0:
            return Decision(None, f"the cooldown, {wait:.0f} s", wait)
    since = now - timedelta(days=1)
    started = sorted(
        job.created_at for job in jobs if job.trigger != "manual" and since < job.created_at <= now
    )
    if len(started) >= settings.max_per_day:
        wait = (started[0] - since).total_seconds() if started else 86_400.0
        return Decision(None, f"the next day: {settings.max_per_day} trainings (max_per_day)", max(wait, 1.0))
    names = ", ".join(file.path for file in fresh[:3]) + (
        f" and {len(fresh) - 3} more" if len(fresh) > 3 else ""
    )
    return Decision(f"{len(fresh)} new file{'s' if len(fresh) != 1 else ''} with {rows:,} rows: {names}")


def request_retrain(
    layout: Layout, pipeline: str, *, trigger: str, reason: str, who: str | None = None
) -> Job | None:
    """Queue a training of a pipeline, with its ready files; None where one is queued or running already."""
    if list_jobs(layout, pipeline=pipeline, states=LIVE):
        return None
    job = add_job(layout, pipeline, state="queued", trigger=trigger, reason=reason, who=who)
    queue_files(layout, pipeline, job.id)
    return job


def settle_jobs(layout: Layout) -> list[Job]:
    """Mend what a crash left: a job that says running and whose lock nobody holds has failed, and the files
    of jobs that ended are given back. Returns the failed ones.

    What nobody waits for any more is queued again, unless its process has died three times.
    """
    failed = []
    for job in list_jobs(layout, states=("running",)):
        if lock_holder(layout.run / f"train-{job.pipeline}.lock") is None:
            failed.append(update_job(layout, job.id, state="failed", error=DIED))
    return_files(layout)
    for job in failed:
        same = [
            other
            for other in list_jobs(layout, pipeline=job.pipeline, limit=10)
            if (other.trigger, other.reason, other.error) == (job.trigger, job.reason, DIED)
        ]
        if job.trigger != "manual" and len(same) < _DEATHS:
            request_retrain(
                layout, job.pipeline, trigger=job.trigger, reason=job.reason or job.trigger, who=job.who
            )
    return failed


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

    @property
    def running(self) -> Job | None:
        return self._job

    def step(self) -> None:
        """Start the oldest queued job whose pipeline nobody trains, where none runs here."""
        if self._is_stopping or (self._thread is not None and self._thread.is_alive()):
            return
        for job in reversed(list_jobs(self._layout, states=("queued",))):
            if lock_holder(self._layout.run / f"train-{job.pipeline}.lock") is None:
                self._job = job
                self._thread = threading.Thread(target=self._run, args=(job,), name="training", daemon=True)
                self._thread.start()
                return

    def stop(self, timeout_s: float = 20.0) -> None:
        """End the training that runs; it is queued again for whoever comes next."""
        self._is_stopping = True
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
            request_retrain(
                self._layout, job.pipeline, trigger=job.trigger, reason=job.reason or job.trigger, who=job.who
            )

    def _run(self, job: Job) -> None:
        layout, key = self._layout, f"job_failed:{job.pipeline}"
        try:
            request = self._make_request(job)
            result = train(request, on_event=lambda event: self._on_event(job, event), job_id=job.id)
            log.info("%s: job %s is done, run %s", job.pipeline, job.id, result.run_id)
            clear_alert(layout, key, reason=f"job {job.id} came to its end", quiet=True)
        except BusyError:
            log.info("%s is being trained by somebody else; job %s waits", job.pipeline, job.id)
        except Exception as error:
            log.warning("%s: job %s failed: %s", job.pipeline, job.id, error)
            is_cancelled = False
            with suppress(WorkbenchError):
                is_cancelled = (
                    update_job(layout, job.id, state="failed", error=str(error)).state == "cancelled"
                )
            if not self._is_stopping and not is_cancelled:
                raise_alert(
                    layout,
                    key,
                    kind="job_failed",
                    severity="warning",
                    message=f"training of {job.pipeline} failed: {error}",
                    details={"pipeline": job.pipeline, "job": job.id},
                    quiet=True,
                )
        finally:
            with suppress(WorkbenchError):
                return_files(layout)
            self._job = None
            self._on_change()
