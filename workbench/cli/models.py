"""`workbench models`: look at registered models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from workbench.cli import completions, models_change, models_validate
from workbench.cli.invocation import Invocation, json_option, pass_invocation

if TYPE_CHECKING:
    from store.registry import ModelVersion, RegisteredModel
    from workbench.output import Cell

_STAGE_STYLES = {"Production": "green", "Staging": "cyan", "Archived": "dim"}


@click.group()
def models() -> None:
    """Model versions: promote, roll back, archive, history."""


for command in (*models_change.COMMANDS, models_validate.validate):
    models.add_command(command)


@models.command("list")
@json_option
@pass_invocation
def list_(invocation: Invocation, as_json: bool) -> None:
    """List registered models."""
    from workbench.output import MISSING, Cell, Column, local_time, print_json, print_table, say

    found = invocation.registry.models()
    if as_json:
        print_json([as_row(model) for model in found])
        return
    if not found:
        say("No models yet. Train one: workbench train")
        return
    columns = [
        Column("model", style="bold", flexible=True),
        Column("champion", "right"),
        Column("challenger", "right"),
        Column("versions", "right"),
        Column("champion's metrics", flexible=True),
        Column("last version", style="dim", extra=True),
    ]
    rows: list[list[str | Cell]] = []
    for model in found:
        champion = next((v for v in model.versions if v.version == model.champion), None)
        rows.append(
            [
                model.name,
                str(model.champion or MISSING),
                str(model.challenger or MISSING),
                str(len(model.versions)),
                Cell(model.problem, "red") if model.problem else metrics_text(champion),
                local_time(model.versions[0].created_at if model.versions else None),
            ]
        )
    print_table(columns, rows)


@models.command()
@click.argument("name", shell_complete=completions.models)
@click.argument("version", required=False)
@json_option
@pass_invocation
def show(invocation: Invocation, name: str, version: str | None, as_json: bool) -> None:
    """Show a model and its versions, or one VERSION of it (a number, an alias, a stage, latest)."""
    from workbench.output import print_json

    if version is None:
        model = invocation.registry.model(name)
        if as_json:
            print_json(as_row(model))
        else:
            _print_model(model)
        return
    found = invocation.registry.version(name, version)
    if as_json:
        print_json(version_row(found))
    else:
        _print_version(found)


@models.command()
@click.argument("name", shell_complete=completions.models)
@json_option
@pass_invocation
def history(invocation: Invocation, name: str, as_json: bool) -> None:
    """Print what happened to a model: who promoted, rolled back and archived what, when and why."""
    from workbench.cli.events import print_events

    registry = invocation.registry
    found = registry.history(name)
    if not found:
        registry.model(name)  # a model that does not exist is an error, one without events is not
    print_events(found, as_json=as_json)


def as_row(model: RegisteredModel) -> dict[str, Any]:
    """A model in the stable shape of `models show --json`."""
    return {
        "name": model.name,
        "champion": model.champion,
        "challenger": model.challenger,
        "versions": [version_row(version) for version in model.versions],
        "description": model.description,
        "problem": model.problem,
    }


def version_row(version: ModelVersion) -> dict[str, Any]:
    """A version in the stable shape of `models show --json`."""
    return {
        "version": version.version,
        "aliases": list(version.aliases),
        "stage": version.stage,
        "run_id": version.run_id,
        "metrics": dict(version.metrics),
        "created_at": version.created_at,
        "description": version.description,
        "tags": dict(version.tags),
        "source": version.source,
        "model_dir": version.model_dir,
        "status": version.status,
    }


def metrics_text(version: ModelVersion | None, most: int = 4) -> str:
    """A version's main metrics on one line."""
    from workbench.desk.words import main_metrics
    from workbench.output import MISSING, number

    if version is None or not version.metrics:
        return MISSING
    names = main_metrics([version.metrics], most)
    return "  ".join(f"{name} {number(version.metrics[name])}" for name in names)


def _print_model(model: RegisteredModel) -> None:
    from workbench.output import Cell, Column, local_time, print_table, print_title, warn

    print_title(model.name, model.description)
    if model.problem:
        warn(model.problem)
    columns = [
        Column("version", "right", style="bold"),
        Column("aliases"),
        Column("stage"),
        Column("run", style="cyan"),
        Column("created", style="dim", is_optional=True),
        Column("metrics", flexible=True),
        Column("description", style="dim", extra=True),
    ]
    rows: list[list[str | Cell]] = [
        [
            str(version.version),
            ", ".join(version.aliases),
            Cell(version.stage, _STAGE_STYLES.get(version.stage, "")),
            (version.run_id or "")[:8],
            local_time(version.created_at)[:16],
            metrics_text(version),
            version.description,
        ]
        for version in model.versions
    ]
    print_table(columns, rows)


def _print_version(version: ModelVersion) -> None:
    from workbench.output import MISSING, local_time, number, print_pairs, print_title

    print_title(f"{version.name} version {version.version}", version.description)
    print_pairs(
        [
            ("aliases", ", ".join(version.aliases) or MISSING),
            ("stage", version.stage),
            ("run", version.run_id or MISSING),
            ("created", local_time(version.created_at)),
            ("source", version.source),
            ("files", str(version.model_dir or "gone or elsewhere")),
            *((f"tag {key}", value) for key, value in version.tags.items()),
            *((name, number(value)) for name, value in sorted(version.metrics.items())),
        ]
    )
