"""What a virtual table shows: it draws the lines in sight, and sends only those that changed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from operator import attrgetter, is_
from typing import ClassVar, Generic

from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from workbench.tui.widgets.painter import LinePainter, text_only
from workbench.tui.widgets.table.columns import Arrangement, Column, RowT
from workbench.tui.widgets.table.layout import (
    Layout,
    fit_widths,
    natural_width,
    place,
    skipped_to_show,
    thumb,
)
from workbench.tui.widgets.table.lines import (
    TableStyles,
    draw_header,
    draw_message,
    draw_row,
    draw_status,
)
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
from workbench.tui.widgets.table.rows import Predicate, Rows
from workbench.tui.widgets.table.state import TableState

TONES = ("muted", "accent", "success", "warning", "error")
_CACHED_LINES = 2000
_FILTER_SLICE_S = 0.004


class TableView(LinePainter, ScrollView, Generic[RowT], can_focus=True, inherit_bindings=False):
    """Tens of thousands of rows at the cost of those in sight.

    Rows are given as snapshots; cursor, marks and scrolling follow the rows' ids from one to the next.
    """

    ALLOW_SELECT = False
    narrow_up_to = 8
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "table--cursor",
        "table--header",
        "table--header-current",
        "table--mark",
        "table--status",
        "table--thumb",
        *(f"table--{tone}" for tone in TONES),
    }
    DEFAULT_CSS = """
    TableView {
        background: $surface;
        color: $foreground;
        overflow: hidden hidden;
        scrollbar-color: $foreground 25%;
        scrollbar-background: $surface;
        scrollbar-background-hover: $surface;
        scrollbar-background-active: $surface;

        & > .table--header { text-style: bold; color: $foreground; background: $panel; }
        & > .table--header-current { text-style: bold underline; color: $text-accent; background: $panel; }
        & > .table--cursor { background: $foreground 12%; }
        &:focus > .table--cursor { background: $primary 45%; text-style: bold; }
        &:ansi > .table--cursor { text-style: underline; }
        &:ansi:focus > .table--cursor { text-style: reverse; }
        & > .table--mark { color: $text-accent; text-style: bold; }
        & > .table--status { color: $text-muted; }
        & > .table--thumb { color: $foreground 40%; }
        & > .table--muted { color: $text-muted; }
        & > .table--accent { color: $text-accent; }
        & > .table--success { color: $text-success; }
        & > .table--warning { color: $text-warning; }
        & > .table--error { color: $text-error; }
    }
    """

    ColumnsChanged = ColumnsChanged
    FilterChanged = FilterChanged
    MarksChanged = MarksChanged
    RowHighlighted = RowHighlighted
    RowSelected = RowSelected
    RowsInSight = RowsInSight
    SortChanged = SortChanged

    def __init__(
        self,
        columns: Sequence[Column[RowT]],
        *,
        row_id: Callable[[RowT], str] = attrgetter("id"),
        row_tone: Callable[[RowT], str | None] | None = None,
        empty_text: str = "nothing here yet",
        show_status: bool = True,
        name: str | None = None,
        id: str | None = None,  # noqa: A002 - Textual's own name for it
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._columns = tuple(columns)
        self._arrangement = Arrangement.of(self._columns)
        self._rows: Rows[RowT] = Rows(self._columns, row_id)
        self._row_tone = row_tone
        self._empty_text = empty_text
        self._show_status = show_status
        self._natural = {column.key: natural_width(column, ()) for column in self._columns}
        self._cursor_id: str | None = None
        self._wanted_cursor: str | None = None
        self._highlighted: str | None = None
        self._in_sight: tuple[RowT, ...] = ()
        self._marks: frozenset[str] = frozenset()
        self._column_key: str | None = None
        self._filter_text = ""
        self._skipped = 0
        self._layout = Layout()
        self._layout_key: tuple[object, ...] | None = None
        self._widths_key: tuple[object, ...] | None = None
        self._shown: list[Column[RowT]] = []
        self._widths: dict[str, int] = {}
        self._table_styles: TableStyles | None = None
        self._cache: dict[tuple[str, bool, bool, bool], tuple[RowT, Strip]] = {}

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
    def row_count(self) -> int:
        """How many rows are shown."""
        return len(self._rows.shown)

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
    def sorts(self) -> tuple[Sort, ...]:
        return self._rows.sorts

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

    # How state becomes lines.

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._table_styles = None
        self._cache.clear()
        self.lines_changed()

    def on_resize(self) -> None:
        self._show(self.cursor_index)
        self.lines_changed()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        if round(old_value) != round(new_value):
            self.lines_changed()

    def draw_lines(self) -> list[Strip]:
        size = self.scrollable_content_region.size
        styles = self._styles()
        layout = self._fit(size.width - 1)
        lines = [draw_header(layout, styles, self.sorts, self._column_key)]
        top = round(self.scroll_y)
        page = self._page_height()
        shown = self._rows.shown[top : top + page]
        bar = thumb(self.row_count, page, top)
        lines.extend(
            self._row_line(position, layout, styles, has_thumb=line in bar)
            for line, position in enumerate(shown)
        )
        if any(slot.column.lazy for slot in layout.slots):
            self._tell_in_sight(tuple(self._rows.rows[position] for position in shown))
        if not shown:
            lines.append(draw_message(self._why_empty(), size.width, styles.status))
        blank = Strip.blank(size.width, styles.row)
        lines.extend([blank] * (page + 1 - len(lines)))
        if self._show_status:
            lines.append(draw_status(*self._status(top, len(shown)), size.width, styles.status))
        return lines[: size.height]

    def _row_line(self, position: int, layout: Layout, styles: TableStyles, *, has_thumb: bool) -> Strip:
        row_id = self._rows.ids[position]
        key = (row_id, row_id == self._cursor_id, row_id in self._marks, has_thumb)
        drawn = self._cache.get(key)
        if drawn is None:
            if len(self._cache) >= _CACHED_LINES:
                self._cache.clear()
            row = self._rows.rows[position]
            tone = self._row_tone(row) if self._row_tone else None
            _, has_cursor, is_marked, _ = key
            strip = draw_row(
                row,
                layout,
                styles,
                has_cursor=has_cursor,
                is_marked=is_marked,
                has_thumb=has_thumb,
                tone=tone,
            )
            drawn = self._cache[key] = (row, strip)
        return drawn[1]

    def _fit(self, width: int) -> Layout:
        widths_key = (self._columns, self._arrangement, tuple(self._natural.items()), width)
        if widths_key != self._widths_key:
            self._widths_key = widths_key
            self._shown = self._arrangement.shown(self._columns)
            self._widths = fit_widths(self._shown, self._natural, self._arrangement.widths, width)
        if self._column_key is not None:
            self._skipped = skipped_to_show(self._shown, self._widths, width, self._skipped, self._column_key)
        if (widths_key, self._skipped) != self._layout_key:
            self._layout_key = widths_key, self._skipped
            self._layout = place(self._shown, self._widths, width, self._skipped)
            self._cache.clear()
        return self._layout

    def _styles(self) -> TableStyles:
        if self._table_styles is None:
            style = self.get_component_rich_style
            self._table_styles = TableStyles(
                row=self.rich_style,
                cursor=style("table--cursor"),
                header=style("table--header"),
                header_current=style("table--header-current"),
                mark=text_only(style("table--mark")),
                status=style("table--status"),
                thumb=style("table--thumb"),
                tones={tone: text_only(style(f"table--{tone}")) for tone in TONES},
            )
        return self._table_styles

    def _status(self, top: int, in_sight: int) -> tuple[str, str]:
        left = []
        if self._marks:
            left.append(f"{len(self._marks):,} marked")
        if self._rows.is_filtered:
            left.append(f"{self.row_count:,} of {len(self._rows.rows):,} shown")
        right = f"{top + 1:,}–{top + in_sight:,} of {self.row_count:,}" if in_sight else ""
        return " · ".join(left), right

    def _why_empty(self) -> str:
        if self._rows.rows and self._filter_text:
            return f"nothing matches “{self._filter_text}” · esc clears the filter"
        return "nothing matches the filter" if self._rows.rows else self._empty_text

    # How lines and widths follow rows.

    def _page_height(self) -> int:
        return max(0, self.scrollable_content_region.height - 1 - self._show_status)

    def _drop_stale_lines(self) -> None:
        """Keep only the drawn lines of rows that are the same object as before."""
        get = self._rows.get
        self._cache = {key: drawn for key, drawn in self._cache.items() if get(key[0]) is drawn[0]}

    def _measure(self) -> None:
        """Widen columns to what is seen of the rows; they never shrink, so a refresh moves nothing."""
        for column in self._arrangement.shown(self._columns):
            measured = natural_width(column, self._rows.rows)
            self._natural[column.key] = max(measured, self._natural.get(column.key, 0))

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

    def _tell_in_sight(self, rows: tuple[RowT, ...]) -> None:
        if len(rows) != len(self._in_sight) or not all(map(is_, rows, self._in_sight)):
            self._in_sight = rows
            self.post_message(RowsInSight(self, rows))

    def _tell_highlighted(self) -> None:
        if self._cursor_id != self._highlighted:
            self._highlighted = self._cursor_id
            self.post_message(RowHighlighted(self, self._cursor_id, self.cursor_row))
