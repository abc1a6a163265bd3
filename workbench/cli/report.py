"""`workbench report`: drift and performance on paper, from the log or from two plain files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from workbench.cli import completions
from workbench.cli.invocation import Invocation, json_option, pass_invocation
from workbench.cli.monitor import ROLE_HELP, reports_of

FAILED_ON = 4
"""Exit code when something is as bad as `--fail-on` says."""


@click.command()
@click.argument("model", required=False, shell_complete=completions.models)
@click.option("--reference", type=click.Path(path_type=Path), metavar="FILE", help="Rows to compare with.")
@click.option("--current", type=click.Path(path_type=Path), metavar="FILE", help="Rows to judge.")
@click.option("--predictions", metavar="COLUMN", help="With files: what a model answered.")
@click.option("--target", metavar="COLUMN", help="With files: what truly happened.")
@click.option("--ignore", metavar="COLUMN", multiple=True, help="With files: a column to leave out.")
@click.option("--ordered", is_flag=True, help="With files: the reference's rows come in order of time.")
@click.option("--classic", is_flag=True, help="With files: KS p < 0.05 and PSI 0.1 / 0.2, nothing adjusted.")
@click.option("--window", metavar="TIME|ROWS", help="In place of the setting: 1h, 24h, 500.")
@click.option("--segment", metavar="COLUMN=VALUE", help="Only rows with that value.")
@click.option("--role", metavar="ROLE", help=ROLE_HELP)
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="One page to send or print.",
)
@click.option("--against", metavar="VERSION", help="Ask this version of MODEL the same rows, and compare.")
@click.option("--joint", is_flag=True, help="Also try to tell the rows apart by all columns together.")
@click.option("--markdown", "as_markdown", is_flag=True, help="For a pull request.")
@click.option(
    "--fail-on",
    type=click.Choice(["watch", "warning", "critical"]),
    help="Exit with 4 where anything is as bad.",
)
@json_option
@pass_invocation
def report(
    invocation: Invocation,
    model: str | None,
    reference: Path | None,
    current: Path | None,
    predictions: str | None,
    target: str | None,
    ignore: tuple[str, ...],
    ordered: bool,
    classic: bool,
    window: str | None,
    segment: str | None,
    role: str | None,
    html: Path | None,
    against: str | None,
    joint: bool,
    as_markdown: bool,
    fail_on: str | None,
    as_json: bool,
) -> int:
    """Report on the newest window of MODEL, or on two files: --reference FILE --current FILE, no project.

    Files are Parquet, CSV or JSON lines.
    """
    from pipelines.drift.bands import is_at_least
    from store.errors import UsageError

    if (reference is None) != (current is None):
        raise UsageError("--reference and --current go together", "Name both files, or a MODEL.")
    if reference is not None and current is not None:
        if model is not None:
            raise UsageError("either a MODEL or two files", "Leave one out.")
        _refuse({"--window": window, "--segment": segment, "--role": role}, "a model's log, not of files")
        made = _of_files(reference, current, predictions, target, ignore, ordered, classic)
        if joint:
            from pipelines.drift.joint_files import joint_of_files

            aside = {name for name in (predictions, target, *ignore) if name is not None}
            made["joint"] = joint_of_files(reference, current, ignore=aside).as_json()
        reports = [made]
    else:
        given = {"--predictions": predictions, "--target": target, "--ignore": ignore}
        _refuse({**given, "--ordered": ordered, "--classic": classic}, "two files, not of a model's log")
        reports = reports_of(invocation, model, window=window, segment=segment, role=role)
        if joint:
            from workbench.joint import joint_of_model

            reports = [{**made, "joint": joint_of_model(invocation, made).as_json()} for made in reports]
    if against is not None:
        if model is None:
            raise UsageError("--against is about one MODEL", "Name it: workbench report MODEL --against 3")
        from workbench.against import compare_with

        reports = [{**reports[0], "against": compare_with(invocation, reports[0], against)}]
    if html is not None:
        _write_page(html, reports, None if reference is not None else invocation, window)
    if html is None or as_json or as_markdown:
        one = model is not None or reference is not None
        _print(reports, as_json=as_json, as_markdown=as_markdown, one=one)
    is_bad = fail_on is not None and any(
        is_at_least(made["severity"], fail_on)  # type: ignore[arg-type]
        for made in reports
    )
    return FAILED_ON if is_bad else 0


def _refuse(options: Mapping[str, object], whose: str) -> None:
    """Raises UsageError for an option that would do nothing."""
    from store.errors import UsageError

    for name, value in options.items():
        if value:
            raise UsageError(f"{name} is about a report of {whose}", "Leave it out: workbench report --help.")


def _print(reports: list[dict[str, Any]], *, as_json: bool, as_markdown: bool, one: bool) -> None:
    if as_json:
        import json

        # Plain json: this path starts in a fifth of a second.
        print(json.dumps(reports[0] if one else reports, indent=2, ensure_ascii=False))
        return
    from workbench import drift_text

    for place, made in enumerate(reports):
        if place:
            print()
        if as_markdown:
            print(drift_text.markdown(made), end="")
        else:
            drift_text.print_report(made)
            if made.get("against"):
                from workbench.against import print_against

                print_against(made["against"])


def _write_page(
    path: Path, reports: list[dict[str, Any]], invocation: Invocation | None, window: str | None
) -> None:
    """Write the page of the only report; `invocation` where it is of a model of the project."""
    from store.errors import StorageError, UsageError
    from workbench.output import say
    from workbench.report_page import project_page, render_page

    if len(reports) != 1:
        names = ", ".join(f"{made['model']}/{made['version']}" for made in reports)
        raise UsageError("a page is about one model", f"Name one of: {names}.")
    made = reports[0]
    page = render_page(made) if invocation is None else project_page(invocation.project, made, window=window)
    try:
        path.write_text(page, "utf-8")
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}", "Choose another place.") from error
    say(f"Wrote {path}, {len(page.encode()) / 1000:.0f} kB.")


def _of_files(
    reference: Path,
    current: Path,
    predictions: str | None,
    target: str | None,
    ignore: tuple[str, ...],
    ordered: bool,
    classic: bool,
) -> dict[str, Any]:
    # Arrow's own allocators keep what they once had; a short process is smaller without.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    from pipelines.drift.files import compare_files
    from pipelines.drift.verdicts import Options
    from store.errors import NotFoundError

    for path in (reference, current):
        if not path.is_file():
            raise NotFoundError(f"no file {path}", "Check the path.")
    return compare_files(
        reference,
        current,
        predictions=predictions,
        target=target,
        ignore=ignore,
        ordered=ordered,
        options=Options(method="classic" if classic else "calibrated"),
    ).as_json()
