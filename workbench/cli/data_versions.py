"""`workbench data versions|restore|push|pull`: the exact data of every training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from workbench.cli import completions
from workbench.cli.invocation import Invocation, json_option, pass_invocation, yes_option

if TYPE_CHECKING:
    from store.data_remote import Remote, Transfer
    from store.data_versions import DataVersion


@click.command()
@click.option(
    "--pipeline", "-p", metavar="NAME", help="Only this pipeline.", shell_complete=completions.pipelines
)
@json_option
@pass_invocation
def versions(invocation: Invocation, pipeline: str | None, as_json: bool) -> None:
    """List the versions of the data: what each training saw, by the hash of its content."""
    from store.data_versions import list_versions
    from workbench.output import Cell, Column, local_time, number, print_json, print_table, say

    found = list_versions(invocation.layout, pipeline=pipeline)
    if as_json:
        print_json([version.as_json(invocation.layout) for version in found])
        return
    if not found:
        say("No data versions yet: a training makes one.")
        return
    columns = [
        Column("version", style="cyan"),
        Column("pipeline", flexible=True),
        Column("files", "right"),
        Column("rows", "right"),
        Column("kept"),
        Column("runs", style="cyan", flexible=True),
        Column("created", style="dim", extra=True),
    ]
    rows: list[list[str | Cell]] = []
    for version in found:
        kept = version.kept_files(invocation.layout)
        word = "yes" if kept == len(version.files) else f"{kept} of {len(version.files)}" if kept else "no"
        runs = ", ".join(run[:8] for run in version.run_ids[:3])
        rows.append(
            [
                version.digest[:12],
                version.pipeline,
                str(len(version.files)),
                number(version.rows),
                word,
                runs + (f" and {len(version.run_ids) - 3} more" if len(version.run_ids) > 3 else ""),
                local_time(version.created_at),
            ]
        )
    print_table(columns, rows)


@click.command()
@click.argument("version")
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Below this folder.",
)
@click.option("--overwrite", is_flag=True, help="Also where a file has other content; that is kept first.")
@yes_option
@json_option
@pass_invocation
def restore(
    invocation: Invocation,
    version: str,
    folder: Path | None,
    overwrite: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Put the files of VERSION (or of the run with that id) back, at their own places or below --to DIR.

    A file that has other content by now is left alone, unless --overwrite.
    """
    from store.data_versions import get_version, restore_version
    from workbench.confirm import confirm
    from workbench.output import print_json, say, warn

    found = get_version(invocation.layout, version)
    if overwrite and folder is None:
        confirm(f"Overwrite data files of {found.pipeline} with version {found.digest[:12]}?", yes=yes)
    target = None if folder is None else Path.cwd() / folder
    done = restore_version(invocation.layout, found, folder=target, overwrite=overwrite)
    if as_json:
        print_json(
            {
                "version": found.digest,
                "written": list(done.written),
                "present": list(done.present),
                "differing": list(done.differing),
            }
        )
    else:
        for path in done.written:
            print(path)
        say(f"{len(done.written)} written, {len(done.present)} there already.")
    for path in done.differing:
        warn(f"{path} has other content and was left alone; --overwrite replaces it")


def _remote_command(name: str, text: str) -> click.Command:
    @click.argument("version", nargs=-1)
    @click.option("--remote", metavar="URL", help="Where to, unless [store] data_remote says so.")
    @json_option
    @pass_invocation
    def run(invocation: Invocation, version: Sequence[str], remote: str | None, as_json: bool) -> None:
        from store.errors import NotFoundError
        from workbench.output import print_json, say

        chosen = _chosen(invocation, version)
        place = _remote(invocation, remote)
        names = [name for found in chosen for name in (*(file.md5 for file in found.files), found.directory)]
        done: Transfer = getattr(place, name)(invocation.layout, names)
        missing = [item for item in done.missing if not item.endswith(".dir")]
        if as_json:
            print_json(
                {"copied": done.copied, "present": done.present, "bytes": done.bytes, "missing": missing}
            )
        else:
            say(f"{done.copied} files copied ({done.bytes / 1e6:.1f} MB), {done.present} there already.")
        if missing:
            side = "here" if name == "push" else f"at {place.url}"
            raise NotFoundError(
                f"the content of {len(missing)} files is not kept {side}",
                "Pull it from where it is." if name == "push" else "Push it from where it is.",
            )

    run.__doc__ = text
    return click.command(name)(run)


push = _remote_command("push", "Copy the content of VERSIONs (all unless given) to the data remote.")
pull = _remote_command("pull", "Fetch the content of VERSIONs (all unless given) from the data remote.")


def _chosen(invocation: Invocation, wanted: Sequence[str]) -> list[DataVersion]:
    from store.data_versions import get_version, list_versions

    if wanted:
        return [get_version(invocation.layout, version) for version in wanted]
    return list_versions(invocation.layout)


def _remote(invocation: Invocation, url: str | None) -> Remote:
    from store.data_remote import Remote
    from store.errors import UsageError

    url = url or invocation.project.settings.store.data_remote
    if not url:
        raise UsageError(
            "no data remote is named", "Set [store] data_remote in workbench.toml, or give --remote URL."
        )
    return Remote(url, invocation.project.root)
