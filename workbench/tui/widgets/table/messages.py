"""What a table tells the screen it is on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual.message import Message

if TYPE_CHECKING:
    from textual.widget import Widget

    from workbench.tui.widgets.table.columns import Arrangement
    from workbench.tui.widgets.table.order import Sort


class TableMessage(Message):
    """A message of a table; `@on(…, "#id")` selects by the table that sent it."""

    def __init__(self, table: Widget) -> None:
        super().__init__()
        self.table = table

    @property
    def control(self) -> Widget:
        return self.table


class RowHighlighted(TableMessage):
    """The cursor is on another row; `row_id` is None when there is none to be on."""

    def __init__(self, table: Widget, row_id: str | None, row: Any) -> None:
        super().__init__(table)
        self.row_id = row_id
        self.row = row


class RowSelected(TableMessage):
    """A row was chosen with enter or a double click."""

    def __init__(self, table: Widget, row_id: str, row: Any) -> None:
        super().__init__(table)
        self.row_id = row_id
        self.row = row


class RowsInSight(TableMessage):
    """Other rows are in sight, of a table with a lazy column in sight."""

    def __init__(self, table: Widget, rows: tuple[Any, ...]) -> None:
        super().__init__(table)
        self.rows = rows


class MarksChanged(TableMessage):
    """Other rows are marked."""

    def __init__(self, table: Widget, marks: frozenset[str]) -> None:
        super().__init__(table)
        self.marks = marks


class SortChanged(TableMessage):
    """Rows are sorted another way; the first of `sorts` decides, the next its ties."""

    def __init__(self, table: Widget, sorts: tuple[Sort, ...]) -> None:
        super().__init__(table)
        self.sorts = sorts


class FilterChanged(TableMessage):
    """Another filter decides which rows are shown."""

    def __init__(self, table: Widget, text: str, shown: int) -> None:
        super().__init__(table)
        self.text = text
        self.shown = shown


class ColumnsChanged(TableMessage):
    """Columns were hidden, moved or resized."""

    def __init__(self, table: Widget, arrangement: Arrangement) -> None:
        super().__init__(table)
        self.arrangement = arrangement
