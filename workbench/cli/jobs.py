"""`workbench jobs`: trainings, running and past."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from workbench.cli.invocation import Invocation, json_option, pass_invocation

if TYPE_CHECKING:
    from store.jobs import Job
    from workbench.output import Cell

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
    """Trainings, running and past."""


@jobs.command("list")
@click.option("--pipeline", "-p", metavar="NAME", help="Only trainings of this pipeline.")
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

    found = list_jobs(invocation.layout, pipeline=pipeline, states=state, limit=limit or None)
    if as_json:
        print_json([job.as_json() for job in found])
        return
    if not found:
        say("No jobs. Train with: workbench train")
        return
    columns = [
        Column("job", style="cyan"),
        Column("pipeline", flexible=True),
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
            state_cell(job),
            job.trigger,
            duration(job),
            (job.run_id or "")[:8],
            local_time(job.created_at),
            job.error or job.reason or "",
        ]
        for job in found
    ]
    print_table(columns, rows)


@jobs.command()
@click.argument("job")
@json_option
@pass_invocation
def show(invocation: Invocation, job: str, as_json: bool) -> None:
    """Show a job; JOB is its id or the beginning of one."""
    from store.jobs import get_job
    from workbench.output import MISSING, local_time, print_json, print_pairs, print_title

    found = get_job(invocation.layout, job)
    log = invocation.layout.jobs / found.id / "log"
    if as_json:
        print_json({**found.as_json(), "log": log if log.is_file() else None})
        return
    print_title(found.pipeline, found.id)
    print_pairs(
        [
            ("state", state_cell(found)),
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
