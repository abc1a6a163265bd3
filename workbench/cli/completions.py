"""Names that a shell completes: pipelines, models, runs. A name that can't be found out is no error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from workbench.cli.invocation import Invocation

Completer = Callable[[click.Context, click.Parameter, str], list[str]]


def _completer(names: Callable[[Invocation], list[str]]) -> Completer:
    def complete(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
        try:
            # Completion parses but doesn't call the root command, which would have made the invocation.
            start = ctx.find_root().params.get("start") or Path()
            return [name for name in names(Invocation(start)) if name.startswith(incomplete)]
        except Exception:
            return []  # a traceback in the middle of somebody's typing helps nobody

    return complete


pipelines = _completer(lambda invocation: list(invocation.project.settings.pipelines))
models = _completer(lambda invocation: [model.name for model in invocation.registry.models()])
runs = _completer(
    lambda invocation: [name for run in invocation.runs.list(limit=500) for name in (run.name, run.run_id)]
)
experiments = _completer(lambda invocation: [item.name for item in invocation.runs.experiments()])
