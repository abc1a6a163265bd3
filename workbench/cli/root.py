"""The root command: its options, and subcommands that are imported only when they are called."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from workbench.cli.invocation import Invocation

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class Entry(NamedTuple):
    """Where a subcommand lives (`module.attribute` within workbench.cli) and its line in the help."""

    module: str
    attribute: str
    help: str


SECTIONS: dict[str, dict[str, Entry]] = {
    "Start": {
        "demo": Entry("demo", "demo", "A complete living project on real data."),
        "init": Entry("init", "init", "A new project from a data file."),
    },
    "Train and compare": {
        "train": Entry("train", "train", "Train a pipeline; the gate decides what becomes of it."),
        "runs": Entry("runs", "runs", "List, show, compare, tag and delete runs."),
        "models": Entry("models", "models", "Model versions: promote, roll back, archive, history."),
        "watch": Entry("watch", "watch", "Train by itself when new data comes."),
        "data": Entry("data", "data", "Data files: their states, reports and versions."),
        "jobs": Entry("jobs", "jobs", "Trainings, running and past."),
    },
    "Serve": {
        "serve": Entry("serve", "serve", "Answer predictions over HTTP."),
        "keys": Entry("keys", "keys", "API keys of the server: make, list, revoke."),
        "predict": Entry("predict", "predict", "Score a file of rows."),
        "feedback": Entry("feedback", "feedback", "Tell what really happened: ground truth for predictions."),
    },
    "Look": {
        "status": Entry("status", "status", "What runs, which versions are in production."),
        "events": Entry("events", "events", "The audit trail: who did what, when and why."),
        "store": Entry("store", "store", "The logged predictions: SQL, sizes, export, upkeep."),
        "monitor": Entry("monitor", "monitor", "What drifted, and why: a model's newest window."),
        "report": Entry("report", "report", "Drift and performance on paper, of a model or two files."),
        "alerts": Entry("alerts", "alerts", "What is wrong; acknowledge it, silence it, test who is told."),
        "doctor": Entry("doctor", "doctor", "Check the project, and mend it with --fix."),
    },
    "Set up": {
        "deploy": Entry("deploy", "deploy", "Files for containers, services, CI and dashboards."),
        "backup": Entry("backup", "backup", "Runs, log and state in one file, while everything runs."),
        "restore": Entry("backup", "restore", "Put a backup in place."),
        "export": Entry("exchange", "export", "Runs and model versions in one file, for another project."),
        "import": Entry("exchange", "import_", "Take in what another project exported."),
        "config": Entry("config", "config", "Show and check the settings."),
        "env": Entry("env", "env", "Variables for scripts of your own that use MLflow."),
        "mlflow": Entry("mlflow", "mlflow", "MLflow's own user interface on this project."),
        "completion": Entry("completion", "completion", "Shell completion for bash, zsh or fish."),
    },
}
OPEN = Entry("ui", "ui", "")
"""What a word that is no command but a folder is given to."""

COMMANDS: dict[str, Entry] = {name: entry for section in SECTIONS.values() for name, entry in section.items()}


class LazyGroup(click.Group):
    """A group that lists its commands from a table and imports the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        command = getattr(import_module(f"workbench.cli.{entry.module}"), entry.attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and Path(args[0]).is_dir():
            command = getattr(import_module(f"workbench.cli.{OPEN.module}"), OPEN.attribute)
            assert isinstance(command, click.Command)
            return command.name, command, args
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise click.UsageError(f"no such command {args[0]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, COMMANDS))
        for title, entries in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), entry.help) for name, entry in entries.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        commands = [CompletionItem(n, help=e.help) for n, e in COMMANDS.items() if n.startswith(incomplete)]
        return commands + click.Command.shell_complete(self, ctx, incomplete)


def _show_version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"workbench {version('workbench')}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "-C",
    "--project",
    "start",
    type=click.Path(path_type=Path),
    envvar="WORKBENCH_PROJECT",
    default=Path(),
    metavar="DIR",
    help="Folder of the project; this one or the nearest above it unless given.",
)
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
@click.pass_context
def root(ctx: click.Context, start: Path, debug: bool) -> None:
    """The whole life of a tabular machine-learning model, on one machine, from a terminal.

    Without a command it opens the terminal UI for the project here; with a folder in place of a command, for
    the project or the MLflow runs in that folder.

    Train, track, compare, gate, promote, serve, log, roll back. Data goes to stdout, everything else to
    stderr; commands that print data take --json.
    """
    if debug:
        os.environ["WORKBENCH_DEBUG"] = "1"
    ctx.obj = Invocation(start)
    if ctx.invoked_subcommand is None:
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            click.echo(ctx.get_help())
            return
        from workbench.cli.ui import open_ui

        open_ui(start)
