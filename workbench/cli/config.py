"""`workbench config`: the effective settings and where each came from."""

from __future__ import annotations

from typing import Any

import click

from workbench.cli.invocation import Invocation, json_option, pass_invocation


@click.group()
def config() -> None:
    """Show and check the settings."""


@config.command()
@click.argument("key", required=False)
@click.option("--help-text", is_flag=True, help="What each setting means, and its default.")
@click.option("--changed", is_flag=True, help="Only what is not at its default.")
@json_option
@pass_invocation
def show(invocation: Invocation, key: str | None, help_text: bool, changed: bool, as_json: bool) -> None:
    """Print every setting's value and where it came from.

    KEY narrows it to one setting or section, as in serve.port or pipelines.bikes. Secrets are masked.
    """
    if help_text:
        _print_help_text(key, as_json)
        return
    from workbench.output import Column, print_json, print_table
    from workbench.settings import effective

    entries = _within(effective(invocation.project), key)
    if changed:
        entries = {name: entry for name, entry in entries.items() if entry["source"] != "default"}
    if as_json:
        print_json(entries)
        return
    print_table(
        [Column("setting", flexible=True), Column("value", flexible=True), Column("source", style="dim")],
        [[name, _shown(entry["value"]), entry["source"]] for name, entry in entries.items()],
    )


@config.command()
@json_option
@pass_invocation
def check(invocation: Invocation, as_json: bool) -> None:
    """Check the settings; exit 2 with the first thing wrong."""
    from workbench.output import print_json, say, warn
    from workbench.settings import ignored_variables

    project = invocation.project
    ignored = ignored_variables()
    for variable, hint in ignored.items():
        warn(f"{variable} in the environment is ignored. {hint}")
    if as_json:
        print_json({"valid": True, "root": project.root, "ignored_variables": list(ignored)})
        return
    pipelines = ", ".join(project.settings.pipelines) or "none"
    say(f"{project.root / 'workbench.toml'} is valid. Pipelines: {pipelines}.")


def _within(entries: dict[str, Any], key: str | None) -> dict[str, Any]:
    """The entries of one setting or section; raises NotFoundError naming the nearest key."""
    if key is None:
        return entries
    from store.errors import NotFoundError
    from workbench.settings import nearest

    key = key.strip(".")
    found = {name: entry for name, entry in entries.items() if name == key or name.startswith(f"{key}.")}
    if not found:
        hint = nearest(key, list(entries)) or "See all of them with workbench config show."
        raise NotFoundError(f"no setting {key!r}", hint)
    return found


def _print_help_text(key: str | None, as_json: bool) -> None:
    from workbench.output import Column, print_json, print_table
    from workbench.settings import documentation

    entries = {name: {"default": default, "help": text} for name, default, text in documentation()}
    entries = _within(entries, key)
    if as_json:
        print_json(entries)
        return
    print_table(
        [Column("setting"), Column("default", flexible=True), Column("what it is", wraps=True)],
        [[name, entry["default"], entry["help"]] for name, entry in entries.items()],
    )


def _shown(value: object) -> str:
    from workbench.output import MISSING

    if value is None or value in ((), [], {}):
        return MISSING
    if isinstance(value, bool):
        return "true" if value else "false"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
