"""How a table is drawn: the lines in sight from rows and columns, and only those sent that changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter, is_
from typing import ClassVar, Generic

from textual.scroll_view import ScrollView
from textual.strip import Strip

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
from workbench.tui.widgets.table.messages import RowsInSight
from workbench.tui.widgets.table.order import Sort
from workbench.tui.widgets.table.rows import Rows

TONES = ("muted", "accent", "success", "warning", "error")
_CACHED_LINES = 2000


class DrawnTable(LinePainter, ScrollView, Generic[RowT], can_focus=True, inherit_bindings=False):
    """The state of a table, and its lines."""

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
    DrawnTable {
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

    @property
    def row_count(self) -> int:
        """How many rows are shown."""
        return len(self._rows.shown)

    @property
    def sorts(self) -> tuple[Sort, ...]:
        return self._rows.sorts

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._table_styles = None
        self._cache.clear()
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
            lines.extend(draw_message(self._why_empty(), size.width, styles.status)[:page])
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

    def _tell_in_sight(self, rows: tuple[RowT, ...]) -> None:
        if len(rows) != len(self._in_sight) or not all(map(is_, rows, self._in_sight)):
            self._in_sight = rows
            self.post_message(RowsInSight(self, rows))

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
