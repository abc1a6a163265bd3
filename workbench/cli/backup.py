"""`workbench backup` and `workbench restore`: the project's runs, log and state in one file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from workbench.cli.invocation import Invocation, json_option, pass_invocation, yes_option

if TYPE_CHECKING:
    from store.layout import Layout


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@json_option
@pass_invocation
def backup(invocation: Invocation, file: Path, as_json: bool) -> None:
    """Write runs, registry, prediction log, state and settings to FILE (a .tar.gz).

    Everything may go on running. Data files outside of the project's state are not in it, nor are runs on a
    tracking server.
    """
    from store.backup import back_up
    from store.errors import UsageError
    from workbench.output import print_json, say, warn

    if file.exists():
        raise UsageError(f"{file} is there already", "Name another file.")
    runs = _runs_folder(invocation)
    if runs is None:
        warn(f"the runs in {invocation.tracking_uri} are not in it: back them up where they are")
    report = back_up(invocation.layout, runs, file)
    if as_json:
        print_json({"files": report.files, "bytes": report.bytes, "size": file.stat().st_size})
        return
    size = file.stat().st_size / 1e6
    say(f"{report.files:,} files, {report.bytes / 1e6:,.1f} MB, in {file} ({size:,.1f} MB).")


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@yes_option
@json_option
@pass_invocation
def restore(invocation: Invocation, file: Path, yes: bool, as_json: bool) -> None:
    """Put the project back as it was when FILE was written; what is here now is kept beside it.

    In an empty folder it makes the project there. Runs and state go where the settings in FILE have them.
    Every file is checked against its hash first.
    """
    from store.layout import SETTINGS_FILE
    from store.restore import restore as put_back
    from workbench.desk.place import find_root
    from workbench.output import print_json, say

    root = find_root(invocation.start) or invocation.start.resolve()
    report = put_back(file, root, lambda settings: _places(root, settings), overwrite=yes)
    if as_json:
        aside = [str(path) for path in report.aside]
        print_json({"files": report.files, "bytes": report.bytes, "root": str(root), "aside": aside})
        return
    for path in report.aside:
        say(f"kept: {path}")
    say(f"{report.files:,} files restored; {root / SETTINGS_FILE} is as it was.")


def _places(root: Path, settings: bytes | None) -> tuple[Layout, Path | None]:
    """Where a backup's own settings put state and runs; where it has none, where a new project has them."""
    import tomllib

    from store.errors import DataError
    from store.tracking import resolve_uri
    from workbench.settings import compose

    try:
        document = {} if settings is None else tomllib.loads(settings.decode("utf-8-sig"))
    except ValueError as error:
        raise DataError(f"the settings in the backup are not valid: {error}", "Use another one.") from error
    document.setdefault("project", {}).setdefault("name", root.name or "workbench")
    project = compose(root, document, {}, {}, os.environ)
    return project.layout, _folder_of(resolve_uri(project.settings.tracking.uri, root))


def _runs_folder(invocation: Invocation) -> Path | None:
    return _folder_of(invocation.tracking_uri)


def _folder_of(uri: str) -> Path | None:
    from store.tracking import file_store_path, is_file_store

    return file_store_path(uri) if is_file_store(uri) else None
