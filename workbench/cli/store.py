"""`workbench store`: the logged predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from workbench.cli.invocation import Invocation, json_option, pass_invocation

if TYPE_CHECKING:
    from workbench.output import Cell


@click.group()
def store() -> None:
    """Query the logged predictions with SQL."""


@store.command()
@click.argument("query")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@json_option
@pass_invocation
def sql(invocation: Invocation, query: str, as_csv: bool, as_json: bool) -> None:
    """Run a read-only QUERY in DuckDB's SQL; - reads it from stdin.

    There are the tables predictions, feedback and labels (the latest of each prediction), and a view for
    each model that names its columns; rows still in the spool are included. Times are UTC. Local files can
    be read too: FROM 'file.csv'.
    """
    import sys

    from store.errors import UsageError
    from store.predictions import PredictionReader
    from workbench.output import Column, print_json, print_table, say, warn

    if as_csv and as_json:
        raise UsageError("--csv and --json are both given", "Choose one of them.")
    if query == "-":
        query = sys.stdin.read()
    table = PredictionReader(invocation.layout).query(query)
    if table.note:
        warn(table.note)
    if as_json:
        print_json(table.records())
        return
    if as_csv:
        import csv

        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(table.columns)
        writer.writerows(table.rows)
        return
    numeric = [all(_is_number(row[i]) for row in table.rows) for i in range(len(table.columns))]
    columns = [
        Column(name, "right" if is_number else "left", flexible=not is_number)
        for name, is_number in zip(table.columns, numeric, strict=True)
    ]
    print_table(columns, [[_cell(value) for value in row] for row in table.rows])
    say(f"{len(table.rows)} row{'' if len(table.rows) == 1 else 's'}")


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


def _cell(value: object) -> str | Cell:
    from datetime import datetime

    from workbench.output import MISSING, Cell, number

    if value is None:
        return Cell(MISSING, "dim")
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="milliseconds")
    if isinstance(value, float):
        return number(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(str(_cell(item)) for item in value) + "]"
    return str(value)
