"""What every command is given: the project it works on, opened when first asked for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from store.layout import Layout
    from store.registry import Registry
    from store.runs import RunStore
    from workbench.settings import Project


class Invocation:
    """One call of the command line, on the project at or above `start`."""

    def __init__(self, start: Path) -> None:
        self.start = start

    @cached_property
    def project(self) -> Project:
        """The project; raises NotFoundError where there is none."""
        return self.load()

    def load(self, overrides: Mapping[str, Any] | None = None) -> Project:
        """The project with settings of the command line (dotted key to value) laid over it."""
        from store.errors import NotFoundError
        from workbench.settings import load_project

        if not self.start.is_dir():
            raise NotFoundError(f"no folder {self.start}", "Check --project or WORKBENCH_PROJECT.")
        return load_project(self.start, overrides)

    @property
    def layout(self) -> Layout:
        return self.project.layout

    @cached_property
    def tracking_uri(self) -> str:
        """The project's tracking URI, absolute."""
        from store.tracking import resolve_uri

        return resolve_uri(self.project.settings.tracking.uri, self.project.root)

    @cached_property
    def runs(self) -> RunStore:
        from store.run_index import RunIndex
        from store.tracking import open_runs

        opened = open_runs(self.tracking_uri, self.layout)
        command = click.get_current_context(silent=True)
        if isinstance(opened, RunIndex) and command is not None:
            from workbench.progress import CountProgress

            progress = CountProgress("Reading the runs", "runs")
            command.call_on_close(progress.stop)
            opened.tell_progress(progress)
        return opened

    @cached_property
    def registry(self) -> Registry:
        from store.tracking import open_registry

        return open_registry(self.tracking_uri, self.layout, runs=self.runs)


pass_invocation = click.make_pass_decorator(Invocation)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
yes_option = click.option("--yes", "-y", is_flag=True, help="Do it without asking.")
reason_option = click.option("--reason", metavar="TEXT", help="Why; kept in the audit trail.")
