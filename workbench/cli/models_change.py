"""Commands of `workbench models` that change what is in production."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from workbench.cli import completions
from workbench.cli.invocation import Invocation, json_option, pass_invocation, reason_option, yes_option
from workbench.cli.models_trust import trust
from workbench.confirm import confirm
from workbench.desk.words import change, what_happened

if TYPE_CHECKING:
    from store.registry import ModelVersion, RegisteredModel, Role, Transition
    from workbench.cli.best_run import BestRun


@click.command()
@click.argument("run", shell_complete=completions.runs)
@click.option("--name", metavar="NAME", help="The registered model; the pipeline's of the run's experiment.")
@click.option("--source", metavar="URI", help="runs:/ID/path or models:/m-…; the run's newest model.")
@click.option("--description", default="", metavar="TEXT", help="What this version is.")
@reason_option
@json_option
@pass_invocation
def register(
    invocation: Invocation,
    run: str,
    name: str | None,
    source: str | None,
    description: str,
    reason: str | None,
    as_json: bool,
) -> None:
    """Make a new version from a RUN's model; nothing in production changes."""
    from workbench.cli.models import version_row
    from workbench.desk.run_changes import model_trained_by
    from workbench.output import print_json, say

    found = invocation.runs.get(run)
    version = invocation.registry.register(
        name or model_trained_by(invocation.project, found),
        run_id=found.run_id,
        source=source,
        description=description,
        reason=reason,
    )
    if as_json:
        print_json({"name": version.name, **version_row(version)})
        return
    print(f"{version.name} version {version.version} is run {found.name}.")
    say(f"To put it in production: workbench models promote {version.name} {version.version}")


@click.command()
@click.argument("name", shell_complete=completions.models)
@click.argument("version", required=False)
@click.option("--best", metavar="METRIC", help="The best run by this metric; registered if it is not yet.")
@click.option("--experiment", "-e", metavar="NAME", help="Where to look for the best; the model's own.")
@click.option(
    "--to",
    "role",
    type=click.Choice(["champion", "challenger", "staging"]),
    default="champion",
    show_default=True,
    help="What it becomes.",
)
@yes_option
@reason_option
@json_option
@pass_invocation
def promote(
    invocation: Invocation,
    name: str,
    version: str | None,
    best: str | None,
    experiment: str | None,
    role: Role,
    yes: bool,
    reason: str | None,
    as_json: bool,
) -> None:
    """Promote a version; the challenger (else the latest) unless VERSION or --best says which."""
    from store.errors import UsageError
    from workbench.cli.best_run import find_best, register_best

    if best and version:
        raise UsageError("both a VERSION and --best are given", "Choose one of them.")
    if experiment and not best:
        raise UsageError("--experiment needs --best METRIC")
    registry = invocation.registry
    registry.settle()
    choice = find_best(invocation, name, best, experiment) if best else None
    target: ModelVersion | None
    if choice is not None:
        model, target = choice.model, choice.version
    else:
        model = registry.model(name)
        target = registry.version(name, version or ("challenger" if model.challenger else "latest"))
    if target is not None and _holder(model, role) == target.version:
        _say_unchanged(model, target, role, as_json)
        return
    _preview(invocation, model, target, role, choice)
    if role == "champion":
        confirm(f"Promote {name} version {target.version if target else 'new'} to champion?", yes=yes)
    if choice is not None and target is None:
        target = register_best(invocation, choice, reason)
    assert target is not None
    details = choice.details if choice is not None else None
    transition = registry.promote(name, target.version, to=role, reason=reason, details=details)
    _report(transition, as_json)


@click.command()
@click.argument("name", shell_complete=completions.models)
@yes_option
@reason_option
@json_option
@pass_invocation
def rollback(invocation: Invocation, name: str, yes: bool, reason: str | None, as_json: bool) -> None:
    """Make the champion before the present one champion again; any number of times."""
    from workbench.desk.model_changes import earlier_champion

    registry = invocation.registry
    registry.settle()
    model = registry.model(name)
    former = earlier_champion(invocation.layout, model)
    if former is not None:  # where there is none, the registry says so
        _preview(invocation, model, registry.version(name, former), "champion", is_rollback=True)
        confirm(f"Roll {name} back to version {former}?", yes=yes)
    _report(registry.rollback(name, reason=reason), as_json)


@click.command()
@click.argument("name", shell_complete=completions.models)
@click.argument("version")
@yes_option
@reason_option
@json_option
@pass_invocation
def archive(
    invocation: Invocation, name: str, version: str, yes: bool, reason: str | None, as_json: bool
) -> None:
    """Take a version out of use; asks when it is the champion."""
    registry = invocation.registry
    registry.settle()
    model = registry.model(name)
    target = registry.version(name, version)
    if target.version == model.champion:
        confirm(
            f"Archive {name} version {target.version}, the champion? Nothing will be in production.", yes=yes
        )
    _report(registry.archive(name, target.version, reason=reason), as_json)


COMMANDS = (register, promote, rollback, archive, trust)


def _holder(model: RegisteredModel, role: Role) -> int | None:
    return model.champion if role == "champion" else model.challenger


def _preview(
    invocation: Invocation,
    model: RegisteredModel,
    target: ModelVersion | None,
    role: Role,
    choice: BestRun | None = None,
    *,
    is_rollback: bool = False,
) -> None:
    """Say what is in that place and what will be, with the metrics of both."""
    from workbench.desk.verdicts import compared
    from workbench.output import number, say

    holder = _holder(model, role)
    before = next((v for v in model.versions if v.version == holder), None)
    role = "challenger" if role == "staging" else role
    say(f"{model.name}: {role} {change(holder, target.version if target else 'new version')}")
    say(f"  before  {describe(before)}")
    if target is not None:
        say(f"  after   {describe(target)}")
    elif choice is not None:
        value = f"{choice.metric} {number(choice.run.metrics[choice.metric])}"
        say(f"  after   a new version from run {choice.run.name} ({choice.run.run_id[:8]})  {value}")
    if before is not None and target is not None:
        measured = compared(invocation.runs, before, target)
        if measured is not None:
            say(f"  {measured}.")
    if before is not None and role == "champion":
        # A rollback after a rollback goes one champion further back.
        undo = f"promote {model.name} {before.version}" if is_rollback else f"rollback {model.name}"
        say(f"  version {before.version} becomes Archived; workbench models {undo} undoes it.")


def describe(version: ModelVersion | None) -> str:
    """A version with its run and main metrics, or that there is none."""
    from workbench.cli.models import metrics_text

    if version is None:
        return "none"
    run = f"run {version.run_id[:8]}" if version.run_id else "no run"
    return f"version {version.version}  {run}  {metrics_text(version)}"


def _say_unchanged(model: RegisteredModel, target: ModelVersion, role: Role, as_json: bool) -> None:
    from workbench.output import print_json, say

    if as_json:
        print_json({"model": model.name, "what": "unchanged", "from": target.version, "to": target.version})
        return
    say(f"{model.name} version {target.version} is {'challenger' if role == 'staging' else role} already.")


def _report(transition: Transition, as_json: bool) -> None:
    from workbench.output import print_json

    if as_json:
        print_json(
            {
                "model": transition.model,
                "what": transition.what,
                "from": transition.from_version,
                "to": transition.to_version,
                "event": transition.event.as_json(),
            }
        )
        return
    moved = change(transition.from_version, transition.to_version)
    print(f"{transition.model}: {what_happened(transition.event)}, {moved}")
