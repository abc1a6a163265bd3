"""`workbench store`: the logged predictions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from workbench.cli.invocation import Invocation, json_option, pass_invocation

if TYPE_CHECKING:
    from store.questions import Answer
    from workbench.output import Cell

_MOST_TABLE_ROWS = 1_000


@click.group()
def store() -> None:
    """The logged predictions: sizes, SQL, export, upkeep."""


@store.command()
@click.argument("query")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@json_option
@pass_invocation
def sql(invocation: Invocation, query: str, as_csv: bool, as_json: bool) -> None:
    """Run a read-only QUERY in DuckDB's SQL; - reads it from stdin.

    There are the tables predictions, feedback and labels (the latest of each prediction), and a view for
    each model that names its columns; rows still in the spool are included. Times are UTC. Local files can
    be read too: FROM 'file.csv'. A table ends after 1,000 rows, CSV and JSON are of any length.
    """
    import sys

    from store.errors import UsageError
    from store.predictions import PredictionReader
    from workbench.output import print_json_rows, warn

    if as_csv and as_json:
        raise UsageError("--csv and --json are both given", "Choose one of them.")
    if query == "-":
        query = sys.stdin.read()
    reader = PredictionReader(invocation.layout)
    is_table = not as_csv and not as_json
    with reader.answer(query, limit=_MOST_TABLE_ROWS if is_table else None) as answer:
        if reader.note:
            warn(reader.note)
        if as_json:
            names = _told_apart(answer.columns)
            print_json_rows(dict(zip(names, row, strict=True)) for block in answer.blocks() for row in block)
        elif as_csv:
            _print_csv(answer)
        else:
            _print_answer(answer)


def _told_apart(names: Sequence[str]) -> list[str]:
    """The names with a number where one comes again: an object has each key once."""
    found: list[str] = []
    for name in names:
        candidate, number = name, 2
        while candidate in found:
            candidate, number = f"{name}_{number}", number + 1
        found.append(candidate)
    return found


def _print_csv(answer: Answer) -> None:
    import csv
    import sys

    from workbench.output import clean, is_terminal

    writer = csv.writer(sys.stdout, lineterminator="\n")
    shown = clean if is_terminal(sys.stdout) else str
    writer.writerow([shown(name) for name in answer.columns])
    for block in answer.blocks():
        writer.writerows([shown(v) if isinstance(v, str) else v for v in row] for row in block)


def _print_answer(answer: Answer) -> None:
    from workbench.output import Column, print_table, say

    rows = [row for block in answer.blocks() for row in block]
    if answer.columns == ("explain_key", "explain_value"):  # a drawing
        for _, text in rows:
            print(text)
        return
    numeric = [all(_is_number(row[i]) for row in rows) for i in range(len(answer.columns))]
    columns = [
        Column(name, "right" if is_number else "left", flexible=not is_number)
        for name, is_number in zip(answer.columns, numeric, strict=True)
    ]
    print_table(columns, [[_cell(value) for value in row] for row in rows])
    if answer.is_cut:
        say(f"the first {len(rows):,} rows; --csv or --json print all")
    else:
        say(f"{len(rows):,} row{'' if len(rows) == 1 else 's'}")


@store.command()
@json_option
@pass_invocation
def stats(invocation: Invocation, as_json: bool) -> None:
    """Show sizes, and how many predictions and labels there are of each version."""
    from store.stats import stats as measure
    from workbench.output import Column, iso, print_json, print_pairs, print_table, warn

    found = measure(invocation.layout)
    if as_json:
        print_json(
            {
                "models": [
                    {
                        "model": one.model,
                        "version": one.version,
                        "predictions": one.predictions,
                        "labelled": one.labelled,
                        "first_at": iso(one.first_at),
                        "last_at": iso(one.last_at),
                        "reference": (one.model, one.version) in found.references,
                    }
                    for one in found.models
                ],
                "file_bytes": found.file_bytes,
                "spool_bytes": found.spool_bytes,
                "spool_segments": found.spool_segments,
                "archive_bytes": found.archive_bytes,
                "archive_days": found.archive_days,
                "torn": found.torn,
                "note": found.note,
            }
        )
        return
    if found.note:
        warn(found.note)
    print_table(
        [
            Column("model", flexible=True),
            Column("version", "right"),
            Column("predictions", "right"),
            Column("labelled", "right"),
            Column("reference"),
            Column("last"),
        ],
        [
            [
                one.model,
                str(one.version),
                f"{one.predictions:,}",
                f"{one.labelled:,}",
                "yes" if (one.model, one.version) in found.references else "none",
                iso(one.last_at),
            ]
            for one in found.models
        ],
    )
    pairs = [
        ("DuckDB file", _megabytes(found.file_bytes)),
        ("spool", f"{_megabytes(found.spool_bytes)} in {found.spool_segments} segments"),
        ("archive", f"{_megabytes(found.archive_bytes)} in {found.archive_days} days"),
    ]
    if found.torn:
        pairs.append(
            ("damaged", f"{found.torn} files of damaged lines in {invocation.layout.spool / 'torn'}")
        )
    print_pairs(pairs)


@store.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--model", help="Only this model.")
@click.option("--since", type=click.DateTime(), help="From this UTC time on.")
@click.option("--until", type=click.DateTime(), help="Before this UTC time.")
@pass_invocation
def export(
    invocation: Invocation, folder: Path, model: str | None, since: datetime | None, until: datetime | None
) -> None:
    """Write predictions and their labels to Parquet files in FOLDER, by model and day.

    DuckDB reads them with FROM 'FOLDER/*/*/*.parquet', pandas and Spark by the folder's name.
    """
    from store.export import export as write
    from workbench.output import say

    written = write(invocation.layout, folder, model=model, since=since, until=until)
    say(f"{written:,} predictions in {folder}.")


@store.command()
@pass_invocation
def vacuum(invocation: Invocation) -> None:
    """Write the DuckDB file anew without unused room; predictions go on being logged."""
    from store.fold import fold
    from store.vacuum import vacuum as write_anew
    from workbench.output import say

    fold(invocation.layout, invocation.project.settings.store)
    report = write_anew(invocation.layout)
    say(f"{_megabytes(report.bytes_before)} before, {_megabytes(report.bytes_after)} after.")


@store.command()
@click.option("--rebuild", is_flag=True, help="Make the DuckDB file again from the archive.")
@json_option
@pass_invocation
def check(invocation: Invocation, rebuild: bool, as_json: bool) -> None:
    """Read every block, line and reference; exit 1 where one is damaged."""
    from store.errors import StorageError
    from store.fold import fold, rebuild_now
    from store.stats import check as look
    from workbench.output import print_json, say, warn

    layout = invocation.layout
    if rebuild:
        made = rebuild_now(layout)
        fold(layout, invocation.project.settings.store)
        saved = f" {made.saved:,} predictions only the old file had." if made.saved else ""
        kept = f" The old file is {made.kept}." if made.kept else ""
        say(f"{made.predictions:,} predictions and {made.feedback:,} labels from the archive.{saved}{kept}")
        for loss in made.losses:
            warn(loss)
    found = look(layout)
    if as_json:
        print_json({"problems": found.problems, "checked": found.checked})
    else:
        for line in found.checked:
            say(line)
    if found.problems:
        problems = "; ".join(found.problems)
        is_said = not found.is_damaged or "--rebuild" in problems
        raise StorageError(problems, None if is_said else "Make it again from the archive with --rebuild.")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


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
