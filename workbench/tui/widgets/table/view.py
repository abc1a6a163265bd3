"""What a virtual table shows: its rows, columns, marks, filter and cursor, as a screen sets them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from textual.geometry import Size
from textual.widget import Widget

from workbench.tui.widgets.table.columns import Arrangement, Column, RowT
from workbench.tui.widgets.table.drawn import DrawnTable
from workbench.tui.widgets.table.layout import natural_width
from workbench.tui.widgets.table.messages import (
    ColumnsChanged,
    FilterChanged,
    MarksChanged,
    RowHighlighted,
    RowSelected,
    RowsInSight,
    SortChanged,
)
from workbench.tui.widgets.table.order import Sort
from workbench.tui.widgets.table.rows import Predicate
from workbench.tui.widgets.table.state import TableState

_FILTER_SLICE_S = 0.004


class TableView(DrawnTable[RowT]):
    """Tens of thousands of rows at the cost of those in sight.

    Rows are given as snapshots; cursor, marks and scrolling follow the rows' ids from one to the next.
    """

    ColumnsChanged = ColumnsChanged
    FilterChanged = FilterChanged
    MarksChanged = MarksChanged
    RowHighlighted = RowHighlighted
    RowSelected = RowSelected
    RowsInSight = RowsInSight
    SortChanged = SortChanged

    # What a screen does with a table.

    @property
    def columns(self) -> tuple[Column[RowT], ...]:
        return self._columns

    @property
    def rows(self) -> Sequence[RowT]:
        """The snapshot, in the order it was given."""
        return self._rows.rows

    @property
    def shown_rows(self) -> list[RowT]:
        """The rows that the filter lets through, in sorted order."""
        return [self._rows.rows[position] for position in self._rows.shown]

    @property
    def cursor_id(self) -> str | None:
        """The id of the row that the cursor is on."""
        return self._cursor_id

    @property
    def cursor_row(self) -> RowT | None:
        return self._rows.get(self._cursor_id) if self._cursor_id is not None else None

    @property
    def cursor_index(self) -> int | None:
        """How many shown rows stand above the cursor."""
        return self._rows.index_of(self._cursor_id)

    @property
    def marks(self) -> frozenset[str]:
        """The ids of the marked rows, those that a filter hides included."""
        return self._marks

    @property
    def marked_rows(self) -> list[RowT]:
        """The marked rows, in the order of the snapshot."""
        return [
            row for row_id, row in zip(self._rows.ids, self._rows.rows, strict=True) if row_id in self._marks
        ]

    @property
    def filter_text(self) -> str:
        """The filter as it was typed."""
        return self._filter_text

    @property
    def arrangement(self) -> Arrangement:
        return self._arrangement

    @property
    def current_column(self) -> str | None:
        """The column that keys sort, hide, move and resize."""
        return self._column_key

    def set_rows(self, rows: Iterable[RowT]) -> None:
        """Show another snapshot. Raises ValueError when two rows have the same id."""
        before = frozenset(self._rows.ids) if self._marks else frozenset()
        index, line = self.cursor_index, self._cursor_line()
        self._rows.replace_rows(rows)
        self._drop_stale_lines()
        self._measure()
        if self._marks:
            self._set_marks(self._marks - (before - frozenset(self._rows.ids)))
        self._rows_moved(index, line)

    def redraw_rows(self, row_ids: Collection[str]) -> None:
        """What lazy columns show of these rows has come, or is another."""
        self._cache = {key: drawn for key, drawn in self._cache.items() if key[0] not in row_ids}
        self.lines_changed()

    def set_empty_text(self, text: str) -> None:
        """Say something else where there are no rows."""
        if text != self._empty_text:
            self._empty_text = text
            self.lines_changed()

    def set_columns(self, columns: Sequence[Column[RowT]]) -> None:
        """Show other columns; what a person chose for those that stay is kept."""
        self._columns = tuple(columns)
        self._arrangement = self._arrangement.adapted(self._columns)
        self._natural = {column.key: natural_width(column, ()) for column in self._columns}
        index, line = self.cursor_index, self._cursor_line()
        self._rows.replace_columns(self._columns)
        self._measure()
        self._columns_moved()
        self._rows_moved(index, line)

    def sort_by(self, *sorts: Sort) -> None:
        """Sort by columns, the first one first; none for the order that rows were given in."""
        index, line, before = self.cursor_index, self._cursor_line(), self.sorts
        self._rows.sort(sorts)
        self._rows_moved(index, line)
        if self.sorts != before:
            self.post_message(SortChanged(self, self.sorts))

    def set_filter(
        self, words: str = "", predicate: Predicate[RowT] | None = None, *, typed: str | None = None
    ) -> None:
        """Show the rows that have every one of `words` in searchable columns and that `predicate` accepts.

        `typed` is what stands for the filter where it is shown and saved, if that is not the words.
        """
        index, line = self.cursor_index, self._cursor_line()
        self._filter_text = words if typed is None else typed
        self._rows.filter(words, predicate)
        self._rows_moved(index, line)
        self.post_message(FilterChanged(self, self._filter_text, self.row_count))

    def prepare_filter(self) -> None:
        """Read what a filter will search, in slices between which keys are answered."""
        if not self._rows.prepare_filter(_FILTER_SLICE_S):
            self.set_timer(0.001, self.prepare_filter)

    def set_marks(self, marks: Iterable[str]) -> None:
        """Mark exactly the rows with these ids."""
        self._set_marks(frozenset(marks))

    def move_cursor(self, row_id: str) -> bool:
        """Put the cursor on a row; False when it is not shown."""
        index = self._rows.index_of(row_id)
        if index is None:
            return False
        self._move_to(index)
        return True

    def arrange_columns(self, arrangement: Arrangement) -> None:
        """Hide, order and resize columns."""
        arrangement = arrangement.adapted(self._columns)
        if arrangement == self._arrangement:
            return
        self._arrangement = arrangement
        self._columns_moved()
        self.post_message(ColumnsChanged(self, arrangement))

    def save_state(self) -> TableState:
        """What to give to `restore_state` to have the table as it is."""
        return TableState(
            sorts=self.sorts,
            arrangement=self._arrangement,
            marks=self._marks,
            cursor=self._cursor_id or self._wanted_cursor,
            column=self._column_key,
            filter=self.filter_text,
        )

    def restore_state(self, state: TableState) -> None:
        """Sort, arrange, mark and filter as saved; rows may come later, the cursor then goes to its row."""
        if state.arrangement is not None:
            self.arrange_columns(state.arrangement)
        self._column_key = state.column
        self._columns_moved()
        self.sort_by(*state.sorts)
        if state.filter != self.filter_text:
            self._restore_filter(state.filter)
        self._set_marks(state.marks)
        if state.cursor is not None and not self.move_cursor(state.cursor):
            self._wanted_cursor = state.cursor

    def _restore_filter(self, text: str) -> None:
        self.set_filter(text)

    # How the view follows rows and columns.

    def on_resize(self) -> None:
        self._show(self.cursor_index)
        self.lines_changed()

    def _rows_moved(self, index: int | None, line: int | None) -> None:
        """Find the cursor's row again, which was at `index`, and keep it at `line` of the screen."""
        self._set_height(self.row_count + 1 + self._show_status if self.row_count else 0)
        found = self._rows.index_of(self._wanted_cursor)
        if found is not None:
            self._wanted_cursor = None
        else:
            found = self._rows.index_of(self._cursor_id)
        if found is None:
            self._wanted_cursor = self._wanted_cursor or self._cursor_id
            found = min(index or 0, self.row_count - 1) if self.row_count else None
        self._cursor_id = None if found is None else self._rows.ids[self._rows.shown[found]]
        self._show(found, line)
        self._tell_highlighted()
        self.lines_changed()

    def _set_height(self, height: int) -> None:
        size = Size(self.virtual_size.width, height)
        if size == self.virtual_size:
            return
        if self.styles.is_auto_height:
            self.virtual_size = size
            return
        # Nothing that is laid out depends on the height then, and a layout would send every line again.
        self.set_reactive(Widget.virtual_size, size)
        self.scroll_y = self.validate_scroll_y(self.scroll_y)

    def _columns_moved(self) -> None:
        shown = self._arrangement.shown(self._columns)
        keys = [column.key for column in shown]
        if self._column_key not in keys:
            self._column_key = None
        for column in shown:
            if column.key not in self._natural:
                self._natural[column.key] = natural_width(column, self._rows.rows)
        self.lines_changed()

    def _set_marks(self, marks: frozenset[str]) -> None:
        if marks != self._marks:
            self._marks = marks
            self.lines_changed()
            self.post_message(MarksChanged(self, marks))

    # How the cursor moves.

    def _cursor_line(self) -> int | None:
        index = self.cursor_index
        line = None if index is None else index - round(self.scroll_y)
        return line if line is not None and 0 <= line < self._page_height() else None

    def _move_to(self, index: int) -> None:
        if not self.row_count:
            return
        index = min(self.row_count - 1, max(0, index))
        self._wanted_cursor = None
        self._cursor_id = self._rows.ids[self._rows.shown[index]]
        self._show(index)
        self._tell_highlighted()
        self.lines_changed()

    def _show(self, index: int | None, line: int | None = None) -> None:
        """Scroll as little as possible so that row `index` is in sight, or so that it is at `line`."""
        page = self._page_height()
        if index is None or page <= 0:
            return
        top = round(self.scroll_y)
        if line is not None:
            top = index - line
        top = max(index - page + 1, min(top, index))
        top = max(0, min(top, self.row_count - page))
        if top != round(self.scroll_y):
            self.scroll_to(y=top, animate=False, force=True)

    def _tell_highlighted(self) -> None:
        if self._cursor_id != self._highlighted:
            self._highlighted = self._cursor_id
            self.post_message(RowHighlighted(self, self._cursor_id, self.cursor_row))
