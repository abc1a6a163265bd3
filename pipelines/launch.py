"""Starts a training as a child process of its own, follows it, and ends it with its parent."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from pipelines.job_process import (
    REQUEST_FILE,
    JobProcess,
    Starter,
    job_folder,
    starter,
    words_of,
)
from pipelines.job_report import JobReport
from pipelines.request import PromotePolicy, TrainEvent, TrainRequest, TrainResult
from pipelines.unfinished_runs import finish_run, store_environment
from store.errors import StorageError, TrainingError, WorkbenchError
from store.files import write_atomically
from store.jobs import Job, add_job, job_lock, list_jobs, new_job_id, update_job
from store.journal import append_event
from store.layout import Layout
from store.locks import locked
from store.tracking import file_store_path, is_file_store, resolve_uri

__all__ = ["PromotePolicy", "TrainEvent", "TrainRequest", "TrainResult", "train"]

DIED = "its process died"


def train(
    request: TrainRequest,
    *,
    on_event: Callable[[TrainEvent], None] | None = None,
    job_id: str | None = None,
    start: Starter | None = None,
) -> TrainResult:
    """Train in a child process and wait for it; `job_id` is that of a queued job, where it is one.

    `start` makes the process, a new interpreter unless given. Progress goes to `on_event`. KeyboardInterrupt
    ends the child, marks its run KILLED and its job cancelled. Raises BusyError while the same pipeline is
    being trained, and whatever error ended the child.
    """
    layout = request.layout.ensure()
    lock = job_lock(layout, "train", request.pipeline)
    with locked(lock, what=f"training of {request.pipeline}", timeout_s=0):
        # Whoever trains holds the lock: what still says running was killed before it could say otherwise.
        dead = list_jobs(layout, pipeline=request.pipeline, states=("running",), kind="train")
        settle_dead_jobs(layout, dead)
        is_queued = job_id is not None
        job_id = job_id or new_job_id()
        folder = job_folder(layout, job_id)
        write_atomically(folder / REQUEST_FILE, json.dumps(request.as_json()))
        if is_queued:
            if update_job(layout, job_id, state="running", pid=os.getpid()).is_finished:
                raise TrainingError(f"job {job_id} was cancelled", "Start another: workbench train.")
        else:
            add_job(
                layout,
                request.pipeline,
                trigger=request.trigger,
                reason=request.reason,
                state="running",
                who=request.who,
                pid=os.getpid(),
                job_id=job_id,
            )
        return _run(request, job_id, on_event, start or starter("pipelines.job"))


def settle_dead_jobs(layout: Layout, jobs: Iterable[Job]) -> list[Job]:
    """Mark jobs that nobody runs any more as failed, and their runs too where those still say running."""
    settled = []
    for job in jobs:
        settled.append(update_job(layout, job.id, state="failed", error=DIED))
        if job.run_id is None:
            continue
        with contextlib.suppress(OSError, ValueError, KeyError):
            values = json.loads((layout.jobs / job.id / REQUEST_FILE).read_bytes())
            finish_run(layout, resolve_uri(values["tracking_uri"], layout.root), job.run_id, "FAILED")
    return settled


def _run(
    request: TrainRequest,
    job_id: str,
    on_event: Callable[[TrainEvent], None] | None,
    start: Starter,
) -> TrainResult:
    layout = request.layout
    run_id: str | None = None
    process = JobProcess(layout, job_id, request.settings.limits, "training")
    report = JobReport(layout, job_id, request.pipeline)

    def note(values: Mapping[str, Any]) -> None:
        nonlocal run_id
        event = TrainEvent(**values)
        if event.run_id is not None and event.run_id != run_id:
            run_id = event.run_id
            update_job(layout, job_id, run_id=run_id)
        report(event)
        if on_event is not None:
            on_event(event)

    try:
        _refuse_a_new_store(request)
        update_job(layout, job_id, pid=process.start(start, store_environment(_uri(request))))
        result = TrainResult.from_json({**process.follow(note), "job_id": job_id})
        report.finish()
        refused = result.gate is not None and not result.gate.accepted and result.version is None
        update_job(
            layout,
            job_id,
            state="refused" if refused else "done",
            run_id=result.run_id,
            version=result.version,
        )
        return result
    except BaseException as raised:
        process.end()
        error = raised
        away = None if run_id is None else _missing_store(request)  # before its run there may be none yet
        if away is not None and isinstance(error, Exception) and not isinstance(error, StorageError):
            error = StorageError(f"the MLflow store {away} went away during the training", "Bring it back.")
        is_interrupted = not isinstance(error, Exception)
        is_cancelled = is_interrupted or process.is_cancelled
        # A child that answered has done it, unless its store was away. Before the job is over, so that
        # whoever is killed in between leaves a job that is mended with its run.
        if run_id is not None and (not process.has_answered or isinstance(error, StorageError)):
            finish_run(layout, _uri(request), run_id, "KILLED" if is_cancelled else "FAILED")
        with contextlib.suppress(WorkbenchError):
            update_job(
                layout,
                job_id,
                state="cancelled" if is_cancelled else "failed",
                error="interrupted" if is_interrupted else words_of(error),
            )
        if not is_cancelled:
            _tell_failed(request, job_id, run_id, error)
        if error is not raised:
            raise error from raised
        raise
    finally:
        process.close()


def _tell_failed(request: TrainRequest, job_id: str, run_id: str | None, error: BaseException) -> None:
    """In the audit trail: what was to be trained, why, and what stopped it."""
    details = {"pipeline": request.pipeline, "job": job_id, "run_id": run_id, "trigger": request.trigger}
    with contextlib.suppress(WorkbenchError):
        append_event(
            request.layout,
            "training_failed",
            who=request.who,
            model=request.model,
            reason=words_of(error),
            details={**details, "wanted": request.reason},
        )


def _uri(request: TrainRequest) -> str:
    return resolve_uri(request.tracking_uri, request.layout.root)


def _missing_store(request: TrainRequest) -> Path | None:
    """The folder of runs, where the store is one and isn't there."""
    uri = _uri(request)
    folder = file_store_path(uri) if is_file_store(uri) else None
    return folder if folder is not None and not folder.is_dir() else None


def _refuse_a_new_store(request: TrainRequest) -> None:
    """MLflow makes a folder of runs that isn't there, and a first model in it would be champion at once.

    Where trainings were logged before, it is away: not mounted, or renamed.
    """
    folder = _missing_store(request)
    known = list_jobs(request.layout, states=("done", "refused"), kind="train", limit=1)
    if folder is not None and known:
        raise StorageError(
            f"the MLflow store {folder} is away, and {known[0].pipeline} was trained into it before",
            f"Bring it back; to begin with an empty one: mkdir {folder}.",
        )
