"""`workbench events`: the audit trail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from workbench.cli.invocation import Invocation, json_option, pass_invocation
from workbench.desk.words import change, what_happened

if TYPE_CHECKING:
    from store.journal import Event

_INNER = frozenset({"intent", "role", "champion", "challenger"})
"""Details for the registry's own book-keeping; the table's other columns say the same."""


@click.command()
@click.option("--model", "-m", metavar="NAME", help="Only events of this model.")
@click.option("--what", "-w", metavar="WHAT", help="Only events of this kind, as in promoted.")
@click.option("--limit", "-n", type=click.IntRange(0), default=50, show_default=True, help="0 for all.")
@json_option
@pass_invocation
def events(invocation: Invocation, model: str | None, what: str | None, limit: int, as_json: bool) -> None:
    """Print who did what, when and why; the latest last."""
    from store.journal import read_events

    kind = what.strip().replace(" ", "_") if what else None
    found = read_events(invocation.layout, model=model, what=kind, limit=limit or None)
    print_events(found, as_json=as_json)


def print_events(found: Sequence[Event], *, as_json: bool) -> None:
    """Events as a table, or in the stable shape of `events --json`."""
    from workbench.output import Column, local_time, print_json, print_table, say

    if as_json:
        print_json([event.as_json() for event in found])
        return
    if not found:
        say("No events.")
        return
    columns = [
        Column("when", style="dim", is_optional=True),
        Column("what"),
        Column("model", flexible=True),
        Column("change"),
        Column("who", style="dim", extra=True),
        Column("reason", flexible=True),
        Column("details", style="dim", extra=True),
    ]
    rows = [
        [
            local_time(event.at),
            what_happened(event),
            event.model or "",
            change(event.from_, event.to),
            event.who,
            event.reason or "",
            _details(event),
        ]
        for event in found
    ]
    print_table(columns, rows)


def _details(event: Event) -> str:
    plain = {k: v for k, v in event.details.items() if isinstance(v, (str, int, float)) and k not in _INNER}
    return " ".join(f"{key}={value}" for key, value in plain.items())[:100]
