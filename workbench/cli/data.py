"""`workbench data`: data files, what became of them, and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from workbench.cli import completions
from workbench.cli.data_versions import pull, push, restore, versions
from workbench.cli.invocation import Invocation, json_option, pass_invocation, reason_option

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workbench.output import Cell

_STYLES = {
    "new": "cyan",
    "ready": "green",
    "queued": "cyan",
    "trained": "",
    "duplicate": "dim",
    "quarantined": "red",
}
pipeline_option = click.option(
    "--pipeline", "-p", metavar="NAME", help="Only this pipeline.", shell_complete=completions.pipelines
)


@click.group()
def data() -> None:
    """Data files: their states, validation reports and versions."""


for _command in (versions, restore, push, pull):
    data.add_command(_command)


@data.command("list")
@pipeline_option
@click.option("--state", multiple=True, type=click.Choice(list(_STYLES)), help="Only in this state.")
@json_option
@pass_invocation
def list_(invocation: Invocation, pipeline: str | None, state: tuple[str, ...], as_json: bool) -> None:
    """List the data files of the pipelines and what became of each."""
    from pipelines.data_state import current_files
    from workbench.output import Cell, Column, number, print_json, print_table, say

    files = current_files(invocation.layout, _pipelines(invocation, pipeline))
    files = [file for file in files if not state or file.state in state]
    if as_json:
        print_json([file.as_json() for file in files])
        return
    if not files:
        say("No data files. [pipelines.NAME] data says where they are looked for.")
        return
    columns = [
        Column("file", flexible=True),
        Column("pipeline", flexible=True),
        Column("state"),
        Column("rows", "right"),
        Column("reason", flexible=True),
        Column("run", style="cyan", extra=True),
        Column("hash", style="dim", extra=True),
    ]
    rows: list[list[str | Cell]] = [
        [
            file.path,
            file.pipeline,
            Cell(file.state, _STYLES[file.state]),
            number(None if file.state == "new" else file.rows),
            file.reason or "",
            (file.run_id or "")[:8],
            (file.sha256 or "")[:12],
        ]
        for file in files
    ]
    print_table(columns, rows)


@data.command()
@click.argument("file")
@pipeline_option
@json_option
@pass_invocation
def show(invocation: Invocation, file: str, pipeline: str | None, as_json: bool) -> None:
    """Show what is known about FILE, with its validation report."""
    from store.ledger import get_file
    from workbench.output import MISSING, local_time, number, print_json, print_pairs, print_title

    found = get_file(invocation.layout, _path_in(invocation, file), pipeline=pipeline)
    if as_json:
        print_json({**found.as_json(), "gone_at": found.gone_at, "report": found.report})
        return
    print_title(found.path, found.pipeline)
    print_pairs(
        [
            ("state", _state(found.state)),
            ("reason", found.reason or MISSING),
            ("rows", number(found.rows)),
            ("bytes", number(found.stamp.size)),
            ("sha256", found.sha256 or MISSING),
            ("job", found.job_id or MISSING),
            ("run", found.run_id or MISSING),
            ("first seen", local_time(found.first_seen)),
            ("gone since", local_time(found.gone_at)),
        ]
    )
    if found.report is not None:
        print()
        print_report(found.report)


@data.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE]...")
@pipeline_option
@json_option
@click.pass_context
def validate(ctx: click.Context, files: tuple[Path, ...], pipeline: str | None, as_json: bool) -> None:
    """Check FILEs (all data files unless given) as the watcher does, before anything uses them.

    Exit 1 when one is not valid. A quarantined file that has become valid, because the settings changed, is
    let into training.
    """
    from pipelines.data_files import scan
    from pipelines.data_state import pipeline_of, validate_file
    from workbench.output import print_json

    invocation = ctx.find_object(Invocation)
    assert invocation is not None
    pipelines = _pipelines(invocation, pipeline)
    wanted: list[tuple[str, Path]]
    if files:
        paths = [Path.cwd() / file for file in files]
        wanted = [(pipeline_of(invocation.layout, pipelines, path, pipeline), path) for path in paths]
    else:
        wanted = [
            (name, Path(path))
            for name, settings in pipelines.items()
            for path in sorted(scan(settings.data, invocation.layout.root))
        ]
    reports = []
    for name, path in wanted:
        report, stamp = validate_file(invocation.layout, name, pipelines[name], path)
        _let_in(invocation, name, report, stamp)
        reports.append(report)
        if not as_json:
            print_report(report.as_json(), with_path=True)
    if as_json:
        documents = [report.as_json() for report in reports]
        print_json(documents[0] if len(files) == 1 else documents)
    if any(not report.is_valid for report in reports):
        ctx.exit(1)


@data.command()
@click.argument("file")
@pipeline_option
@reason_option
@json_option
@pass_invocation
def release(
    invocation: Invocation, file: str, pipeline: str | None, reason: str | None, as_json: bool
) -> None:
    """Let the quarantined FILE into training in spite of its report; --reason says why."""
    from pipelines.admission import tell
    from store.errors import UsageError
    from store.ledger import get_file
    from store.ledger import release as release_file
    from workbench.output import print_json, say

    if not reason:
        raise UsageError(
            "a release needs a reason", "Say why with --reason TEXT; it is kept in the audit trail."
        )
    found = get_file(invocation.layout, _path_in(invocation, file), pipeline=pipeline)
    released = release_file(invocation.layout, found, reason)
    tell(invocation.layout, released.pipeline)
    if as_json:
        print_json(released.as_json())
        return
    say(f"{released.path} is ready for training.")


def print_report(report: Mapping[str, Any], *, with_path: bool = False) -> None:
    """A validation report: findings, errors first."""
    from workbench.output import Cell, Column, number, print_table

    if with_path:
        word = Cell("valid", "green") if report["valid"] else Cell("not valid", "red")
        print_table(
            [Column(""), Column("", flexible=True), Column("")],
            [[word, report["path"], "" if report["rows"] is None else f"{number(report['rows'])} rows"]],
            header=False,
        )
    if report["findings"]:
        print_table(
            [Column("level"), Column("check"), Column("finding", wraps=True)],
            [
                [
                    Cell(row["level"], "red" if row["level"] == "error" else "yellow"),
                    row["check"],
                    row["message"],
                ]
                for row in report["findings"]
            ],
        )
    elif not with_path:
        print("Nothing was found to be wrong.")


def _let_in(invocation: Invocation, pipeline: str, report: Any, stamp: Any) -> None:
    """A quarantined file whose content is valid by the settings of today is ready."""
    from pipelines.admission import tell
    from store.ledger import Entry, find_file, record
    from workbench.output import say

    known = find_file(invocation.layout, pipeline, report.path)
    if known is None or known.state != "quarantined" or known.stamp != stamp or not report.is_valid:
        return
    rows = report.summary.rows
    entry = Entry(report.path, stamp, "ready", known.sha256, rows, report=report.as_json())
    record(invocation.layout, pipeline, [entry])
    tell(invocation.layout, pipeline)
    say(f"{report.path} is out of quarantine.")


def _pipelines(invocation: Invocation, wanted: str | None) -> dict[str, Any]:
    if wanted is None:
        return dict(invocation.project.settings.pipelines)
    name, settings = invocation.project.pipeline(wanted)
    return {name: settings}


def _path_in(invocation: Invocation, file: str) -> str:
    """The ledger's name of a file that was typed: relative to this folder, or to the project.

    A file outside of the project is known as the settings spell it, in full or with `..`; either finds it.
    """
    from store.ledger import ledger_path, list_files

    here, root = Path.cwd() / file, invocation.layout.root
    if not here.exists():
        return file
    name = ledger_path(here, root)
    alike = [known.path for known in list_files(invocation.layout) if Path(known.path).name == here.name]
    same = (path for path in alike if (root / path).resolve() == here.resolve())
    return name if name in alike else next(same, name)


def _state(state: str) -> Cell:
    from workbench.output import Cell

    return Cell(state, _STYLES[state])
