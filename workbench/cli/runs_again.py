"""`workbench runs reproduce` and `runs export RUN`: a run made again, here or without workbench."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from workbench.cli import completions
from workbench.cli.invocation import Invocation, json_option

if TYPE_CHECKING:
    from pipelines.recipe import RecipeFile
    from pipelines.reproduce import Reproduction
    from store.layout import Layout

DIFFERS = 1


@click.command()
@click.argument("run", shell_complete=completions.runs)
@json_option
@click.pass_context
def reproduce(ctx: click.Context, run: str, as_json: bool) -> None:
    """Train a run again from its own data, settings, code and seed, and compare to the last bit.

    Nothing is registered and no run is added. Exit 1 when anything came out otherwise; what differs between
    the environments then and now is shown with it.
    """
    from pipelines.recipe import read_recipe
    from pipelines.reproduce import reproduce as train_again
    from workbench.cli.train import stopped_like_ctrl_c
    from workbench.output import print_json
    from workbench.progress import TrainProgress

    invocation = ctx.find_object(Invocation)
    assert invocation is not None
    settings = invocation.project.settings
    found = invocation.runs.get(run)
    recipe = read_recipe(invocation.runs, found)
    with TrainProgress(f"Reproducing {found.name}") as progress, stopped_like_ctrl_c():
        outcome = train_again(
            recipe,
            invocation.runs,
            invocation.layout,
            store=settings.store,
            trusted_types=settings.serve.trusted_types,
            restore=kept_content(invocation.layout),
            on_event=progress,
        )
    if as_json:
        print_json(outcome.as_json())
    else:
        _print(found.name, outcome)
    if not outcome.is_identical:
        ctx.exit(DIFFERS)


def export_run(invocation: Invocation, run: str, output: Path | None) -> None:
    """Write the folder of one run, with the script that trains its model without workbench."""
    from pipelines.handover import hand_over
    from pipelines.recipe import read_recipe
    from store.errors import WorkbenchError
    from store.model_files import load_model
    from workbench.output import say, warn

    found = invocation.runs.get(run)
    recipe = read_recipe(invocation.runs, found)
    model = None
    try:
        model = load_model(
            invocation.runs.artifact_path(found.run_id, "model"),
            trusted_types=invocation.project.settings.serve.trusted_types,
            layout=invocation.layout,
        )
    except WorkbenchError as error:
        warn(f"the script can't compare with the original: {error.message}")
    folder = output or Path(found.name)
    files = hand_over(
        recipe, invocation.layout.root, folder, model=model, restore=kept_content(invocation.layout)
    )
    say(f"{len(files)} files in {folder}: python {folder / 'train.py'} trains the same model.")


def kept_content(layout: Layout) -> Callable[[RecipeFile], Path | None]:
    """Finds the content of a data file that is no longer at its place, in the project's cache of data."""

    def find(file: RecipeFile) -> Path | None:
        from store.data_cache import is_kept, object_path

        return object_path(layout, file.md5) if file.md5 and is_kept(layout, file.md5) else None

    return find


def _print(name: str, outcome: Reproduction) -> None:
    from workbench.output import Column, print_table, print_title, say

    if outcome.is_identical:
        print(f"{name} is reproduced to the last bit: {outcome.compared} metrics and every file equal.")
    else:
        print_title(name, "came out otherwise")
        changed = [*outcome.metrics, *outcome.params]
        rows = [[each.name, _shown(each.before), _shown(each.after)] for each in changed]
        rows += [[artifact, "", "differs"] for artifact in outcome.artifacts]
        print_table([Column("what"), Column("then", "right"), Column("again", "right")], rows)
    for package, (then, now) in outcome.packages.items():
        say(f"{package} was {then or 'not installed'}, is {now or 'not installed'}")


def _shown(value: float | str | None) -> str:
    """Every digit: two values may differ in the last."""
    if value is None:
        return "—"
    return value if isinstance(value, str) else repr(value)
