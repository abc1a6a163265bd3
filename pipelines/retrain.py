"""When a pipeline trains by itself, and how a training is asked for."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pipelines.job_process import job_folder
from pipelines.request import TrainRequest
from pipelines.settings import RetrainSettings
from store.errors import BusyError, StorageError, UsageError
from store.files import write_atomically
from store.jobs import FINAL_STATES, Job, add_job, get_job, list_jobs, new_job_id
from store.layout import Layout
from store.ledger import list_files, queue_files

LIVE = ("queued", "running")
WANTED_FILE = "wanted.json"
"""In a job's folder: the training as somebody asked for it; without it, the settings of the moment count."""


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
    rows = sum(file.rows or 0 for file in ready)
    is_idle = not list_jobs(layout, pipeline=pipeline, states=LIVE, kind="train", limit=1)
    if is_idle and rows < settings.min_new_rows:
        return Decision(None, f"{settings.min_new_rows - rows:,} more rows (min_new_rows)")
    obstacle = obstacle_to_training(layout, pipeline, settings, now)
    if obstacle is not None:
        return obstacle
    names = ", ".join(file.path for file in fresh[:3]) + (
        f" and {len(fresh) - 3} more" if len(fresh) > 3 else ""
    )
    return Decision(f"{len(fresh)} new file{'s' if len(fresh) != 1 else ''} with {rows:,} rows: {names}")


def obstacle_to_training(
    layout: Layout, pipeline: str, settings: RetrainSettings, now: datetime
) -> Decision | None:
    """Why the watcher may not train just now: another training, the cooldown, the most for a day."""
    jobs = list_jobs(layout, pipeline=pipeline, kind="train")
    if any(job.state in LIVE for job in jobs):
        return Decision(None, "the training before it")
    ended = [job.ended_at for job in jobs if job.ended_at is not None and job.ended_at <= now]
    if ended and settings.cooldown:
        wait = (max(ended) + timedelta(seconds=settings.cooldown) - now).total_seconds()
        if wait > 0:
            return Decision(None, f"the cooldown, until {now + timedelta(seconds=wait):%H:%M:%S} UTC", wait)
    since = now - timedelta(days=1)
    # One that failed and was tried again counts once.
    started = sorted(
        {
            (job.trigger, job.reason) if job.state == "failed" else job.id: job.created_at
            for job in jobs
            if job.trigger != "manual" and since < job.created_at <= now
        }.values()
    )
    if len(started) >= settings.max_per_day:
        wait = max((started[0] - since).total_seconds() if started else 86_400.0, 1.0)
        until = f"{now + timedelta(seconds=wait):%Y-%m-%d %H:%M} UTC"
        words = f"{until}: {len(started)} trainings within 24 hours (max_per_day = {settings.max_per_day})"
        return Decision(None, words, wait)
    return None


def request_retrain(
    layout: Layout, pipeline: str, *, trigger: str, reason: str, who: str | None = None
) -> Job | None:
    """Queue a training of a pipeline, with its ready files; None where one is queued or running already."""
    if list_jobs(layout, pipeline=pipeline, states=LIVE, kind="train"):
        return None
    job = add_job(layout, pipeline, state="queued", trigger=trigger, reason=reason, who=who)
    queue_files(layout, pipeline, job.id)
    return job


def queue_training(request: TrainRequest) -> Job:
    """Queue a training with exactly these settings, for the watcher to run.

    Raises BusyError while another one of the pipeline waits.
    """
    layout = request.layout.ensure()
    waiting = list_jobs(layout, pipeline=request.pipeline, states=("queued",), kind="train", limit=1)
    if waiting:
        raise BusyError(
            f"job {waiting[0].id} of {request.pipeline} is queued already",
            "One at a time; cancel it with: workbench jobs cancel.",
        )
    # The wish is in the folder before anybody can see the job.
    job_id = new_job_id()
    _keep_wish(layout, job_id, json.dumps(request.as_json()))
    job = add_job(
        layout,
        request.pipeline,
        state="queued",
        trigger=request.trigger,
        reason=request.reason,
        who=request.who,
        job_id=job_id,
    )
    queue_files(layout, request.pipeline, job.id)
    return job


def wanted_request(layout: Layout, job: Job) -> TrainRequest | None:
    """The training that was asked for by `queue_training`; None where the present settings count."""
    try:
        values = json.loads((layout.jobs / job.id / WANTED_FILE).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise StorageError(
            f"what job {job.id} is to train can't be read: {error}", "Queue it anew."
        ) from error
    return TrainRequest.from_json({**values, "trigger": job.trigger, "reason": job.reason, "who": job.who})


def retry_job(layout: Layout, job: str, *, who: str | None = None) -> Job:
    """Queue a finished job once more: as it was asked for, or, where it began by itself, with the settings
    as they are now. Raises UsageError for one that is not finished, BusyError while another one waits.
    """
    before = get_job(layout, job)
    if before.state not in FINAL_STATES:
        raise UsageError(f"job {before.id} is {before.state}", "Only what has ended can be tried again.")
    waiting = list_jobs(layout, pipeline=before.pipeline, states=LIVE, kind=before.kind, limit=1)
    if waiting:
        raise BusyError(
            f"job {waiting[0].id} of {before.pipeline} is {waiting[0].state}", "Wait for it, or cancel it."
        )
    reason = before.reason or f"again, after job {before.id}"
    again = queue_again(layout, before, trigger="retry", reason=reason, who=who)
    if again.kind == "train":
        queue_files(layout, before.pipeline, again.id)
    return again


def queue_again(layout: Layout, job: Job, *, trigger: str, reason: str | None, who: str | None) -> Job:
    """A new job that wants what `job` did."""
    job_id = new_job_id()
    names = (WANTED_FILE, "request.json") if job.trigger in ("manual", "retry") else (WANTED_FILE,)
    for name in names if job.kind == "train" else ():
        path = layout.jobs / job.id / name
        if path.exists():
            _keep_wish(layout, job_id, path.read_text("utf-8"))
            break
    return add_job(
        layout,
        job.pipeline,
        kind=job.kind,
        state="queued",
        trigger=trigger,
        reason=reason,
        who=who,
        job_id=job_id,
    )


def _keep_wish(layout: Layout, job_id: str, content: str) -> None:
    write_atomically(job_folder(layout, job_id) / WANTED_FILE, content)
