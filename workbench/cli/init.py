"""`workbench init`: a new project from a data file, a configuration file or nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from workbench.cli.invocation import Invocation, json_option, pass_invocation

if TYPE_CHECKING:
    from workbench.starter.draft import Draft
    from workbench.starter.project import NewProject


@click.command()
@click.argument("directory", required=False, type=click.Path(path_type=Path), metavar="[DIR]")
@click.option("--data", metavar="FILE", help="The data: a file, a folder or a quoted glob.")
@click.option("--target", metavar="COLUMN", help="The column to predict.")
@click.option(
    "--from",
    "config",
    type=click.Path(path_type=Path),
    metavar="CONFIG",
    help="Convert a config.yaml, a params.yaml with its dvc.yaml, or a Python file with a TrainConfig.",
)
@click.option("--name", metavar="NAME", help="Name of the project; the folder's unless given.")
@click.option(
    "--pipeline", metavar="NAME", help="Name of the pipeline and its model; the data's unless given."
)
@click.option("--estimator", metavar="X", help="A short name (random_forest) or a dotted path.")
@click.option("--copy", is_flag=True, help="Copy data that lies outside the project into data/.")
@click.option("--print", "only_print", is_flag=True, help="Write nothing: print the pipeline's section.")
@json_option
@pass_invocation
def init(
    invocation: Invocation,
    directory: Path | None,
    data: str | None,
    target: str | None,
    config: Path | None,
    name: str | None,
    pipeline: str | None,
    estimator: str | None,
    copy: bool,
    only_print: bool,
    as_json: bool,
) -> None:
    """Start a project in DIR (this folder unless given).

    Reads the data, guesses the task and what each column is, and writes workbench.toml, features.py, a test
    and .gitignore. Nothing that exists is overwritten.

    \b
        workbench init --data customers.csv --target churned
        workbench init churn --data ~/customers.csv --target churned
        workbench init --from config.yaml
    """
    from store.errors import UsageError
    from workbench.starter.project import section_text, start_project
    from workbench.starter.wishes import Wishes

    root = (invocation.start / directory if directory else invocation.start).resolve()
    wishes = Wishes(data, target, config, estimator, pipeline, copy, Path.cwd())
    if only_print:
        if as_json:
            raise UsageError("--print and --json are two ways to print", "Choose one of them.")
        if not wishes.anything:
            raise UsageError("--print needs the data", "Add --data FILE --target COLUMN.")
        text, draft = section_text(root, wishes)
        click.echo(text, nl=False)
        _say_warnings(draft)
        return
    started = start_project(root, wishes, name=name)
    if as_json:
        from workbench.output import print_json

        print_json(_as_json(started))
        if started.draft:
            _say_warnings(started.draft)
        return
    _print(started)


def _print(started: NewProject) -> None:
    from workbench.output import Cell, Column, print_table, print_title, say

    draft = started.draft
    if draft and draft.inspection:
        _print_columns(draft)
    if draft and draft.conversion:
        _print_conversion(draft)
    print_title(f"Project {started.name}", str(started.root))
    rows: list[list[str | Cell]] = [[file.path, file.state, file.what] for file in started.files]
    print_table([Column("", style="bold"), Column(""), Column("", flexible=True)], rows, header=False)
    if draft:
        for note in draft.notes:
            say(f"note: {note}")
        _say_warnings(draft)
    say()
    say("Next:")
    for command, what in next_steps(started):
        say(f"    {command:<34}{what}".rstrip())


def _print_columns(draft: Draft) -> None:
    from workbench.output import Cell, Column, print_table, print_title
    from workbench.starter.draft import role_in

    inspection = draft.inspection
    assert inspection
    rows_read = f"{inspection.rows:,} rows"
    if inspection.sampled_rows:
        rows_read += f", columns guessed from the first {inspection.sampled_rows:,}"
    print_title(
        f"Pipeline {draft.pipeline.name}: {inspection.task}",
        f"{draft.pipeline.settings['target']} has {inspection.task_reason} · {rows_read}",
    )
    styles = {"target": "bold cyan", "feature": "green", "id": "dim", "time": "yellow", "left out": "dim"}
    used = draft.pipeline.settings
    rows: list[list[str | Cell]] = []
    for column in inspection.columns:
        role, reason = role_in(used, column)
        missing = (
            f"{column.missing / (inspection.sampled_rows or inspection.rows):.1%}" if column.missing else ""
        )
        rows.append([column.name, column.kind, Cell(role, styles.get(role, "")), missing, reason])
    print_table(
        [
            Column("column", flexible=True),
            Column("kind"),
            Column("used as"),
            Column("missing", "right"),
            Column("why", wraps=True),
        ],
        rows,
    )
    click.echo()


def _print_conversion(draft: Draft) -> None:
    from workbench.output import Column, print_table, print_title

    conversion = draft.conversion
    assert conversion
    if conversion.converted:
        print_title("Converted")
        print_table(
            [Column("key", flexible=True), Column("value", flexible=True), Column("setting", flexible=True)],
            [[o.key, _shown(o.value), o.where] for o in conversion.converted],
        )
        click.echo()
    if conversion.left:
        print_title("Not converted")
        print_table(
            [Column("key", flexible=True), Column("value", flexible=True), Column("why", wraps=True)],
            [[o.key, _shown(o.value), o.reason] for o in conversion.left],
        )
        click.echo()


def next_steps(started: NewProject) -> list[tuple[str, str]]:
    """Commands to go on with, and what each does."""
    steps: list[tuple[str, str]] = []
    here = Path.cwd()
    if started.root != here:
        steps.append((f"cd {_shell_path(started.root, here)}", ""))
    if started.draft is None:
        data = _data_beside(started.root)
        if data is None:
            steps.append(("cp YOUR.csv data/", ""))
        command = f"workbench init --data {data or 'data/YOUR.csv'} --target COLUMN --print >> workbench.toml"
        return [*steps, (command, ""), ("workbench train", "")]
    return [
        *steps,
        ("workbench train", "train, measure, register"),
        ("workbench serve", "answer predictions on http://127.0.0.1:8000"),
        ("workbench config show", "every setting; change them in workbench.toml"),
    ]


def _data_beside(root: Path) -> str | None:
    """A data file in the project's folder or its data folder, quoted for the shell."""
    import shlex

    from pipelines.data import is_supported

    for folder in (root, root / "data"):
        found = sorted(path for path in folder.iterdir() if path.is_file() and is_supported(path))
        if found:
            return shlex.quote(found[0].relative_to(root).as_posix())
    return None


def _shell_path(path: Path, here: Path) -> str:
    import shlex

    return shlex.quote(str(path.relative_to(here)) if path.is_relative_to(here) else str(path))


def _say_warnings(draft: Draft) -> None:
    from workbench.output import warn

    for warning in draft.warnings:
        warn(warning)


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)


def _as_json(started: NewProject) -> dict[str, Any]:
    from workbench.starter.draft import role_in

    draft = started.draft
    inspection = draft.inspection if draft else None
    conversion = draft.conversion if draft else None
    settings = draft.pipeline.settings if draft else {}
    return {
        "project": started.name,
        "root": started.root,
        "pipeline": draft.pipeline.name if draft else None,
        "settings": settings,
        "task": inspection.task if inspection else None,
        "task_reason": inspection.task_reason if inspection else None,
        "rows": inspection.rows if inspection else None,
        "columns": [
            {
                "name": column.name,
                "kind": column.kind,
                "role": role,
                "reason": reason,
                "missing": column.missing,
            }
            for column in (inspection.columns if inspection else ())
            for role, reason in [role_in(settings, column)]
        ],
        "converted": [
            {"key": o.key, "value": o.value, "setting": o.setting}
            for o in (conversion.converted if conversion else ())
        ],
        "not_converted": [
            {"key": o.key, "value": o.value, "reason": o.reason}
            for o in (conversion.left if conversion else ())
        ],
        "files": [{"path": file.path, "state": file.state} for file in started.files],
        "notes": list(draft.notes) if draft else [],
        "warnings": list(draft.warnings) if draft else [],
        "next": [command for command, _ in next_steps(started)],
    }
