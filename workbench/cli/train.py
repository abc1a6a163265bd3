"""`workbench train`: one command from data to a gated model version."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import click

from workbench.cli import completions
from workbench.cli.invocation import Invocation, json_option, reason_option

if TYPE_CHECKING:
    from pipelines.request import PromotePolicy, TrainRequest, TrainResult
    from workbench.settings import Project

REFUSED = 3


@click.command()
@click.argument("pipeline", required=False, shell_complete=completions.pipelines)
@click.option("--all", "everything", is_flag=True, help="Train every pipeline, one after the other.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Another value of a pipeline's setting, as in params.max_depth=5; repeatable.",
)
@click.option("--data", metavar="GLOB", help="Other data: a file, a folder or a glob.")
@click.option(
    "--promote",
    type=click.Choice(["never", "auto", "force"]),
    help="never: register only; auto: champion when the gate accepts; force: champion whatever it says.",
)
@reason_option
@click.option("--queue", "is_queued", is_flag=True, help="Leave it to the watcher, and don't wait for it.")
@click.option("--name", "run_name", metavar="NAME", help="Name of the run.")
@json_option
@click.pass_context
def train(
    ctx: click.Context,
    pipeline: str | None,
    everything: bool,
    settings: tuple[str, ...],
    data: str | None,
    promote: PromotePolicy | None,
    reason: str | None,
    run_name: str | None,
    is_queued: bool,
    as_json: bool,
) -> None:
    """Train PIPELINE; the gate decides what becomes of it. Exit 3 when the gate refuses.

    The first version that passes the gate becomes champion, a later one challenger, unless the settings
    or --promote say otherwise.
    """
    from store.errors import UsageError
    from workbench.output import print_json
    from workbench.training import pipeline_overrides, training_request

    invocation = ctx.find_object(Invocation)
    assert invocation is not None
    if promote == "force" and not reason:
        raise UsageError("--promote force needs a reason", "Say why with --reason TEXT.")
    names = _pipelines(invocation.project, pipeline, everything)
    project = invocation.load(pipeline_overrides(names, settings))
    requests = {
        name: training_request(project, name, promote or "default", reason, run_name, data) for name in names
    }
    if is_queued:
        _queue(requests, invocation, as_json=as_json, as_list=everything)
        return
    results = []
    for name in names:
        result = _train(requests[name])
        results.append(result)
        if not as_json:
            _print_result(project, name, result)
    if as_json:
        rows = [{"pipeline": name, **result.as_json()} for name, result in zip(names, results, strict=True)]
        print_json(rows if everything else rows[0])
    if any(is_refused(result) for result in results):
        ctx.exit(REFUSED)


def _pipelines(project: Project, pipeline: str | None, everything: bool) -> list[str]:
    from store.errors import UsageError

    if everything and pipeline:
        raise UsageError(f"both {pipeline!r} and --all are given", "Choose one of them.")
    if everything and project.settings.pipelines:
        return list(project.settings.pipelines)
    if pipeline is None and len(project.settings.pipelines) > 1:
        names = ", ".join(project.settings.pipelines)
        raise UsageError(
            f"{project.name} has several pipelines: {names}", "Name one, or train each with --all."
        )
    return [project.pipeline(pipeline)[0]]


def _train(request: TrainRequest) -> TrainResult:
    from pipelines.launch import train as launch
    from workbench.progress import TrainProgress

    with TrainProgress(f"Training {request.pipeline}") as progress, stopped_like_ctrl_c():
        return launch(request, on_event=progress)


def _queue(
    requests: Mapping[str, TrainRequest], invocation: Invocation, *, as_json: bool, as_list: bool
) -> None:
    from pipelines.retrain import queue_training
    from workbench.cli.jobs import say_who_runs_it
    from workbench.output import print_json

    jobs = [queue_training(request) for request in requests.values()]
    if as_json:
        print_json([job.as_json() for job in jobs] if as_list else jobs[0].as_json())
        return
    for job in jobs:
        print(f"Job {job.id} of {job.pipeline} is queued.")
    say_who_runs_it(invocation.layout, job)


@contextlib.contextmanager
def stopped_like_ctrl_c() -> Iterator[None]:
    """Let SIGTERM, and SIGHUP unless nohup ignores it, cancel the job in order, as ctrl-C does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        for number, handler in before.items():
            if handler is signal.SIG_DFL:
                signal.signal(number, interrupt)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def is_refused(result: TrainResult) -> bool:
    """Whether the gate kept the champion and nothing overrode it."""
    return result.gate is not None and not result.gate.accepted and result.version is None


def _print_result(project: Project, name: str, result: TrainResult) -> None:
    from workbench.cli.run_details import print_metrics, print_verdict
    from workbench.output import print_title, say

    for note in result.notes:
        say(f"note: {note}")
    print_title(f"{result.run_name}", f"run {result.run_id[:8]}, {result.seconds:.1f} s")
    print_metrics(result.metrics)
    if result.gate is not None:
        print()
        print_verdict(result.gate)
    print()
    _print_decision(project, name, result)


def _print_decision(project: Project, name: str, result: TrainResult) -> None:
    """What was decided, on stdout, and the next thing to type, on stderr."""
    from serve.control import running_server
    from workbench.output import say

    version = f"{result.model} version {result.version}"
    before = result.gate.champion_version if result.gate is not None else None
    if is_refused(result):
        kept = f"version {before} stays champion" if before else "nothing was registered"
        print(f"The gate refused: {kept}.")
        say(f"Look: workbench runs show {result.run_id[:8]}")
        say(f"Overrule: workbench train {name} --promote force --reason TEXT")
    elif result.promoted:
        print(f"{version} is champion{f' (was {before})' if before else ''}.")
        if running_server(project.layout) is None:
            say("Next: workbench serve")
        elif before:
            say(f"The server takes it over by itself. Undo: workbench models rollback {result.model}")
    elif result.version is not None:
        print(f"{version} is registered{f'; version {before} stays champion' if before else ''}.")
        say(f"Next: workbench models promote {result.model} {result.version}")
