"""Commands of `workbench runs` that change a run: its name, note, tags, and whether it is deleted."""

from __future__ import annotations

import click

from workbench.cli import completions
from workbench.cli.invocation import Invocation, pass_invocation, reason_option, yes_option


@click.command()
@click.argument("run", shell_complete=completions.runs)
@click.argument("tags", nargs=-1, required=True, metavar="KEY=VALUE...")
@pass_invocation
def tag(invocation: Invocation, run: str, tags: tuple[str, ...]) -> None:
    """Set tags on a run."""
    from workbench.desk.run_changes import parse_tag
    from workbench.output import say

    pairs = [parse_tag(text) for text in tags]
    found = invocation.runs.get(run)
    for key, value in pairs:
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
    from workbench.confirm import confirm
    from workbench.desk.run_changes import delete_runs
    from workbench.output import say

    found = {run.run_id: run for run in map(invocation.runs.get, runs)}
    models = invocation.registry.models()
    for run in found.values():
        made = [f"{m.name} version {v.version}" for m in models for v in m.versions if v.run_id == run.run_id]
        source_of = f", source of {', '.join(made)}" if made else ""
        say(f"{run.run_id[:8]}  {run.name} ({run.experiment}){source_of}")
    what = "this run" if len(found) == 1 else f"these {len(found)} runs"
    confirm(f"Delete {what}?", yes=yes)
    delete_runs(invocation.runs, invocation.layout, found.values(), reason)
    ids = " ".join(run_id[:8] for run_id in found)
    say(f"Deleted. Undo: workbench runs restore {ids}")


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", shell_complete=completions.runs)
@reason_option
@pass_invocation
def restore(invocation: Invocation, runs: tuple[str, ...], reason: str | None) -> None:
    """Bring deleted runs back."""
    from workbench.desk.run_changes import restore_runs
    from workbench.output import say

    for run in map(invocation.runs.get, runs):
        if restore_runs(invocation.runs, invocation.layout, [run], reason):
            say(f"{run.name} is back.")
        else:
            say(f"{run.name} is not deleted.")


COMMANDS = (tag, note, rename, delete, restore)
