"""`workbench deploy`: files that put this project to work: containers, services, CI, dashboards."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from workbench.cli.invocation import Invocation, pass_invocation

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class TargetName(click.ParamType[str]):
    """A name of the table of targets, which is read only when it is needed."""

    name = "target"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from difflib import get_close_matches

        from workbench.deploy.targets import TARGETS

        if value not in TARGETS:
            close = get_close_matches(value, TARGETS, n=1)
            hint = f"Did you mean {close[0]!r}?" if close else f"There are: {', '.join(TARGETS)}."
            self.fail(f"no such target {value!r}. {hint}", param, ctx)
        return str(value)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        from workbench.deploy.targets import TARGETS

        return [CompletionItem(n, help=t.help) for n, t in TARGETS.items() if n.startswith(incomplete)]


class DeployCommand(click.Command):
    """Lists the targets below its options."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from workbench.deploy.targets import TARGETS

        with formatter.section("Targets"):
            formatter.write_dl([(name, target.help) for name, target in TARGETS.items()])


@click.command(cls=DeployCommand)
@click.argument("target", type=TargetName())
@click.option(
    "--out",
    "-o",
    metavar="PATH",
    help="Write there in place of stdout: a file, or a folder (one that exists, or PATH/).",
)
@click.option("--force", is_flag=True, help="Overwrite files that exist.")
@click.option("--image", metavar="NAME", help="The image of workbench that containers run.")
@pass_invocation
def deploy(invocation: Invocation, target: str, out: str | None, force: bool, image: str | None) -> None:
    """Print files that deploy this project, with its own names, port and paths in them.

    They are starting points to read and keep in your repository; nothing is started or sent.
    """
    from workbench.deploy.facts import facts_of
    from workbench.deploy.targets import TARGETS, filled
    from workbench.deploy.writing import as_text, write
    from workbench.output import say

    facts = facts_of(invocation.project, image=image)
    chosen = TARGETS[target]
    files = chosen.files(facts)
    if out is None:
        click.echo(as_text(files), nl=False)
    else:
        is_folder = out.endswith(os.sep)
        for path in write(files, Path(out), is_folder=is_folder, force=force):
            say(f"wrote {path}")
    say(f"Then: {filled(chosen.next_step, facts)}.")
