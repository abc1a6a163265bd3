"""Opens the terminal UI, and does what it asks for when it ends."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from workbench.cli.invocation import Invocation, pass_invocation

if TYPE_CHECKING:
    from workbench.tui.app import Outcome


@click.command("PATH", hidden=True)
@click.argument("path", type=click.Path(path_type=Path, exists=True, file_okay=False))
@pass_invocation
def ui(invocation: Invocation, path: Path) -> None:
    """Open the terminal UI for a project's folder, or for any folder of MLflow runs."""
    from store.errors import UsageError

    if not has_terminal():
        raise UsageError(
            "the terminal UI needs a terminal", f"Elsewhere: workbench -C {path} runs list, status, …"
        )
    open_ui(path)


def has_terminal() -> bool:
    """Whether somebody sits at both ends."""
    from workbench.output import is_terminal

    return is_terminal(sys.stdin) and is_terminal(sys.stdout)


def open_ui(start: Path, *, owns_server: bool = False) -> Outcome:
    """Run the UI at `start` until it is left, and stop server and watcher if that was the answer.

    A command that it was left for runs in the same terminal, and the UI opens again. Exits with 128 + the
    signal's number where a signal ended it.
    """
    from workbench.desk.place import find_place
    from workbench.tui.app import Outcome, WorkbenchApp

    while True:
        app = WorkbenchApp(find_place(start), owns_server=owns_server, keeps_watch=True)
        outcome = app.run() or Outcome(exit_code=1)
        if outcome.desk is not None:
            from workbench.tui_state import write_state

            write_state(outcome.desk.layout, outcome.state)
        _stop_what_was_started(outcome)
        if outcome.error is not None:
            raise outcome.error
        if outcome.exit_code:
            sys.exit(outcome.exit_code)
        if not outcome.next_command:
            return outcome
        start = _go_on(start, outcome.next_command)


def _stop_what_was_started(outcome: Outcome) -> None:
    from serve.control import stop_server
    from workbench.output import say
    from workbench.watching import stop_watcher

    if outcome.desk is None:
        return
    if outcome.stop_watcher:
        say("Stopping the watcher …")
        stop_watcher(outcome.desk.layout)
    if outcome.stop_server:
        say("Stopping the server …")
        stop_server(outcome.desk.layout)


def _go_on(start: Path, command: tuple[str, ...]) -> Path:
    """Run the command that the welcome screen was left for; returns where the UI opens next.

    What `init` has to say against a file or column is read here: the UI then asks once more.
    """
    name, *arguments = command
    if name == "demo":
        from workbench.cli.demo import DEFAULT_FOLDER, demo

        demo.main(["--", str(start / DEFAULT_FOLDER)], standalone_mode=False)
        sys.exit(0)  # it has ended in a UI of its own
    file, target = arguments
    from store.errors import WorkbenchError
    from workbench.cli.root import root
    from workbench.output import say

    wanted = ["-C", str(start), "init", str(start), "--data", file, "--target", target]
    try:
        root.main(wanted, standalone_mode=False)
        click.pause("Press any key to open the project …", err=True)
    except WorkbenchError as error:
        say(f"workbench: {error}")
        click.pause("Press any key to try again …", err=True)
    return start
