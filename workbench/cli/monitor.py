"""`workbench monitor`: whether what a model sees still is what it was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from workbench.cli import completions
from workbench.cli.invocation import Invocation, json_option, pass_invocation

if TYPE_CHECKING:
    from store.slices import Key


ROLE_HELP = "Whose answers: champion, challenger, batch. Its own unless only another has any."


class _ShowByDefault(click.Group):
    """A group in which whatever is no subcommand is meant for `show`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ("-h", "--help")):
            args = ["show", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_ShowByDefault, subcommand_metavar="[MODEL] [OPTIONS] | COMMAND …")
def monitor() -> None:
    """What drifted: `workbench monitor [MODEL]`, and one column in full with --explain COLUMN.

    MODEL may name a version: bikes/3, bikes@challenger. More: workbench monitor show --help.
    """


@monitor.command()
@click.argument("model", required=False, shell_complete=completions.models)
@click.option(
    "--explain", metavar="COLUMN", help="Everything that led to the verdict on one column, or one metric."
)
@click.option("--window", metavar="TIME|ROWS", help="In place of the setting: 1h, 24h, 500.")
@click.option("--segment", metavar="COLUMN=VALUE", help="Only rows with that value.")
@click.option("--role", metavar="ROLE", help=ROLE_HELP)
@click.option("--history", is_flag=True, help="The verdicts on the last windows instead.")
@json_option
@pass_invocation
def show(
    invocation: Invocation,
    model: str | None,
    explain: str | None,
    window: str | None,
    segment: str | None,
    role: str | None,
    history: bool,
    as_json: bool,
) -> None:
    """Judge the newest window of MODEL, or of every model in service.

    What a server answered and what `workbench predict --log` did are judged apart, by --role.
    """
    from workbench import drift_text
    from workbench.output import print_json

    if history:
        _show_history(invocation, model, role, as_json)
        return
    reports = reports_of(invocation, model, window=window, segment=segment, role=role)
    if explain is not None:
        _explain(reports, explain, as_json, is_one=model is not None)
        return
    if as_json:
        print_json(reports[0] if model is not None else reports)
        return
    for place, report in enumerate(reports):
        if place:
            print()
        drift_text.print_report(report)


def _explain(reports: Sequence[Mapping[str, Any]], name: str, as_json: bool, *, is_one: bool) -> None:
    """The case of a column, the prediction or a metric, in each model that has it."""
    from store.errors import NotFoundError
    from workbench import drift_text
    from workbench.output import print_json
    from workbench.performance_text import find_metric

    found = [
        (report, one, is_column)
        for report in reports
        for one, is_column in (
            (drift_text.find_feature(report, name), True),
            (find_metric(report, name), False),
        )
        if one is not None
    ]
    if not found:
        from workbench.settings import nearest

        known = list(dict.fromkeys(each for report in reports for each in drift_text.names(report)))
        whose = ", ".join(f"{report['model']} version {report['version']}" for report in reports)
        has = "has" if len(reports) == 1 else "have"
        raise NotFoundError(
            f"{whose} {has} no column {name!r} to explain",
            nearest(name, known) or f"There are: {', '.join(known) or 'none'}.",
        )
    if as_json:
        print_json(found[0][1] if is_one else [one for _, one, _ in found])
        return
    for place, (report, one, is_column) in enumerate(found):
        if place:
            print()
        (drift_text.print_case if is_column else drift_text.print_metric)(report, one)


@monitor.command()
@click.argument("model", shell_complete=completions.models)
@click.option(
    "--data", type=click.Path(path_type=Path), required=True, metavar="FILE", help="Rows it was trained on."
)
@click.option("--target", metavar="COLUMN", help="What truly happened: performance is compared with theirs.")
@click.option("--ordered", is_flag=True, help="The rows come in order of time.")
@json_option
@pass_invocation
def profile(
    invocation: Invocation, model: str, data: Path, target: str | None, ordered: bool, as_json: bool
) -> None:
    """Make the reference of MODEL's champion from a file of data.

    Training writes one by itself; this is for versions that a script of your own registered. MODEL may name
    another version: bikes/3, bikes@challenger. What was logged already is counted again over the new bins.
    """
    from store.errors import NotFoundError
    from workbench.cli.predict import resolve_version
    from workbench.output import print_json, say

    settings = invocation.project.settings
    if not data.exists():
        raise NotFoundError(f"no file {data}", "Check the path.")
    version = resolve_version(invocation, model)
    from pipelines.profiling import profile_file
    from store.findings import forget
    from store.model_files import load_model
    from store.references import publish_reference
    from workbench.monitoring import monitor_settings

    assert version.model_dir is not None
    loaded = load_model(
        version.model_dir, trusted_types=settings.serve.trusted_types, layout=invocation.layout
    )
    watched = monitor_settings(invocation.project, version.name)
    made = profile_file(
        loaded,
        data,
        target=target,
        redact=settings.store.redact,
        ordered_by_time=ordered,
        segments=watched.segments,
    )
    path = publish_reference(invocation.layout, version.name, version.version, made)
    forget(invocation.layout, version.name, version.version)
    if as_json:
        print_json(
            {
                "model": version.name,
                "version": version.version,
                "rows": made.rows,
                "features": len(made.features),
                "path": str(path),
            }
        )
        return
    what = f"{made.rows:,} rows, {len(made.features)} features"
    say(f"{version.name} version {version.version}: reference of {what}.")


def reports_of(
    invocation: Invocation,
    model: str | None,
    *,
    window: str | None = None,
    segment: str | None = None,
    role: str | None = None,
) -> list[dict[str, Any]]:
    """Reports, as JSON, on the newest window of MODEL, or of every model in service.

    Looks at the log as it is now; where nobody else watches, what is due is judged first, so that alerts
    are as new as the report. Raises NotFoundError for a model that isn't registered, and for a `role` in
    which it has answered nothing.
    """
    from store.errors import NotFoundError, UsageError
    from store.slices import Segment
    from workbench.logged_roles import chosen_role, logged_roles, with_other_roles
    from workbench.monitor_notes import with_unknown_columns
    from workbench.monitoring import Monitor, monitor_settings

    if segment is not None and "=" not in segment:
        raise UsageError(
            f"--segment {segment}: write it as COLUMN=VALUE", "For example: --segment country=FR"
        )
    part = None if segment is None else Segment(*segment.split("=", 1))
    keys = _keys(invocation, model)
    watch = Monitor(invocation.project.root)
    watch.catch_up()
    logged = logged_roles(invocation.layout)
    if role is not None and model is None:
        # Of all models those that have such answers.
        keys = [one.key for one in logged if one.key.role == role and _is_in_service(one.key, keys)]
    chosen = dict.fromkeys(chosen_role(key, logged, role) for key in keys)
    if not chosen:
        raise NotFoundError(
            f"no model in service has answered as {role}", "Roles: champion, challenger, batch."
        )
    reports = [
        with_unknown_columns(
            watch.current(key, window=window, segment=part), monitor_settings(invocation.project, key.model)
        )
        for key in chosen
    ]
    return [with_other_roles(report, logged) for report in reports]


def _is_in_service(key: Key, keys: Sequence[Key]) -> bool:
    return any((key.model, key.version) == (one.model, one.version) for one in keys)


def _keys(invocation: Invocation, model: str | None) -> list[Key]:
    """Version and role of MODEL (its champion unless it names another), or of all champions."""
    from store.errors import NotFoundError
    from store.slices import Key

    if model is not None:
        name, version, role = _one(invocation, model)
        return [Key(name, version, role)]
    keys = []
    for registered in invocation.registry.models():
        if registered.champion is not None:
            keys.append(Key(registered.name, registered.champion))
        if registered.challenger is not None:
            keys.append(Key(registered.name, registered.challenger, "challenger"))
    if not keys:
        raise NotFoundError("no model is in service", "Promote a version: workbench models promote NAME.")
    from store.references import published_references

    # A challenger that answers nothing has nothing to show.
    known = published_references(invocation.layout)
    return [key for key in keys if key.role == "champion" or (key.model, key.version) in known]


def _one(invocation: Invocation, text: str) -> tuple[str, int, str]:
    from store.errors import NotFoundError

    name, at, which = text.removeprefix("models:/").partition("@")
    if not at:
        name, _, which = name.partition("/")
    registry = invocation.registry
    registered = registry.model(name)
    if not which:
        if registered.champion is None:
            raise NotFoundError(
                f"{name} has no champion",
                f"Promote a version (workbench models promote {name}) or name one: {name}/latest.",
            )
        return name, registered.champion, "champion"
    version = registry.version(name, which).version
    return name, version, "challenger" if version == registered.challenger else "champion"


def _show_history(invocation: Invocation, model: str | None, role: str | None, as_json: bool) -> None:
    from store.findings import recent
    from store.slices import Key
    from workbench.logged_roles import chosen_role, logged_roles
    from workbench.output import Cell, Column, print_json, print_table, say

    name = version = None
    if model is not None:
        name, version, own = _one(invocation, model)
        role = chosen_role(Key(name, version, own), logged_roles(invocation.layout), role).role
    found = recent(invocation.layout, name, version=version, role=role, limit=200)
    if as_json:
        print_json([one.as_json() for one in found])
        return
    if not found:
        say(
            "No window has ended and been judged yet: the server or workbench watch does so as time goes on."
            " The newest as it is now: workbench monitor."
        )
        return
    from workbench.drift_text import STYLES

    print_table(
        [
            Column("window ends"),
            Column("model", flexible=True),
            Column("version", "right"),
            Column("role", is_optional=True),
            Column("segment", flexible=True, is_optional=True),
            Column("rows", "right"),
            Column("severity"),
            Column("flagged", wraps=True),
        ],
        [
            [
                one.end.strftime("%Y-%m-%d %H:%M"),
                one.model,
                str(one.version),
                one.role,
                one.segment,
                f"{one.rows:,}",
                Cell(one.severity, STYLES.get(one.severity, "")),
                ", ".join(name for name, verdict in one.features.items() if verdict["flagged"]),
            ]
            for one in found
        ],
    )
