"""What becomes of jobs that were cut off: by a crash, a power cut, or something that can pass."""

from __future__ import annotations

from pipelines.launch import DIED, settle_dead_jobs
from pipelines.retrain import LIVE, WANTED_FILE, queue_again
from store.jobs import Job, job_lock, list_jobs
from store.layout import Layout
from store.ledger import queue_files, return_files
from store.locks import lock_holder

_DEATHS = 3


def settle_jobs(layout: Layout) -> list[Job]:
    """Mend what a crash left: a job that says running and whose lock nobody holds has failed, and the files
    of jobs that ended are given back. Returns the failed ones.

    What nobody waits for any more is queued again, unless its process has died three times.
    """
    failed = []
    for job in list_jobs(layout, states=("running",)):
        if lock_holder(job_lock(layout, job.kind, job.pipeline)) is None:
            failed += settle_dead_jobs(layout, [job])
    return_files(layout)
    for job in failed:
        is_wanted = job.trigger != "manual" or (layout.jobs / job.id / WANTED_FILE).exists()
        if is_wanted and failures(layout, job, DIED) < _DEATHS:
            queue_once_more(layout, job)
    return failed


def failures(layout: Layout, job: Job, error: str | None = None) -> int:
    """How many times in a row this job failed, or failed for `error`."""
    number = 0
    for other in list_jobs(layout, pipeline=job.pipeline, kind=job.kind, limit=10):
        if other.state in LIVE:
            continue
        is_same = (other.trigger, other.reason, other.state) == (job.trigger, job.reason, "failed")
        if not is_same or (error is not None and other.error != error):
            break
        number += 1
    return number


def queue_once_more(layout: Layout, job: Job) -> Job | None:
    """Queue what a job wanted, unless the pipeline has another one of its kind waiting or running."""
    if list_jobs(layout, pipeline=job.pipeline, kind=job.kind, states=LIVE):
        return None
    again = queue_again(layout, job, trigger=job.trigger, reason=job.reason, who=job.who)
    if job.kind == "train":
        queue_files(layout, job.pipeline, again.id)
    return again
