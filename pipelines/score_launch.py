"""Starts a queued scoring as a child process of its own and follows it, as `launch` does a training."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pipelines.job_process import REQUEST_FILE, JobProcess, Starter, job_folder, starter, words_of
from pipelines.score_request import ScoreRequest
from pipelines.unfinished_runs import store_environment
from store.errors import DataError, TrainingError, WorkbenchError
from store.files import write_atomically
from store.job_progress import JobProgress, write_progress
from store.jobs import job_lock, list_jobs, update_job
from store.locks import locked
from store.tracking import resolve_uri

_EVERY_S = 0.5
"""Between two notes of how far it is."""


def run_scoring(request: ScoreRequest, job_id: str, *, start: Starter | None = None) -> list[dict[str, Any]]:
    """Score in a child process and wait for it; {"path", "output", "rows", "version"} of each file.

    Raises DataError, after all the others were scored, where a file could not be; BusyError while the same
    pipeline's files are being scored, and whatever error ended the child.
    """
    layout = request.layout.ensure()
    lock = job_lock(layout, "score", request.pipeline)
    with locked(lock, what=f"scoring for {request.pipeline}", timeout_s=0):
        for dead in list_jobs(layout, pipeline=request.pipeline, states=("running",), kind="score"):
            update_job(layout, dead.id, state="failed", error="its process died")
        write_atomically(job_folder(layout, job_id) / REQUEST_FILE, json.dumps(request.as_json()))
        if update_job(layout, job_id, state="running", pid=os.getpid()).is_finished:
            raise TrainingError(f"job {job_id} was cancelled")
        process = JobProcess(layout, job_id, request.limits, "scoring")
        environment = store_environment(resolve_uri(request.tracking_uri, layout.root))
        try:
            pid = process.start(start or starter("pipelines.score_job"), environment)
            update_job(layout, job_id, pid=pid)
            progress = _Progress(request, job_id)
            files: list[dict[str, Any]] = process.follow(progress.note)["files"]
            failed = [file for file in files if "error" in file]
            if failed:
                which = "" if len(failed) == len(files) == 1 else f"{len(failed)} of {len(files)} files: "
                raise DataError(f"{which}{failed[0]['error']}")
            progress.finish(files)
            update_job(layout, job_id, state="done", version=files[0]["version"] if files else None)
            return files
        except BaseException as error:
            process.end()
            is_cancelled = process.is_cancelled or not isinstance(error, Exception)
            with contextlib.suppress(WorkbenchError):
                state = "cancelled" if is_cancelled else "failed"
                update_job(layout, job_id, state=state, error=words_of(error) or "interrupted")
            raise
        finally:
            process.close()


class _Progress:
    """What the child tells, as progress that other processes can read."""

    def __init__(self, request: ScoreRequest, job_id: str) -> None:
        self._layout, self._job_id = request.layout, job_id
        self._begun = time.monotonic()
        self._written = float("-inf")
        self._write(0, 1, "", None, 0.0)

    def note(self, event: Mapping[str, Any]) -> None:
        now = time.monotonic()
        if now - self._written < _EVERY_S:
            return
        share = (event["step"] - 1 + (event["share"] or 0.0)) / max(1, event["steps"])
        self._write(event["step"], event["steps"], event["text"], event["share"], share)

    def finish(self, files: list[dict[str, Any]]) -> None:
        number = f"{len(files)} file{'s' if len(files) != 1 else ''}"
        words = f"{sum(file['rows'] for file in files):,} rows of {number}"
        self._write(len(files), len(files), words, 1.0, 1.0)

    def _write(self, step: int, steps: int, words: str, stage_share: float | None, share: float) -> None:
        elapsed = time.monotonic() - self._begun
        left = elapsed * (1 - share) / share if share >= 0.05 else None
        progress = JobProgress(
            step=step,
            steps=steps,
            stage="Scoring",
            text=words,
            share=round(share, 3),
            stage_share=stage_share,
            time_left_s=None if left is None else round(left, 1),
            updated_at=datetime.now(UTC),
        )
        write_progress(self._layout, self._job_id, progress)
        self._written = time.monotonic()
