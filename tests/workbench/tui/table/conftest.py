"""A table of runs on its own, as tests of the virtual table drive it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from textual.app import App, ComposeResult
from textual.geometry import Region
from textual.message import Message

from workbench.tui.widgets.table import Column, TableFilter, VirtualTable
from workbench.tui.widgets.table.messages import TableMessage


@dataclass(frozen=True)
class TableRun:
    id: str
    name: str
    rmse: float | None = None
    depth: int | None = None
    note: str = ""


TABLE_COLUMNS: list[Column[TableRun]] = [
    Column("name", "name", width=12),
    Column("rmse", "rmse", align="right", width=8),
    Column("depth", "depth", align="right", width=8, descending_first=True),
    Column("note", "note", width=30),
]


class RecordingTable(VirtualTable[TableRun]):
    """A table that says what of it is sent."""

    sent: list[Region]

    def refresh(self, *regions: Region, **options: Any) -> Any:
        self.sent = [*getattr(self, "sent", []), *(regions or (Region(0, 0, 999, 999),))]
        return super().refresh(*regions, **options)


class TableApp(App[None]):
    """A table of runs with its filter; it keeps what the table tells."""

    Run = TableRun
    COLUMNS = TABLE_COLUMNS

    def __init__(
        self, rows: list[TableRun] | None = None, columns: list[Column[TableRun]] | None = None
    ) -> None:
        super().__init__()
        self.told: list[Message] = []
        self.first_rows = self.runs() if rows is None else rows
        self.table = RecordingTable(columns or TABLE_COLUMNS)

    def compose(self) -> ComposeResult:
        yield self.table
        yield TableFilter(self.table, interpret=interpret)

    def on_mount(self) -> None:
        self.table.set_rows(self.first_rows)
        self.table.focus()

    def on_event_told(self, message: TableMessage) -> None:
        self.told.append(message)

    on_row_highlighted = on_row_selected = on_marks_changed = on_sort_changed = on_event_told
    on_columns_changed = on_filter_changed = on_event_told

    @staticmethod
    def runs(count: int = 100) -> list[TableRun]:
        return [
            TableRun(f"r{number}", f"run-{number}", rmse=float(count - number)) for number in range(count)
        ]

    def lines(self) -> list[str]:
        return [self.table.render_line(y).text for y in range(self.table.size.height)]

    def of_kind(self, kind: type[Any]) -> list[Any]:
        return [message for message in self.told if isinstance(message, kind)]


def interpret(text: str) -> Callable[[TableRun], bool] | None:
    if not text.startswith("rmse <"):
        return None
    try:
        limit = float(text.removeprefix("rmse <"))
    except ValueError:
        raise ValueError("a number is missing") from None
    return lambda run: run.rmse is not None and run.rmse < limit


@pytest.fixture
def table_app() -> type[TableApp]:
    """The app, to be made with rows and columns of a test's own or with a hundred runs."""
    return TableApp
