"""Jobs: one row for each training and each scoring by the clock, whatever became of it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from store.errors import NotFoundError, UsageError
from store.layout import Layout
from store.state import connect

JobState = Literal["queued", "running", "done", "refused", "failed", "cancelled"]
JobKind = Literal["train", "score"]
KINDS: tuple[JobKind, ...] = get_args(JobKind)
STATES: tuple[str, ...] = get_args(JobState)
FINAL_STATES = frozenset({"done", "refused", "failed", "cancelled"})
_CHANGEABLE = frozenset({"state", "reason", "run_id", "version", "error", "pid"})


@dataclass(frozen=True)
class Job:
    """One training, or one scoring of files by the clock.

    `refused` means that the gate kept the champion, `error` says why a job failed.
    """

    id: str
    pipeline: str
    state: JobState
    trigger: str
    reason: str | None
    run_id: str | None
    version: int | None
    error: str | None
    pid: int | None
    who: str
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    kind: JobKind = "train"

    @property
    def is_finished(self) -> bool:
        return self.state in FINAL_STATES

    def as_json(self) -> dict[str, Any]:
        """The job as `jobs list --json` prints it."""
        values = asdict(self)
        for name in ("created_at", "started_at", "ended_at"):
            moment = values[name]
            values[name] = None if moment is None else moment.isoformat().replace("+00:00", "Z")
        return values


def new_job_id(now: datetime | None = None) -> str:
    """A folder-safe id that sorts by time: `20260701-140012-3fa9c1`."""
    return f"{now or datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def job_lock(layout: Layout, kind: JobKind, pipeline: str) -> Path:
    """The lock that whoever runs such a job of the pipeline holds: one at a time."""
    return layout.run / f"{kind}-{pipeline}.lock"


def add_job(
    layout: Layout,
    pipeline: str,
    *,
    kind: JobKind = "train",
    trigger: str = "manual",
    reason: str | None = None,
    state: JobState = "queued",
    who: str | None = None,
    pid: int | None = None,
    job_id: str | None = None,
) -> Job:
    """Record a new job; its own folder, where it has one, is `layout.jobs / job.id`."""
    now = datetime.now(UTC)
    job_id = job_id or new_job_id(now)
    _check_state(state)
    started_at = None if state == "queued" else now.isoformat()
    with connect(layout) as connection:
        connection.execute(
            "INSERT INTO jobs (id, pipeline, state, trigger, reason, pid, who, created_at, started_at, kind)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                job_id,
                pipeline,
                state,
                trigger,
                reason,
                pid,
                who or _login(),
                now.isoformat(),
                started_at,
                kind,
            ),
        )
        return _fetch(connection, job_id)


def update_job(layout: Layout, job_id: str, *, only: JobState | None = None, **changes: Any) -> Job:
    """Change `state`, `reason`, `run_id`, `version`, `error` or `pid`; times follow the state.

    A finished job keeps its state: the first final state wins, so that a late report of a child
    does not undo a cancellation. With `only`, a job in another state is left as it is.
    """
    unknown = set(changes) - _CHANGEABLE
    if unknown:
        raise TypeError(f"update_job() can't change {', '.join(sorted(unknown))}")
    now = datetime.now(UTC).isoformat()
    with connect(layout) as connection:
        connection.execute("BEGIN IMMEDIATE")
        job = _fetch(connection, job_id)
        if only is not None and job.state != only:
            return job
        state = changes.get("state")
        if state is not None:
            _check_state(state)
            if job.is_finished:
                del changes["state"]
            else:
                if state == "running" and job.started_at is None:
                    changes["started_at"] = now
                if state in FINAL_STATES:
                    changes["ended_at"] = now
        if changes:
            assignments = ", ".join(f"{name} = ?" for name in changes)
            connection.execute(f"UPDATE jobs SET {assignments} WHERE id = ?", (*changes.values(), job_id))
        return _fetch(connection, job_id)


def get_job(layout: Layout, job: str) -> Job:
    """The job with this id or unique beginning of one; raises NotFoundError."""
    if not layout.state_db.exists():
        raise NotFoundError(f"no job {job!r}: nothing was trained here yet", "Train with: workbench train.")
    with connect(layout) as connection:
        rows = connection.execute(
            "SELECT * FROM jobs WHERE substr(id, 1, length(?1)) = ?1 ORDER BY id = ?1 DESC LIMIT 2",
            (job,),
        ).fetchall()
    if rows and (rows[0]["id"] == job or len(rows) == 1):
        return _job(rows[0])
    if rows:
        raise NotFoundError(f"several jobs begin with {job!r}", "Give more of its id: workbench jobs list.")
    raise NotFoundError(f"no job {job!r}", "See them with: workbench jobs list.")


def list_jobs(
    layout: Layout,
    *,
    pipeline: str | None = None,
    states: Collection[str] = (),
    kind: JobKind | None = None,
    limit: int | None = None,
) -> list[Job]:
    """Jobs, newest first; an empty list where nothing was trained yet (no file is made)."""
    if not layout.state_db.exists():
        return []
    conditions, values = ["1"], list[Any]()
    if pipeline is not None:
        conditions.append("pipeline = ?")
        values.append(pipeline)
    if kind is not None:
        conditions.append("kind = ?")
        values.append(kind)
    if states:
        conditions.append(f"state IN ({', '.join('?' * len(states))})")
        values.extend(states)
    with connect(layout) as connection:
        rows = connection.execute(
            f"SELECT * FROM jobs WHERE {' AND '.join(conditions)} ORDER BY created_at DESC, id DESC LIMIT ?",
            (*values, -1 if limit is None else limit),
        ).fetchall()
    return [_job(row) for row in rows]


def _fetch(connection: Any, job_id: str) -> Job:
    row = connection.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()
    if row is None:
        raise NotFoundError(f"no job {job_id!r}", "See them with: workbench jobs list.")
    return _job(row)


def _job(row: Any) -> Job:
    values = dict(row)
    for name in ("created_at", "started_at", "ended_at"):
        values[name] = None if values[name] is None else datetime.fromisoformat(values[name])
    return Job(**values)


def _check_state(state: str) -> None:
    if state not in STATES:
        raise UsageError(f"no job state {state!r}", f"States are: {', '.join(STATES)}.")


def _login() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a user id without a name
        return str(os.getuid())
