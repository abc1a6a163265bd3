"""`workbench runs`: look at runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from workbench.cli import completions, runs_again, runs_change
from workbench.cli.invocation import Invocation, json_option, pass_invocation

if TYPE_CHECKING:
    from store.runs import Run
    from workbench.output import Cell, Column

ROWS_IN_A_TERMINAL = 50


@click.group()
def runs() -> None:
    """List, show, compare, tag and delete runs.

    A RUN is its id, the first characters of it (four or more) or its name.
    """


for command in (*runs_change.COMMANDS, runs_again.reproduce):
    runs.add_command(command)


def _selection(command: Any) -> Any:
    """The options that choose runs."""
    for option in reversed(
        (
            click.option(
                "--experiment",
                "-e",
                metavar="NAME",
                shell_complete=completions.experiments,
                help="Only runs of this experiment.",
            ),
            click.option(
                "--filter", "-f", "where", metavar="EXPR", help="MLflow's syntax: metrics.rmse < 60 and …"
            ),
            click.option(
                "--order-by", "-o", multiple=True, metavar="KEY", help="As in metrics.rmse ASC; repeatable."
            ),
            click.option("--limit", "-n", type=click.IntRange(0), help="At most so many; 0 for all."),
            click.option("--deleted", is_flag=True, help="Deleted runs instead."),
        )
    ):
        command = option(command)
    return command


@runs.command("list")
@_selection
@click.option("--children", is_flag=True, help="Also runs below others, as the candidates of a search are.")
@click.option("--columns", metavar="A,B", help="As in name,metrics.rmse,params.max_depth.")
@json_option
@pass_invocation
def list_(
    invocation: Invocation,
    experiment: str | None,
    where: str | None,
    order_by: tuple[str, ...],
    limit: int | None,
    deleted: bool,
    children: bool,
    columns: str | None,
    as_json: bool,
) -> None:
    """List runs, newest first; of those below others only how many there are, unless --children."""
    import sys

    from workbench.output import is_terminal, print_json, print_table, say

    is_short = limit is None and not as_json and is_terminal(sys.stdout)
    wanted = ROWS_IN_A_TERMINAL + 1 if is_short else limit or None
    is_nested = children or deleted
    found = invocation.runs.list(experiment, where, order_by, wanted, deleted, nested=is_nested)
    below = {} if deleted or not found else invocation.runs.children()
    if as_json:
        print_json(_with_versions(invocation, found, below))
        return
    if not found:
        say(_nothing(experiment, where, deleted=deleted, is_nested=is_nested))
        return
    shown = found[:ROWS_IN_A_TERMINAL] if is_short else found
    if columns:
        print_table(*_chosen_table(shown, [name.strip() for name in columns.split(",")], below))
    else:
        print_table(*_table(shown, below))
    if len(shown) < len(found):
        say(f"The first {len(shown)}; --limit 0 for all.")
    hidden = 0 if is_nested else sum(below.get(run.run_id, 0) for run in shown)
    if hidden:
        say(f"{hidden} {'run is' if hidden == 1 else 'runs are'} below these; --children shows them.")


def _nothing(experiment: str | None, where: str | None, *, deleted: bool, is_nested: bool) -> str:
    if where and not is_nested:
        return "No runs here; --children looks among those below others too."
    return "No runs here." if where or experiment or deleted else "No runs yet. Train one: workbench train"


@runs.command()
@click.argument("run", shell_complete=completions.runs)
@json_option
@pass_invocation
def show(invocation: Invocation, run: str, as_json: bool) -> None:
    """Show a run: params, metrics, tags, artifacts, the gate's verdict."""
    from workbench.cli.run_details import print_run, run_details

    details = run_details(invocation, invocation.runs.get(run))
    print_run(details, as_json=as_json)


@runs.command()
@click.argument("run", nargs=-1, required=True, shell_complete=completions.runs)
@click.option("--all", "everything", is_flag=True, help="Also what is the same in all of them.")
@json_option
@pass_invocation
def compare(invocation: Invocation, run: tuple[str, ...], everything: bool, as_json: bool) -> None:
    """Compare runs side by side; the first is the baseline."""
    from store.errors import UsageError
    from workbench.cli.run_comparison import print_comparison

    found = [invocation.runs.get(name) for name in run]
    if len({each.run_id for each in found}) < 2:
        raise UsageError("one run can't be compared with itself", "Name two or more runs.")
    print_comparison(found, everything=everything, as_json=as_json)


@runs.command()
@click.argument("run", required=False, shell_complete=completions.runs)
@_selection
@click.option("--format", "form", type=click.Choice(["csv", "json"]), help="By the file's name unless given.")
@click.option(
    "--output",
    "output",
    "-O",
    type=click.Path(path_type=Path),
    help="A file, stdout unless given; with RUN a new folder, named after the run unless given.",
)
@pass_invocation
def export(
    invocation: Invocation,
    run: str | None,
    experiment: str | None,
    where: str | None,
    order_by: tuple[str, ...],
    limit: int | None,
    deleted: bool,
    form: str | None,
    output: Path | None,
) -> None:
    """Write runs with all their params, metrics and tags as CSV or JSON.

    With RUN: a folder with its data, settings, code state, pinned requirements and a script that trains the
    same model without workbench.
    """
    if run is not None:
        runs_again.export_run(invocation, run, output)
        return
    from store.files import write_atomically
    from workbench.output import say

    found = invocation.runs.list(experiment, where, order_by, limit or None, deleted)
    form = form or ("json" if output is not None and output.suffix == ".json" else "csv")
    text = _as_json_text(found) if form == "json" else _as_csv(found)
    if output is None:
        click.echo(text, nl=False)
        return
    write_atomically(output, text)
    say(f"{len(found)} runs in {output}.")


def as_row(run: Run) -> dict[str, Any]:
    """A run in the stable shape of `runs list --json`."""
    return {
        "run_id": run.run_id,
        "name": run.name,
        "experiment": run.experiment,
        "status": run.status,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "params": dict(run.params),
        "metrics": dict(run.metrics),
        "tags": dict(run.tags),
        "lifecycle_stage": run.lifecycle_stage,
        "problem": run.problem,
    }


def _with_versions(
    invocation: Invocation, found: Sequence[Run], below: Mapping[str, int]
) -> list[dict[str, Any]]:
    from workbench.desk.runs import versions_by_run

    made = versions_by_run(invocation.registry.models()) if found else {}

    def versions(run: Run) -> list[dict[str, Any]]:
        return [
            {"model": item.name, "version": item.version, "aliases": list(item.aliases)}
            for item in made.get(run.run_id, ())
        ]

    return [{**as_row(run), "versions": versions(run), "children": below.get(run.run_id, 0)} for run in found]


def status_cell(run: Run) -> Cell:
    """A run's status, coloured; a broken run says so."""
    from workbench.output import Cell

    if run.problem:
        return Cell("BROKEN", "red")
    styles = {"FINISHED": "green", "RUNNING": "cyan", "FAILED": "red", "KILLED": "yellow"}
    return Cell(run.status, styles.get(run.status, ""))


def _table(found: Sequence[Run], below: Mapping[str, int]) -> tuple[list[Column], list[list[str | Cell]]]:
    """The default table: what fits 80 columns, and metrics and params where there is room."""
    from workbench.desk.runs import metric_names, varied_params
    from workbench.output import Column, local_time, number

    telling, dull = metric_names(found)
    params = varied_params(found)
    several_experiments = len({run.experiment for run in found}) > 1
    columns = [Column("run", style="cyan"), Column("name", flexible=True)]
    if several_experiments:
        columns.append(Column("experiment", flexible=True))
    has_children = any(run.run_id in below for run in found)
    if has_children:
        columns.append(Column("children", "right"))
    columns += [Column("status"), Column("started", style="dim", is_optional=True)]
    columns += [Column(name, "right", extra=i > 0, flexible=i == 0) for i, name in enumerate(telling)]
    columns += [Column(name, extra=True) for name in params]
    columns += [Column(name, "right", extra=True) for name in dull]
    rows: list[list[str | Cell]] = []
    for run in found:
        row: list[str | Cell] = [run.run_id[:8], run.name]
        if several_experiments:
            row.append(run.experiment)
        if has_children:
            row.append(number(below.get(run.run_id)))
        row += [status_cell(run), local_time(run.started_at)[:16]]
        row += [number(run.metrics.get(name)) for name in telling]
        row += [run.params.get(name, "") for name in params]
        row += [number(run.metrics.get(name)) for name in dull]
        rows.append(row)
    return columns, rows


def _chosen_table(
    found: Sequence[Run], names: Sequence[str], below: Mapping[str, int]
) -> tuple[list[Column], list[list[str | Cell]]]:
    """Only the columns asked for, `params.x`, `metrics.x`, `tags.x` or a run's own field."""
    from store.errors import UsageError
    from workbench.output import Column, clean, local_time, number

    def cell(run: Run, name: str) -> str | Cell:
        kind, _, key = name.partition(".")
        if kind == "metrics":
            return number(run.metrics.get(key))
        if kind in ("params", "tags"):
            return str(getattr(run, kind).get(key, ""))
        if name == "status":
            return status_cell(run)
        if name == "children":
            return number(below.get(run.run_id))
        value = as_row(run).get(name)
        return local_time(value) if name in ("started_at", "ended_at") else clean(value or "")

    known = [name for name in as_row(found[0]) if name not in ("params", "metrics", "tags")]
    known.append("children")
    for name in names:
        if name not in known and name.partition(".")[0] not in ("params", "metrics", "tags"):
            raise UsageError(
                f"no column {name!r}", f"There are {', '.join(known)}, params.NAME, metrics.NAME, tags.NAME."
            )
    columns = [Column(name, "right" if name.startswith("metrics.") else "left") for name in names]
    return columns, [[cell(run, name) for name in names] for run in found]


def _as_json_text(found: Sequence[Run]) -> str:
    import json

    from workbench.output import to_json

    return json.dumps(to_json([as_row(run) for run in found]), indent=2, ensure_ascii=False) + "\n"


def _as_csv(found: Sequence[Run]) -> str:
    import csv
    import io

    from workbench.output import to_json

    groups = ("params", "metrics", "tags")
    rows = []
    for run in found:
        row = as_row(run)
        flat = {name: to_json(value) for name, value in row.items() if name not in groups}
        flat |= {f"{group}.{key}": value for group in groups for key, value in row[group].items()}
        rows.append(flat)
    own = [name for name in rows[0] if name.partition(".")[0] not in groups] if rows else ["run_id"]
    wide = sorted(
        {name for row in rows for name in row} - set(own), key=lambda n: (groups.index(n.split(".")[0]), n)
    )
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, [*own, *wide], restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()
