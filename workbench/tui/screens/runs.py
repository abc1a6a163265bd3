"""Screen 1: the runs."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from textual.widget import Widget

from store.runs import Run
from workbench.desk.runs import RunList, list_runs, run_filter
from workbench.tui.frame.screen import WorkbenchScreen
from workbench.tui.screens.run_columns import run_columns
from workbench.tui.widgets.table import TableFilter, TableState, VirtualTable


class RunsScreen(WorkbenchScreen):
    """A table of every run, live."""

    NAME = "runs"
    _shows_deleted = False

    def compose_body(self) -> Iterable[Widget]:
        table: VirtualTable[Run] = VirtualTable(
            run_columns(()), row_id=lambda run: run.run_id, empty_text="reading the runs …", id="runs"
        )
        yield table
        yield TableFilter(table, placeholder="words, or metrics.rmse < 60", interpret=run_filter)

    @property
    def table(self) -> VirtualTable[Run]:
        return self.query_one("#runs", VirtualTable)

    def on_mount(self) -> None:
        self.table.focus()

    def look(self) -> None:
        if not self.is_asking("runs"):
            call = partial(list_runs, self.desk, deleted=self._shows_deleted)
            self.ask("runs", call, self._show, self.refresh_failed)

    def recall(self, state: dict[str, Any]) -> None:
        self.table.restore_state(TableState.from_json(state.get("table")))

    def remember(self) -> dict[str, Any]:
        return {"table": self.table.save_state().to_json()}

    def _show(self, found: RunList) -> None:
        self.answered()
        columns = run_columns(found.runs)
        if [column.key for column in columns] != [column.key for column in self.table.columns]:
            self.table.set_columns(columns)
        self.table.set_rows(found.runs)

    def action_deleted(self) -> None:
        self._shows_deleted = not self._shows_deleted
        self.forget("runs")
        self.ask(
            "runs",
            partial(list_runs, self.desk, deleted=self._shows_deleted),
            self._show,
            self.refresh_failed,
        )
