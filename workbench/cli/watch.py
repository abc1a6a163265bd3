"""`workbench watch`: new data is seen, validated and trained while nobody looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from workbench.cli.invocation import Invocation, json_option, pass_invocation, reason_option

if TYPE_CHECKING:
    from workbench.watching import WatcherInfo


@click.command()
@click.option("--once", is_flag=True, help="Look once: validate what is new, train what is worth it, end.")
@click.option("--detach", is_flag=True, help="Watch in the background; it outlives this terminal.")
@click.option("--stop", is_flag=True, help="End the watcher; a job that it runs is queued again.")
@click.option("--status", is_flag=True, help="Show what is watched and what it waits for, and end.")
@click.option("--pause", is_flag=True, help="Tell the watcher to start no more trainings, and end.")
@click.option("--resume", is_flag=True, help="Tell the watcher to go on, and end.")
@click.option("--pipeline", "-p", metavar="NAME", help="Pause or resume this pipeline only.")
@reason_option
@json_option
@pass_invocation
def watch(
    invocation: Invocation,
    once: bool,
    detach: bool,
    stop: bool,
    status: bool,
    pause: bool,
    resume: bool,
    pipeline: str | None,
    reason: str | None,
    as_json: bool,
) -> None:
    """Watch the data of every pipeline until ctrl-C.

    Each new file is validated; a bad one is quarantined where it lies, good ones are trained, many at once
    as one job. [pipelines.NAME.retrain] says when; the gate decides what becomes of the model.
    """
    from store.errors import UsageError

    options = {
        "--once": once,
        "--detach": detach,
        "--stop": stop,
        "--status": status,
        "--pause": pause,
        "--resume": resume,
    }
    chosen = [name for name, is_given in options.items() if is_given]
    if len(chosen) > 1:
        raise UsageError(f"{chosen[0]} and {chosen[1]} exclude each other", "Choose one of them.")
    if pipeline is not None and not (pause or resume):
        raise UsageError("--pipeline goes with --pause or --resume", "The watcher watches all of them.")
    if as_json and not status:
        raise UsageError("--json goes with --status", "See also: workbench status --json.")
    if pause or resume:
        _pause(invocation, pause, pipeline, reason)
    elif detach:
        _detach(invocation)
    elif stop:
        _stop(invocation)
    elif status:
        _show(invocation, as_json)
    else:
        _log_to_stderr()
        from workbench.watch_process import watch as run

        run(invocation.project, is_once=once, on_ready=_announce)


def _pause(invocation: Invocation, pauses: bool, pipeline: str | None, reason: str | None) -> None:
    from store.watch_state import paused_pipelines, set_paused
    from workbench.output import say
    from workbench.watching import running_watcher

    name = None if pipeline is None else invocation.project.pipeline(pipeline)[0]
    set_paused(invocation.layout, pauses, pipeline=name, reason=reason)
    say(f"{name or 'Every pipeline'} {'pauses' if pauses else 'goes on'}.")
    if name is not None and not pauses and name in paused_pipelines(invocation.layout, [name]):
        say("Every pipeline still pauses: workbench watch --resume")
    elif not pauses and running_watcher(invocation.layout) is None:
        say("Nobody watches this project: workbench watch --detach")


def _detach(invocation: Invocation) -> None:
    from workbench.output import say
    from workbench.watching import running_watcher, start_background, watcher_process

    layout = invocation.layout
    present = running_watcher(layout)
    info = present or start_background(invocation.project.root)
    state = "Watching" if present is None else "Watching already"
    say(f"{state}, pid {info.pid}. Its log: {watcher_process(layout).log_path}")
    if present is None:
        _announce(info)
        say("End it with: workbench watch --stop")


def _stop(invocation: Invocation) -> None:
    from workbench.output import say
    from workbench.watching import stop_watcher

    if stop_watcher(invocation.layout):
        say("The watcher has ended.")
    else:
        say("No watcher runs here.")


def _show(invocation: Invocation, as_json: bool) -> None:
    from workbench.output import Column, local_time, print_json, print_table, print_title, say
    from workbench.watching import running_watcher

    info = running_watcher(invocation.layout)
    if as_json:
        print_json(None if info is None else info.as_json())
        return
    if info is None:
        say("No watcher runs here; start one: workbench watch --detach")
        return
    print_title("watcher", f"pid {info.pid}, since {local_time(info.started_at)}")
    print_table(
        [Column("pipeline", style="bold"), Column("folder", flexible=True), Column("state")],
        [[row["name"], row["folder"], "paused" if row["paused"] else "watched"] for row in info.pipelines],
    )
    for note in info.notes(local_time):
        print(f"{note}.")


def _announce(info: WatcherInfo) -> None:
    from workbench.output import say

    for folder in info.folders:
        how = "" if folder["events"] else f" (every few seconds: {folder['why_not']})"
        say(f"Watching {folder['path']}{how}")
    if not info.folders:
        say("No pipeline in the settings, so there is nothing to watch yet.")


def _log_to_stderr() -> None:
    import logging
    import sys

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    logger = logging.getLogger("workbench.watch")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
