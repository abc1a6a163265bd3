"""Screen 7: who did what, when and why; and what the project's processes wrote."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from textual import on
from textual.containers import Container
from textual.content import Content
from textual.widget import Widget

from workbench.desk.events import EventRow, LogLine
from workbench.tui.frame.screen import WorkbenchScreen
from workbench.tui.screens.events_columns import event_page, line_page, log_columns, trail_columns
from workbench.tui.widgets.cells import clean
from workbench.tui.widgets.page import Page
from workbench.tui.widgets.table import TableFilter, TableState, VirtualTable
from workbench.tui.widgets.table.messages import RowHighlighted, RowSelected

Row = EventRow | LogLine


class EventsScreen(WorkbenchScreen):
    """The audit trail, or the log, the newest at the end and followed; below it one line in full."""

    NAME = "events"
    DEFAULT_CSS = """
    EventsScreen {
        #body { layout: vertical; }
        #lines, #details { border: round $foreground 20%; border-title-color: $text-muted; }
        #lines { height: 3fr; min-height: 7; layout: vertical; }
        #lines:focus-within, #details:focus {
            border: round $primary; border-title-color: $foreground; border-title-style: bold; }
        #details { height: 1fr; min-height: 4; padding: 0 1; }
        .-hidden { display: none; }
    }
    """

    _shows_log = False
    _follows = True
    _shown: tuple[Row, ...] | None = None

    def compose_body(self) -> Iterable[Widget]:
        trail: VirtualTable[EventRow] = VirtualTable(
            trail_columns(),
            row_id=lambda row: str(row.number),
            empty_text="reading the audit trail …",
            id="trail",
        )
        log: VirtualTable[LogLine] = VirtualTable(
            log_columns(), row_id=lambda row: str(row.number), empty_text="no log yet", id="log"
        )
        log.add_class("-hidden")
        lines = Container(trail, TableFilter(trail), log, TableFilter(log), id="lines")
        details = Page(id="details")
        details.border_title = "details"
        yield Container(lines, details, id="body")

    @property
    def table(self) -> VirtualTable[Any]:
        """The table in sight."""
        return self.query_one("#log" if self._shows_log else "#trail", VirtualTable)

    @property
    def page(self) -> Page:
        return self.query_one("#details", Page)

    def on_mount(self) -> None:
        self.table.focus()
        self._title()

    def look(self) -> None:
        if self.is_asking("events"):
            return
        events, shows_log = self.desk.events, self._shows_log
        self.ask(
            "events",
            lambda: events.log() if shows_log else events.trail(),
            partial(self._show, shows_log),
            self.refresh_failed,
        )

    def recall(self, state: dict[str, Any]) -> None:
        self._follows = bool(state.get("follows", True))
        self.query_one("#trail", VirtualTable).restore_state(TableState.from_json(state.get("trail")))
        self.query_one("#log", VirtualTable).restore_state(TableState.from_json(state.get("log")))
        if state.get("shows_log"):
            self.action_switch()

    def remember(self) -> dict[str, Any]:
        return {
            "follows": self._follows,
            "shows_log": self._shows_log,
            "trail": self.query_one("#trail", VirtualTable).save_state().to_json(),
            "log": self.query_one("#log", VirtualTable).save_state().to_json(),
        }

    def _show(self, shows_log: bool, rows: tuple[Row, ...]) -> None:
        if shows_log != self._shows_log:
            return
        self.answered()
        if rows is self._shown:
            return
        self._shown = rows
        table = self.table
        table.set_rows(rows)
        if not rows:
            nothing = "no log yet: the server and the watcher write one"
            table.set_empty_text(nothing if shows_log else "nothing has happened here yet")
        if self._follows:
            table.action_last()
        self._title()

    def _title(self) -> None:
        frame = self.query_one("#lines")
        name = "log" if self._shows_log else "audit trail"
        frame.border_title = Content(clean(f"{name} · following" if self._follows else name))

    @on(RowHighlighted)
    def _highlighted(self, event: RowHighlighted) -> None:
        row, table = event.row, self.table
        if event.table is not table:
            return
        if isinstance(row, EventRow):
            self.page.set_page(partial(event_page, row), from_top=True)
        elif isinstance(row, LogLine):
            self.page.set_page(partial(line_page, row), from_top=True)
        is_last = table.cursor_index == table.row_count - 1
        if self._follows and not is_last:
            self._follows = False
            self._title()

    def action_switch(self) -> None:
        """The other table takes the first one's place."""
        self._shows_log = not self._shows_log
        self._shown = None
        self.query_one("#trail").set_class(self._shows_log, "-hidden")
        self.query_one("#log").set_class(not self._shows_log, "-hidden")
        self.table.focus()
        self.page.set_page(lambda cells: Content(""), from_top=True)
        self.forget("events")
        self._title()
        if self.workbench.desk is not None:
            self.look()

    def action_follow(self) -> None:
        self._follows = not self._follows
        if self._follows:
            self.table.action_last()
        self._title()

    @on(RowSelected)
    def _opened(self) -> None:
        self.page.focus()

    def action_back(self) -> None:
        if self.page.has_focus:
            self.table.focus()
