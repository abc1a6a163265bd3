"""`workbench watch`: new data is seen, validated and trained while nobody looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from workbench.cli.invocation import Invocation, pass_invocation, reason_option

if TYPE_CHECKING:
    from workbench.watching import WatcherInfo


@click.command()
@click.option("--once", is_flag=True, help="Look once: validate what is new, train what is worth it, end.")
@click.option("--pause", is_flag=True, help="Tell the watcher to start no more trainings, and end.")
@click.option("--resume", is_flag=True, help="Tell the watcher to go on, and end.")
@click.option("--pipeline", "-p", metavar="NAME", help="Pause or resume this pipeline only.")
@reason_option
@pass_invocation
def watch(
    invocation: Invocation,
    once: bool,
    pause: bool,
    resume: bool,
    pipeline: str | None,
    reason: str | None,
) -> None:
    """Watch the data of every pipeline until ctrl-C.

    Each new file is validated; a bad one is quarantined where it lies, good ones are trained, many at once
    as one job. [pipelines.NAME.retrain] says when; the gate decides what becomes of the model.
    """
    from store.errors import UsageError
    from workbench.output import say

    if pause and resume:
        raise UsageError("--pause and --resume exclude each other", "Choose one of them.")
    if pause or resume:
        from store.watch_state import set_paused

        name = None if pipeline is None else invocation.project.pipeline(pipeline)[0]
        set_paused(invocation.layout, pause, pipeline=name, reason=reason)
        say(f"{name or 'Every pipeline'} {'pauses' if pause else 'goes on'}.")
        return
    if pipeline is not None:
        raise UsageError("--pipeline goes with --pause or --resume", "The watcher watches all of them.")
    _log_to_stderr()
    from workbench.watch_process import watch as run

    run(invocation.project, is_once=once, on_ready=_announce)


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
