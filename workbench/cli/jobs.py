"""`workbench jobs`: trainings and scorings by the clock, running and past."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from workbench.cli.invocation import Invocation, json_option, pass_invocation, reason_option

if TYPE_CHECKING:
    from store.jobs import Job
    from store.layout import Layout
    from workbench.output import Cell

_FOLLOW_S = 0.3
_CANCEL_S = 30.0

_STYLES = {
    "queued": "dim",
    "running": "cyan",
    "done": "green",
    "refused": "yellow",
    "failed": "red",
    "cancelled": "yellow",
}


@click.group()
def jobs() -> None:
    """Trainings and scorings by the clock, running and past."""


@jobs.command("list")
@click.option("--pipeline", "-p", metavar="NAME", help="Only those of this pipeline.")
@click.option("--state", multiple=True, type=click.Choice(list(_STYLES)), help="Only in this state.")
@click.option("--limit", "-n", type=click.IntRange(0), default=50, show_default=True, help="0 for all.")
@json_option
@pass_invocation
def list_(
    invocation: Invocation, pipeline: str | None, state: tuple[str, ...], limit: int, as_json: bool
) -> None:
    """List jobs, newest first."""
    from store.jobs import list_jobs
    from workbench.output import Column, local_time, print_json, print_table, say

    layout = invocation.layout
    found = list_jobs(layout, pipeline=pipeline, states=state, limit=limit or None)
    if as_json:
        print_json([_document(layout, job) for job in found])
        return
    if not found:
        say("No jobs. Train with: workbench train")
        return
    columns = [
        Column("job", style="cyan"),
        Column("pipeline", flexible=True),
        Column("kind", style="dim"),
        Column("state"),
        Column("trigger", style="dim"),
        Column("took", "right"),
        Column("run", style="cyan", extra=True),
        Column("created", style="dim", extra=True),
        Column("reason", flexible=True, extra=True),
    ]
    rows: list[list[str | Cell]] = [
        [
            job.id,
            job.pipeline,
            job.kind,
            _state_and_share(layout, job),
            job.trigger,
            duration(job),
            (job.run_id or "")[:8],
            local_time(job.created_at),
            job.error or job.reason or "",
        ]
        for job in found
    ]
    print_table(columns, rows)
    _say_what_waits(layout)


def _say_what_waits(layout: Layout) -> None:
    """On stderr, why what is queued or due does not run, and when schedules come next."""
    from store.jobs import list_jobs
    from workbench.output import local_time, say
    from workbench.watching import running_watcher

    watcher = running_watcher(layout)
    if watcher is not None:
        for note in watcher.notes(local_time):
            say(f"{note}.")
    elif list_jobs(layout, states=("queued",), limit=1):
        say("Nobody watches this project; run the queue with: workbench watch --detach")


@jobs.command()
@click.argument("job")
@json_option
@pass_invocation
def show(invocation: Invocation, job: str, as_json: bool) -> None:
    """Show a job; JOB is its id or the beginning of one."""
    from store.job_progress import log_path
    from store.jobs import get_job
    from workbench.output import MISSING, local_time, print_json, print_pairs, print_title

    found = get_job(invocation.layout, job)
    log = log_path(invocation.layout, found.id)
    if as_json:
        print_json({**_document(invocation.layout, found), "log": log if log.is_file() else None})
        return
    print_title(found.pipeline, found.id)
    print_pairs(
        [
            ("kind", found.kind),
            ("state", state_cell(found)),
            ("progress", _progress_words(invocation.layout, found) or MISSING),
            ("trigger", found.trigger),
            ("reason", found.reason or MISSING),
            ("error", found.error or MISSING),
            ("run", found.run_id or MISSING),
            ("version", str(found.version or MISSING)),
            ("who", found.who),
            ("created", local_time(found.created_at)),
            ("started", local_time(found.started_at)),
            ("ended", local_time(found.ended_at)),
            ("log", str(log) if log.is_file() else MISSING),
        ]
    )


@jobs.command("log")
@click.argument("job")
@click.option("--follow", "-f", "is_following", is_flag=True, help="Go on until the job ends.")
@pass_invocation
def log_(invocation: Invocation, job: str, is_following: bool) -> None:
    """Print what a job wrote; with --follow, what it writes, and how far it is on stderr."""
    import sys
    import time

    from store.job_progress import log_path, read_log
    from store.jobs import get_job
    from workbench.output import clean_lines, say

    layout = invocation.layout
    found = get_job(layout, job)
    offset, said = 0, ""
    while True:
        # Before the log is read, so that the last of it is not missed.
        found = get_job(layout, found.id)
        text, offset = read_log(layout, found.id, offset)
        sys.stdout.write(clean_lines(text))
        sys.stdout.flush()
        if found.is_finished or not is_following:
            break
        words = _progress_words(layout, found) or found.state
        if not text and words.partition(",")[0] != said.partition(",")[0]:
            say(words)
            said = words
            if found.state == "queued":
                _say_what_waits(layout)
        time.sleep(_FOLLOW_S)
    if found.is_finished and not log_path(layout, found.id).exists():
        say("It has no log: those of the newest 200 jobs are kept, and one that never began has none.")
    if is_following:
        say(f"job {found.id} is {found.state}{f': {found.error}' if found.error else ''}")


@jobs.command()
@click.argument("job")
@reason_option
@json_option
@pass_invocation
def cancel(invocation: Invocation, job: str, reason: str | None, as_json: bool) -> None:
    """Cancel a queued or running job, whoever runs it; its run is marked KILLED."""
    import time

    from store.errors import BusyError, UsageError
    from store.job_progress import request_cancel
    from store.jobs import get_job
    from workbench.output import print_json

    layout = invocation.layout
    before = get_job(layout, job)
    if before.is_finished:
        raise UsageError(f"job {before.id} is {before.state} already", "See them: workbench jobs list.")
    found = request_cancel(layout, before.id, reason=reason)
    deadline = time.monotonic() + _CANCEL_S
    while not found.is_finished:
        if time.monotonic() > deadline:
            raise BusyError(
                f"job {found.id} has been told to end, and has not yet", "Look: workbench jobs show."
            )
        time.sleep(0.1)
        found = get_job(layout, found.id)
    if as_json:
        print_json(found.as_json())
    else:
        print(f"Job {found.id} is {found.state}.")


@jobs.command()
@click.argument("job")
@json_option
@pass_invocation
def retry(invocation: Invocation, job: str, as_json: bool) -> None:
    """Queue a job that has ended once more; `workbench watch` runs it."""
    from pipelines.retrain import retry_job
    from workbench.output import print_json

    again = retry_job(invocation.layout, job)
    if as_json:
        print_json(again.as_json())
    else:
        print(f"Job {again.id} is queued.")
        say_who_runs_it(invocation.layout, again)


def say_who_runs_it(layout: Layout, job: Job) -> None:
    """What happens next with a queued job, on stderr."""
    from workbench.output import say
    from workbench.watching import running_watcher

    if running_watcher(layout) is None:
        say("Nobody watches this project; run the queue with: workbench watch --detach")
    else:
        say(f"Follow it with: workbench jobs log {job.id} --follow")


def _document(layout: Layout, job: Job) -> dict[str, Any]:
    """The job as JSON, with its progress while it runs."""
    from store.job_progress import read_progress

    progress = read_progress(layout, job.id) if job.state == "running" else None
    return {**job.as_json(), "progress": None if progress is None else progress.as_json()}


def _state_and_share(layout: Layout, job: Job) -> Cell:
    from store.job_progress import read_progress
    from workbench.output import Cell

    if job.state == "running" and (progress := read_progress(layout, job.id)) is not None:
        return Cell(f"running {progress.share:.0%}", _STYLES["running"])
    return state_cell(job)


def _progress_words(layout: Layout, job: Job) -> str | None:
    """`4/7 Fitting 1,000 rows, 62 %, 12 s left`; None where the job does not run."""
    from store.job_progress import read_progress
    from workbench.output import clean

    progress = read_progress(layout, job.id) if job.state == "running" else None
    if progress is None:
        return None
    words = f"{progress.step}/{progress.steps} {progress.stage} {clean(progress.text)}".rstrip()
    left = progress.time_left_s
    return f"{words}, {progress.share:.0%}" + ("" if left is None else f", {left:.0f} s left")


def state_cell(job: Job) -> Cell:
    """A job's state, coloured."""
    from workbench.output import Cell

    return Cell(job.state, _STYLES[job.state])


def duration(job: Job) -> str:
    """How long a job ran, or has run so far."""
    from datetime import UTC, datetime

    from workbench.output import MISSING

    if job.started_at is None:
        return MISSING
    seconds = ((job.ended_at or datetime.now(UTC)) - job.started_at).total_seconds()
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60)} min {int(seconds % 60)} s"
