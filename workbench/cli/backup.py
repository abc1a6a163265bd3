"""`workbench backup` and `workbench restore`: the project's runs, log and state in one file."""

from __future__ import annotations

from pathlib import Path

import click

from workbench.cli.invocation import Invocation, json_option, pass_invocation, yes_option


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
    report = back_up(invocation.layout.ensure(), runs, file)
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

    In an empty folder it makes the project there. Every file is checked against its hash first.
    """
    from store.backup import restore as put_back
    from store.layout import SETTINGS_FILE, Layout
    from workbench.desk.place import find_root
    from workbench.output import print_json, say

    if find_root(invocation.start) is None:
        root = invocation.start.resolve()
        layout: Layout = Layout.of(root)
        runs: Path | None = root / "mlruns"
    else:
        layout, runs = invocation.layout, _runs_folder(invocation)
    report = put_back(file, layout, runs, overwrite=yes)
    if as_json:
        aside = [str(path) for path in report.aside]
        print_json({"files": report.files, "bytes": report.bytes, "root": str(layout.root), "aside": aside})
        return
    for path in report.aside:
        say(f"kept: {path}")
    say(f"{report.files:,} files restored; {layout.root / SETTINGS_FILE} is as it was.")


def _runs_folder(invocation: Invocation) -> Path | None:
    from store.tracking import file_store_path, is_file_store

    uri = invocation.tracking_uri
    return file_store_path(uri) if is_file_store(uri) else None
