"""`workbench doctor`: check the project, and mend what can be mended."""

from __future__ import annotations

import click

from workbench.cli.invocation import Invocation, json_option

_MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "problem": ("✗", "red"), "mended": ("+", "cyan")}


@click.command()
@click.option("--fix", is_flag=True, help="Mend what can be mended.")
@json_option
@click.pass_context
def doctor(ctx: click.Context, fix: bool, as_json: bool) -> None:
    """Check settings, disk, runs, audit trail, champions, port and locks; exit 1 on a problem."""
    from rich.text import Text

    from workbench.doctor import Patient, examine
    from workbench.output import clean, counted, print_json, say, stdout_console

    invocation = ctx.find_object(Invocation)
    assert invocation is not None
    patient = Patient(invocation.project, invocation.runs, invocation.registry)
    console = stdout_console()
    findings = []
    for finding in examine(patient, fix=fix):
        findings.append(finding)
        if as_json:
            continue
        mark, style = _MARKS[finding.state]
        line = Text.assemble((f"{mark} ", style), (f"{finding.check:<12}", "dim"), clean(finding.message))
        if finding.hint:
            line.append(f" — {clean(finding.hint)}", style="dim")
        console.print(line, soft_wrap=True)
    problems = sum(finding.state == "problem" for finding in findings)
    warnings = sum(finding.state == "warning" for finding in findings)
    if as_json:
        print_json([vars(finding) for finding in findings])
    else:
        say(f"{counted(problems, 'problem')}, {counted(warnings, 'warning')}.")
    if problems:
        ctx.exit(1)
