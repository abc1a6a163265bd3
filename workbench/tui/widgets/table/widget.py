"""The virtual table: what keys and the mouse do to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import events
from textual.actions import SkipAction

from workbench.tui.widgets.table.chooser import ColumnChooser
from workbench.tui.widgets.table.columns import MIN_WIDTH, Arrangement, Column, RowT
from workbench.tui.widgets.table.keys import TABLE_KEYS
from workbench.tui.widgets.table.layout import GUTTER, Zone, top_for_thumb
from workbench.tui.widgets.table.messages import RowSelected
from workbench.tui.widgets.table.order import Sort
from workbench.tui.widgets.table.view import TableView

if TYPE_CHECKING:
    from workbench.tui.widgets.table.filter_bar import TableFilter

_WHEEL_ROWS = 3


class VirtualTable(TableView[RowT]):
    """Tens of thousands of rows, sorted, filtered, marked and chosen by keyboard and mouse."""

    BINDINGS = TABLE_KEYS

    filter_bar: TableFilter | None = None
    """Where a person types the filter; it sets itself here."""

    _dragged_edge: tuple[str, int, int] | None = None
    _dragged_title: str | None = None
    _is_thumb_dragged = False
    _is_click_over = False

    # Rows.

    def action_move(self, by: int) -> None:
        self._move_to((self.cursor_index or 0) + by)

    def action_page(self, pages: float) -> None:
        self._move_to((self.cursor_index or 0) + round(pages * max(1, self._page_height() - 1)))

    def action_first(self) -> None:
        self._move_to(0)

    def action_last(self) -> None:
        self._move_to(self.row_count - 1)

    def action_select(self) -> None:
        row = self.cursor_row
        if row is not None and self.cursor_id is not None:
            self.post_message(RowSelected(self, self.cursor_id, row))

    def action_back(self) -> None:
        if not self._rows.is_filtered:
            raise SkipAction
        if self.filter_bar is not None:
            self.filter_bar.clear()
        else:
            self.set_filter()

    def action_filter(self) -> None:
        if self.filter_bar is None:
            raise SkipAction
        self.prepare_filter()
        self.filter_bar.open()

    def _restore_filter(self, text: str) -> None:
        if self.filter_bar is not None:
            self.filter_bar.show_text(text)
        else:
            self.set_filter(text)

    # Marks.

    def action_mark(self) -> None:
        if self.cursor_id is not None:
            self.set_marks(self.marks ^ {self.cursor_id})

    def action_mark_and_move(self, by: int) -> None:
        before = self.cursor_index
        if before is not None:
            self._move_to(before + by)
            self.set_marks(self.marks | self._between(before, self.cursor_index or 0))

    def action_mark_all(self) -> None:
        self.set_marks(self.marks | self._shown_ids())

    def action_invert_marks(self) -> None:
        self.set_marks(self.marks ^ self._shown_ids())

    def action_unmark_all(self) -> None:
        self.set_marks(())

    def _shown_ids(self) -> frozenset[str]:
        return frozenset(self._rows.ids[position] for position in self._rows.shown)

    # Columns.

    def action_column(self, by: int) -> None:
        shown = self._shown_columns()
        keys = [column.key for column in shown]
        if self._column_key is None:
            target = 0 if abs(by) == 1 or by < 0 else len(keys) - 1
        else:
            target = min(len(keys) - 1, max(0, keys.index(self._column_key) + by))
        self._set_column(keys[target])

    def action_sort(self) -> None:
        column = self._current_or_sorted()
        if column is not None:
            self.sort_by(*self._next_sort(column))

    def action_sort_ties(self) -> None:
        column = self._current_or_sorted()
        if column is not None:
            others = [sort for sort in self.sorts if sort.key != column.key]
            self.sort_by(*others, *self._next_sort(column))

    def action_choose_columns(self) -> None:
        def choose(chosen: Arrangement | None) -> None:
            if chosen is not None:
                self.arrange_columns(chosen)

        self.app.push_screen(ColumnChooser(self.columns, self.arrangement), choose)

    def action_hide_column(self) -> None:
        key = self._column_key
        if key is None:
            return
        keys = [column.key for column in self._shown_columns()]
        position = keys.index(key)
        neighbours = keys[position + 1 :] or keys[:position]
        self.arrange_columns(self.arrangement.toggled(key))
        if neighbours and key in self.arrangement.hidden:
            self._set_column(neighbours[0] if keys[position + 1 :] else neighbours[-1])

    def action_shift_column(self, by: int) -> None:
        if self._column_key is not None:
            self.arrange_columns(self.arrangement.moved(self._column_key, by))

    def action_resize_column(self, by: int) -> None:
        for slot in self._layout.slots:
            if slot.column.key == self._column_key:
                self.arrange_columns(
                    self.arrangement.resized(slot.column.key, max(MIN_WIDTH, slot.cells + by))
                )

    def action_reset_column(self) -> None:
        if self._column_key is not None:
            self.arrange_columns(self.arrangement.resized(self._column_key, None))

    def _shown_columns(self) -> list[Column[RowT]]:
        return self.arrangement.shown(self.columns)

    def _set_column(self, key: str) -> None:
        self._column_key = key
        self.lines_changed()

    def _current_or_sorted(self) -> Column[RowT] | None:
        key = self._column_key or (self.sorts[0].key if self.sorts else None)
        shown = self._shown_columns()
        return next((column for column in shown if column.key == key and column.sortable), None) or next(
            (column for column in shown if column.sortable and key is None), None
        )

    def _next_sort(self, column: Column[RowT]) -> tuple[Sort, ...]:
        """The column's first way, then the other way, then none."""
        now = next((sort for sort in self.sorts if sort.key == column.key), None)
        if now is None:
            return (Sort(column.key, column.descending_first),)
        if now.descending == column.descending_first:
            return (Sort(column.key, not column.descending_first),)
        return ()

    # Mouse.

    def on_mouse_down(self, event: events.MouseDown) -> None:
        place = event.get_content_offset(self)
        self._is_click_over = False
        if place is None or event.button != 1:
            return
        if place.x == self.size.width - 1 and 1 <= place.y <= self._page_height():
            self._is_thumb_dragged = self._is_click_over = True
            self.capture_mouse()
            self._drag_thumb(place.y - 1)
            return
        if place.y != 0:
            return
        key, zone = self._layout.hit(place.x)
        if key is None:
            return
        if zone == "edge":
            cells = next(slot.cells for slot in self._layout.slots if slot.column.key == key)
            self._dragged_edge = (key, event.screen_x, cells)
            self.capture_mouse()
        else:
            self._dragged_title = key

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if self._is_thumb_dragged:
            self._drag_thumb(event.y - self.content_offset.y - 1)
        elif self._dragged_edge is not None:
            key, x, cells = self._dragged_edge
            self._is_click_over = True
            self.arrange_columns(self.arrangement.resized(key, max(MIN_WIDTH, cells + event.screen_x - x)))

    def on_mouse_up(self, event: events.MouseUp) -> None:
        dragged, self._dragged_title = self._dragged_title, None
        if self._is_thumb_dragged:
            self._is_thumb_dragged = False
            self.release_mouse()
            return
        if self._dragged_edge is not None:
            self._dragged_edge = None
            self._is_click_over = True
            self.release_mouse()
            return
        place = event.get_content_offset(self)
        target, zone = self._layout.hit(place.x) if place is not None and place.y == 0 else (None, "gutter")
        if dragged is not None and target is not None and zone == "column" and target != dragged:
            self._is_click_over = True
            keys = [column.key for column in self._shown_columns()]
            self.arrange_columns(self.arrangement.moved(dragged, keys.index(target) - keys.index(dragged)))

    def on_click(self, event: events.Click) -> None:
        place = event.get_content_offset(self)
        if place is None or self._is_click_over:
            return
        event.stop()
        if place.y == 0:
            self._click_title(*self._layout.hit(place.x), extend=event.shift or event.ctrl)
            return
        index = round(self.scroll_y) + place.y - 1
        if place.y > self._page_height() or index >= self.row_count:
            return
        before = self.cursor_index or 0
        self._move_to(index)
        if event.shift:
            self.set_marks(self.marks | self._between(before, index))
        elif event.ctrl or place.x < GUTTER:
            self.action_mark()
        elif event.chain == 2:
            self.action_select()

    def _drag_thumb(self, line: int) -> None:
        top = top_for_thumb(self.row_count, self._page_height(), line)
        self.scroll_to(y=top, animate=False, force=True)

    def _click_title(self, key: str | None, zone: Zone, *, extend: bool) -> None:
        if key is not None and zone == "column":
            self._set_column(key)
            if extend:
                self.action_sort_ties()
            else:
                self.action_sort()

    def _between(self, first: int, last: int) -> frozenset[str]:
        first, last = sorted((first, last))
        return frozenset(self._rows.ids[position] for position in self._rows.shown[first : last + 1])

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self._wheel(event, 1)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self._wheel(event, -1)

    def on_mouse_scroll_right(self, event: events.MouseScrollRight) -> None:
        self._scroll_columns(event, 1)

    def on_mouse_scroll_left(self, event: events.MouseScrollLeft) -> None:
        self._scroll_columns(event, -1)

    def _wheel(self, event: events.MouseEvent, by: int) -> None:
        if event.shift or event.ctrl:
            self._scroll_columns(event, by)
            return
        top = round(self.scroll_y) + by * _WHEEL_ROWS
        self.scroll_to(y=max(0, min(top, self.max_scroll_y)), animate=False, force=True)
        event.prevent_default()
        event.stop()

    def _scroll_columns(self, event: events.MouseEvent, by: int) -> None:
        self._column_key = None
        if by < 0 or self._layout.more_right:
            self._skipped = max(0, self._skipped + by)
        self.lines_changed()
        event.prevent_default()
        event.stop()
