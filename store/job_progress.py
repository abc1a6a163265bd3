"""How far a running job is, what it says, and the wish to end it: small files in the job's own folder.

Whoever trains writes them; the command line and the terminal UI read them without asking anybody.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from store.errors import StorageError
from store.files import write_atomically
from store.jobs import Job, get_job, list_jobs, update_job
from store.journal import append_event, current_user
from store.layout import Layout

PROGRESS_FILE, LOG_FILE, CANCEL_FILE = "progress.json", "log", "cancel.json"
_MOST_LOG_BYTES = 256 * 1024


@dataclass(frozen=True)
class JobProgress:
    """A job's place in its stages."""

    step: int
    """1 for the first stage; 0 while it starts."""
    steps: int
    stage: str
    text: str
    share: float
    """Of the whole job, 0 to 1."""
    stage_share: float | None
    """Of the stage, where it is known."""
    time_left_s: float | None
    """Estimated from the trainings before or from how far this one is; None at the beginning."""
    updated_at: datetime
    seconds: Mapping[str, float] = field(default_factory=dict)
    """How long each stage that ended took."""

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "updated_at": self.updated_at.isoformat().replace("+00:00", "Z")}


def write_progress(layout: Layout, job_id: str, progress: JobProgress) -> None:
    """Keep `progress` for readers; a full disk costs the progress, not the job."""
    with suppress(StorageError, OSError):
        write_atomically(layout.jobs / job_id / PROGRESS_FILE, json.dumps(progress.as_json()))


def read_progress(layout: Layout, job_id: str, now: datetime | None = None) -> JobProgress | None:
    """How far the job is, with the time left as of `now`; None where it has not told yet."""
    try:
        values = json.loads((layout.jobs / job_id / PROGRESS_FILE).read_bytes())
        progress = JobProgress(**{**values, "updated_at": datetime.fromisoformat(values["updated_at"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None
    if progress.time_left_s is None:
        return progress
    age = ((now or datetime.now(UTC)) - progress.updated_at).total_seconds()
    return replace(progress, time_left_s=max(0.0, round(progress.time_left_s - max(0.0, age), 1)))


def log_path(layout: Layout, job_id: str) -> Path:
    """Where the job's output goes; there is no file before it runs."""
    return layout.jobs / job_id / LOG_FILE


def read_log(layout: Layout, job_id: str, offset: int = 0) -> tuple[str, int]:
    """What a job wrote from `offset` on, and the offset to read on from.

    At most the last 256 KB of it; bytes that are no text become replacement characters.
    """
    try:
        with log_path(layout, job_id).open("rb") as log:
            end = log.seek(0, 2)
            start = max(min(offset, end), end - _MOST_LOG_BYTES)
            log.seek(start)
            content = log.read(end - start)
    except OSError:
        return "", offset
    return content.decode("utf-8", "replace"), start + len(content)


def request_cancel(layout: Layout, job: str, *, who: str | None = None, reason: str | None = None) -> Job:
    """Cancel a queued job at once, or ask whoever runs it to end it; a finished job stays as it is.

    `job` is an id or the unique beginning of one. A running job says cancelled within seconds.
    """
    found = get_job(layout, job)
    if found.is_finished:
        return found
    who = who or current_user()
    wish = {"who": who, "reason": reason, "at": datetime.now(UTC).isoformat()}
    folder = layout.jobs / found.id
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"cannot write {folder}: {error.strerror}", "Free the disk or its folder."
        ) from error
    write_atomically(folder / CANCEL_FILE, json.dumps(wish))
    details = {"job": found.id, "pipeline": found.pipeline}
    append_event(layout, "job_cancelled", who=who, reason=reason, details=details)
    if found.state == "queued":
        # Whoever takes it up between this look and the next line finds the wish in the folder.
        return update_job(
            layout, found.id, state="cancelled", error=cancel_words(layout, found.id), only="queued"
        )
    return found


def cancel_words(layout: Layout, job_id: str) -> str | None:
    """Who wants the job to end, in words; None where nobody does."""
    path = layout.jobs / job_id / CANCEL_FILE
    try:
        wish = json.loads(path.read_bytes())
    except OSError:
        return None
    except ValueError:
        wish = {}
    if not isinstance(wish, dict):
        wish = {}
    words = f"cancelled by {wish['who']}" if wish.get("who") else "cancelled"
    return f"{words}: {wish['reason']}" if wish.get("reason") else words


def expected_seconds(layout: Layout, pipeline: str) -> Mapping[str, float]:
    """How long each stage of the pipeline's latest complete training took; empty before the first."""
    for job in list_jobs(layout, pipeline=pipeline, states=("done", "refused"), kind="train", limit=3):
        progress = read_progress(layout, job.id)
        if progress is not None and progress.seconds:
            return progress.seconds
    return {}
