"""`workbench models validate`: whether a version would serve, told before anybody promotes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from workbench.cli import completions
from workbench.cli.invocation import Invocation, json_option

if TYPE_CHECKING:
    from store.registry import ModelVersion


@click.command()
@click.argument("name", required=False, shell_complete=completions.models)
@click.argument("version", required=False)
@json_option
@click.pass_context
def validate(ctx: click.Context, name: str | None, version: str | None, as_json: bool) -> None:
    """Load versions as the server would and let them predict their stored example; exit 1 when one fails.

    Without VERSION every version that is not archived, without NAME the champion of each model.
    """
    from workbench.output import Cell, Column, print_json, print_table, say

    invocation = ctx.find_object(Invocation)
    assert invocation is not None
    chosen = _chosen(invocation, name, version)
    rows = [_validated(invocation, found) for found in chosen]
    failed = sum(not row["is_valid"] for row in rows)
    if as_json:
        print_json(rows)
    elif not rows:
        say("No champions to validate." if name is None else f"{name} has no version to validate.")
    else:
        columns = [
            Column("model", style="bold", flexible=True),
            Column("version", "right"),
            Column("valid"),
            Column("one row", "right"),
            Column("what", flexible=True),
        ]
        print_table(
            columns,
            [
                [
                    row["name"],
                    str(row["version"]),
                    Cell("yes", "green") if row["is_valid"] else Cell("NO", "red"),
                    f"{row['row_ms']:.2f} ms" if row["row_ms"] is not None else "",
                    row["problem"] or "; ".join(row["differences"]) or row["example"],
                ]
                for row in rows
            ],
        )
    if failed:
        say(f"{failed} of {len(rows)} versions would not serve.")
        ctx.exit(1)


def _chosen(invocation: Invocation, name: str | None, version: str | None) -> list[ModelVersion]:
    registry = invocation.registry
    if name is not None and version is not None:
        return [registry.version(name, version)]
    if name is not None:
        model = registry.model(name)
        return [item for item in model.versions if item.stage != "Archived"]
    return [item for model in registry.models() for item in model.versions if item.version == model.champion]


def _validated(invocation: Invocation, found: ModelVersion) -> dict[str, Any]:
    from serve.served_model import load_served
    from store.errors import WorkbenchError

    row: dict[str, Any] = {
        "name": found.name,
        "version": found.version,
        "is_valid": False,
        "problem": None,
        "hint": None,
        "differences": [],
        "example": "",
        "row_ms": None,
    }
    trusted_types = invocation.project.settings.serve.trusted_types
    try:
        if found.model_dir is None and invocation.registry.fetches_files:
            found = invocation.registry.version(found.name, found.version)
        served = load_served(found, trusted_types=trusted_types, layout=invocation.layout)
    except WorkbenchError as error:
        return {**row, "problem": error.message, "hint": error.hint}
    has_answers = isinstance(served.loaded.file.metadata.get("example_predictions"), list)
    if served.example is None:
        example = "no stored example to check it with"
    elif has_answers:
        example = "answers its stored example as in training"
    else:
        example = "predicts its stored example"
    return {
        **row,
        "is_valid": True,
        "differences": list(served.differences),
        "example": example,
        "row_ms": served.row_ms,
    }
