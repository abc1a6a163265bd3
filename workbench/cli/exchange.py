"""`workbench export` and `workbench import`: runs and model versions from one project into another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from workbench.cli import completions
from workbench.cli.invocation import Invocation, json_option, pass_invocation

if TYPE_CHECKING:
    from store.registry import ModelVersion


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME[:VERSION]",
    help="A version with its run; its champion unless a number or an alias is given. As often as you like.",
    shell_complete=completions.models,
)
@click.option(
    "--run",
    "runs",
    multiple=True,
    metavar="RUN",
    help="A run with its files, by id or name. As often as you like.",
    shell_complete=completions.runs,
)
@json_option
@pass_invocation
def export(
    invocation: Invocation, file: Path, models: tuple[str, ...], runs: tuple[str, ...], as_json: bool
) -> None:
    """Write model versions and runs to FILE (a .tar.gz), for `workbench import` in another project.

    What goes with them: parameters, metrics, tags, files, models, references for drift. Data and logged
    predictions stay here; a whole project moves with `workbench backup`.
    """
    from store.errors import UsageError
    from store.exchange import export_runs
    from store.tracking import file_store_path
    from workbench.output import print_json, say

    if not models and not runs:
        raise UsageError("nothing to export", "Say what: --model NAME, --run RUN.")
    if file.exists():
        raise UsageError(f"{file} is there already", "Name another file.")
    store = file_store_path(invocation.tracking_uri)
    versions = [_version(invocation, model) for model in models]
    run_ids = [invocation.runs.get(run).run_id for run in runs]
    report = export_runs(store, run_ids, versions, file)
    size = file.stat().st_size
    if as_json:
        print_json({"files": report.files, "bytes": report.bytes, "size": size})
        return
    say(f"{report.files:,} files in {file} ({size / 1e6:,.1f} MB). Elsewhere: workbench import {file.name}")


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@json_option
@pass_invocation
def import_(invocation: Invocation, file: Path, as_json: bool) -> None:
    """Take in the runs and model versions of FILE, which `workbench export` wrote.

    Versions get the next number here, and none becomes champion: `workbench models promote` does that. What
    is here already stays as it is. Import files of people you trust: a model can hold code.
    """
    from store.exchange import import_runs
    from store.tracking import file_store_path
    from workbench.output import print_json, say

    store = file_store_path(invocation.tracking_uri)
    report = import_runs(file, store, invocation.registry, invocation.layout)
    if as_json:
        versions = [{"name": name, "version": version} for name, version in report.versions]
        here = [{"name": name, "version": version} for name, version in report.versions_here]
        known = {"runs_here": report.runs_here, "versions_here": here}
        print_json({"runs": report.runs, "versions": versions, **known})
        return
    for name, version in report.versions_here:
        say(f"{name} version {version} is here already.")
    if report.runs_here:
        say(f"{len(report.runs_here):,} of the runs are here already, and stay as they are.")
    for name, version in report.versions:
        say(f"{name} version {version} is registered. Next: workbench models promote {name} {version}")
    say(f"{len(report.runs):,} runs imported.")


def _version(invocation: Invocation, asked: str) -> ModelVersion:
    name, _, which = asked.partition(":")
    model = invocation.registry.model(name)
    newest = max((version.version for version in model.versions), default=0)
    return invocation.registry.version(name, which or str(model.champion or newest))
