"""`workbench alerts`: what is wrong, who has seen it, who is told."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from workbench.cli.invocation import Invocation, json_option, pass_invocation

if TYPE_CHECKING:
    from datetime import datetime

    from store.alerts import Alert
    from workbench.output import Cell

STYLES = {"critical": "bold red", "warning": "yellow", "watch": ""}
MARKS = {"critical": "■", "warning": "▲", "watch": "·"}
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@click.group()
def alerts() -> None:
    """What is wrong in the project, and who is told of it."""


@alerts.command("list")
@click.option("--all", "include_cleared", is_flag=True, help="Also those that are over.")
@click.option("--model", "-m", help="Only alerts of this model.")
@click.option("--limit", "-n", type=click.IntRange(min=1), help="At most this many, the newest.")
@json_option
@pass_invocation
def list_alerts(
    invocation: Invocation, include_cleared: bool, model: str | None, limit: int | None, as_json: bool
) -> None:
    """The alerts that are not over, newest first."""
    from store.alerts import LIVE
    from store.alerts import list_alerts as listed
    from workbench.alerting.delivery import failing_channels
    from workbench.output import Column, local_time, print_json, print_table, say, warn

    layout = invocation.layout
    found = listed(layout, states=None if include_cleared else LIVE, model=model, limit=limit)
    for problem in failing_channels(layout):
        warn(f"not delivered to {problem}")
    if as_json:
        print_json([alert.as_json() for alert in found])
        return
    if not found:
        say("No alerts." if include_cleared else "No alerts are open; those that are over: --all.")
        return
    columns = [
        Column("alert", style="cyan"),
        Column("severity"),
        Column("state"),
        Column("model", flexible=True),
        Column("since", style="dim"),
        Column("what", flexible=True),
    ]
    rows: list[list[str | Cell]] = [
        [
            alert.id,
            severity_cell(alert),
            _state(alert),
            _subject(alert),
            local_time(alert.since),
            alert.message,
        ]
        for alert in found
    ]
    print_table(columns, rows)


@alerts.command()
@click.argument("alert")
@json_option
@pass_invocation
def show(invocation: Invocation, alert: str, as_json: bool) -> None:
    """All about an alert; ALERT is its id or the beginning of one."""
    from store.alerts import get_alert
    from workbench.output import MISSING, local_time, print_json, print_pairs, print_title

    found = get_alert(invocation.layout, alert)
    if as_json:
        print_json(found.as_json())
        return
    print_title(_subject(found) or found.kind, found.id)
    print_pairs(
        [
            ("severity", severity_cell(found)),
            ("state", _state(found)),
            ("what", found.message),
            ("kind", found.kind),
            ("since", local_time(found.since)),
            ("last seen", local_time(found.last_seen)),
            ("over", local_time(found.cleared_at) if found.cleared_at else MISSING),
            ("by", found.who or MISSING),
            *((str(name), str(value)) for name, value in found.details.items() if value is not None),
        ]
    )


@alerts.command()
@click.argument("ids", metavar="ALERT…", nargs=-1, required=True)
@json_option
@pass_invocation
def ack(invocation: Invocation, ids: tuple[str, ...], as_json: bool) -> None:
    """Say that you have seen it: it is not told again until it becomes worse or comes back."""
    from store.alerts import acknowledge
    from workbench.output import print_json, say

    done = [acknowledge(invocation.layout, one) for one in ids]
    if as_json:
        print_json([alert.as_json() for alert in done])
        return
    for alert in done:
        say(f"Acknowledged {alert.id}: {alert.message}")


@alerts.command()
@click.argument("ids", metavar="ALERT…", nargs=-1, required=True)
@click.option("--for", "span", metavar="TIME", help="How long: 30m, 2h, 3d, 1w. A day unless given.")
@click.option("--off", is_flag=True, help="End the silence.")
@json_option
@pass_invocation
def silence(invocation: Invocation, ids: tuple[str, ...], span: str | None, off: bool, as_json: bool) -> None:
    """Tell nobody of its cause for a while, also if it goes and comes back."""
    from datetime import UTC, datetime

    from store.alerts import silence as silence_alert
    from workbench.output import local_time, print_json, say

    until = datetime.now(UTC) if off else _until(span or "1d")
    done = [silence_alert(invocation.layout, one, until) for one in ids]
    if as_json:
        print_json([alert.as_json() for alert in done])
        return
    for alert in done:
        how = "may be told again" if off else f"is silent until {local_time(until)}"
        say(f"{alert.id} {how}: {alert.message}")


@alerts.command()
@json_option
@pass_invocation
def test(invocation: Invocation, as_json: bool) -> None:
    """Send a test alert to every channel of the settings; exit 1 where one did not take it."""
    from store.errors import UsageError
    from workbench.alerting.channels import channels_of
    from workbench.alerting.delivery import send_test
    from workbench.output import Cell, Column, print_json, print_table

    project = invocation.project
    channels = [
        channel for channel in channels_of(project.settings.alerts, project.root) if channel.name != "log"
    ]
    if not channels:
        raise UsageError(
            "no channel to test: alerts go to the log alone",
            "Set [alerts.webhooks.NAME] url, [alerts.command] run or [alerts.smtp] host.",
        )
    outcomes = send_test(channels, _test_alert(), project.name)
    if as_json:
        print_json(
            [{"channel": one.channel, "delivered": one.error is None, "error": one.error} for one in outcomes]
        )
    else:
        print_table(
            [Column("channel", style="bold"), Column("result", flexible=True)],
            [
                [one.channel, Cell("delivered", "green") if one.error is None else Cell(one.error, "red")]
                for one in outcomes
            ],
        )
    if any(one.error is not None for one in outcomes):
        raise click.exceptions.Exit(1)


def severity_cell(alert: Alert) -> Cell:
    """An alert's severity with its mark, coloured."""
    from workbench.output import Cell

    style = STYLES[alert.severity] if alert.state == "open" else "dim"
    return Cell(f"{MARKS[alert.severity]} {alert.severity}", style)


def _state(alert: Alert) -> str:
    from workbench.output import local_time

    if alert.silenced_until is not None:
        return f"silenced to {local_time(alert.silenced_until)[:16]}"
    return alert.state


def _subject(alert: Alert) -> str:
    from workbench.alerting.message import subject

    return subject(alert)


def _until(span: str) -> datetime:
    from datetime import UTC, datetime, timedelta

    from store.errors import UsageError

    found = re.fullmatch(r"(\d{1,4})\s*([mhdw])", span.strip().lower())
    if found is None or not int(found[1]):
        raise UsageError(f"{span!r} is no length of time", "Write it as 30m, 2h, 3d or 1w; --off ends it.")
    return datetime.now(UTC) + timedelta(**{_UNITS[found[2]]: int(found[1])})


def _test_alert() -> Alert:
    from datetime import UTC, datetime

    from store.alerts import Alert

    now = datetime.now(UTC)
    return Alert(
        id="test",
        key="test",
        kind="test",
        model=None,
        version=None,
        feature=None,
        severity="warning",
        state="open",
        message="this is a test: alerts of this project arrive here",
        since=now,
        last_seen=now,
        worst="warning",
    )
