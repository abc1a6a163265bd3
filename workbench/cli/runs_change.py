"""Commands of `workbench runs` that change a run: its name, note, tags, and whether it is deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from workbench.cli import completions
from workbench.cli.invocation import Invocation, pass_invocation, reason_option, yes_option

if TYPE_CHECKING:
    from store.runs import Run


@click.command()
@click.argument("run", shell_complete=completions.runs)
@click.argument("tags", nargs=-1, required=True, metavar="KEY=VALUE...")
@pass_invocation
def tag(invocation: Invocation, run: str, tags: tuple[str, ...]) -> None:
    """Set tags on a run."""
    from store.errors import UsageError
    from workbench.output import say

    pairs = [text.partition("=") for text in tags]
    for text, (key, equals, _) in zip(tags, pairs, strict=True):
        if not key or not equals:
            raise UsageError(f"{text!r} is no tag", "Write it as KEY=VALUE.")
    found = invocation.runs.get(run)
    for key, _, value in pairs:
        invocation.runs.set_tag(found.run_id, key, value)
    say(f"{found.name}: {', '.join(tags)}")


@click.command()
@click.argument("run", shell_complete=completions.runs)
@click.argument("text")
@pass_invocation
def note(invocation: Invocation, run: str, text: str) -> None:
    """Set a run's note (its description in MLflow)."""
    from workbench.output import say

    found = invocation.runs.get(run)
    invocation.runs.set_note(found.run_id, text)
    say(f"{found.name}: note set.")


@click.command()
@click.argument("run", shell_complete=completions.runs)
@click.argument("name")
@pass_invocation
def rename(invocation: Invocation, run: str, name: str) -> None:
    """Give a run another name."""
    from store.errors import UsageError
    from workbench.output import say

    if not name.strip():
        raise UsageError("a run's name can't be empty")
    found = invocation.runs.get(run)
    invocation.runs.rename(found.run_id, name)
    say(f"{found.name} is {name} from here on.")


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", shell_complete=completions.runs)
@yes_option
@reason_option
@pass_invocation
def delete(invocation: Invocation, runs: tuple[str, ...], yes: bool, reason: str | None) -> None:
    """Delete runs; `runs restore` brings them back."""
    from store.journal import append_event
    from workbench.confirm import confirm
    from workbench.output import say

    found = {run.run_id: run for run in map(invocation.runs.get, runs)}
    models = invocation.registry.models()
    for run in found.values():
        made = [f"{m.name} version {v.version}" for m in models for v in m.versions if v.run_id == run.run_id]
        source_of = f", source of {', '.join(made)}" if made else ""
        say(f"{run.run_id[:8]}  {run.name} ({run.experiment}){source_of}")
    what = "this run" if len(found) == 1 else f"these {len(found)} runs"
    confirm(f"Delete {what}?", yes=yes)
    for run in found.values():
        invocation.runs.delete(run.run_id)
        append_event(invocation.layout, "run_deleted", reason=reason, details=_details(run))
    ids = " ".join(run_id[:8] for run_id in found)
    say(f"Deleted. Undo: workbench runs restore {ids}")


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", shell_complete=completions.runs)
@reason_option
@pass_invocation
def restore(invocation: Invocation, runs: tuple[str, ...], reason: str | None) -> None:
    """Bring deleted runs back."""
    from store.journal import append_event
    from workbench.output import say

    for run in map(invocation.runs.get, runs):
        if run.lifecycle_stage == "active":
            say(f"{run.name} is not deleted.")
            continue
        invocation.runs.restore(run.run_id)
        append_event(invocation.layout, "run_restored", reason=reason, details=_details(run))
        say(f"{run.name} is back.")


def _details(run: Run) -> dict[str, str]:
    return {"run_id": run.run_id, "run": run.name, "experiment": run.experiment}


COMMANDS = (tag, note, rename, delete, restore)
