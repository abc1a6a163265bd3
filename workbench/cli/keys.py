"""`workbench keys`: who may ask the server for what."""

from __future__ import annotations

import click

from workbench.cli.invocation import Invocation, json_option, pass_invocation, yes_option
from workbench.confirm import confirm

_SCOPES = ("predict", "feedback", "admin")


@click.group()
def keys() -> None:
    """API keys of the server. Once one exists, predictions and feedback need one.

    Clients send it as `Authorization: Bearer KEY` or `X-API-Key: KEY`. A running server follows within a
    second. WORKBENCH_API_KEYS holds further ones: KEY, NAME=KEY or NAME:SCOPE+SCOPE=KEY, divided by commas;
    KEY may be the SHA-256 of a key.
    """


@keys.command()
@click.argument("name")
@click.option(
    "--scope",
    "-s",
    "scopes",
    multiple=True,
    type=click.Choice(_SCOPES),
    help="What it allows; give it again for more. predict and feedback unless given.",
)
@json_option
@pass_invocation
def create(invocation: Invocation, name: str, scopes: tuple[str, ...], as_json: bool) -> None:
    """Make a key and print it, this once: only its hash is kept."""
    from store.keys import DEFAULT_SCOPES, SCOPES, create_key
    from workbench.output import print_json, say

    chosen = [scope for scope in SCOPES if scope in scopes] or list(DEFAULT_SCOPES)
    secret = create_key(invocation.layout, name, chosen)
    if as_json:
        print_json({"name": name, "key": secret, "scopes": chosen})
        return
    click.echo(secret)
    say(f"Keep it: it is not shown again. It allows {', '.join(chosen)}.")


@keys.command("list")
@json_option
@pass_invocation
def list_keys(invocation: Invocation, as_json: bool) -> None:
    """The keys that are valid, without the keys themselves."""
    from store.keys import SCOPES, environment_keys, project_keys
    from workbench.output import Column, local_time, print_json, print_table, say

    found = [*project_keys(invocation.layout), *environment_keys()]
    if as_json:
        print_json(
            [
                {
                    "name": key.name,
                    "scopes": [scope for scope in SCOPES if scope in key.scopes],
                    "source": key.source,
                    "created_at": key.created_at,
                    "who": key.who,
                }
                for key in found
            ]
        )
        return
    if not found:
        say("No keys: whoever reaches the server may predict. Make one: workbench keys create NAME.")
        return
    columns = [
        Column("name", flexible=True),
        Column("scopes"),
        Column("made", style="dim"),
        Column("by", style="dim"),
        Column("source", style="dim"),
    ]
    rows = [
        [
            key.name,
            ", ".join(scope for scope in SCOPES if scope in key.scopes),
            local_time(key.created_at),
            key.who or "",
            key.source,
        ]
        for key in found
    ]
    print_table(columns, rows)


@keys.command()
@click.argument("name")
@yes_option
@pass_invocation
def revoke(invocation: Invocation, name: str, yes: bool) -> None:
    """Make a key invalid for good."""
    from store.keys import project_keys, revoke_key
    from workbench.output import say

    if name in {key.name for key in project_keys(invocation.layout)}:
        confirm(f"Revoke {name}? Its clients are refused from then on.", yes=yes)
    revoke_key(invocation.layout, name)
    say(f"Revoked {name}; a running server refuses it within a second.")
