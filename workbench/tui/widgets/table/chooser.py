"""A dialog in which a person chooses and orders a table's columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static
from textual.widgets.option_list import Option

from workbench.tui.widgets.cells import clean
from workbench.tui.widgets.choices import Choices
from workbench.tui.widgets.fitting import Fitted
from workbench.tui.widgets.table.columns import Arrangement, Column

SHOWN, HIDDEN = "◆", "·"


class ColumnChooser(Fitted, ModalScreen["Arrangement | None"]):
    """Answers with the new arrangement, or None where the person changed their mind."""

    LONG = "Choices"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "toggle_column", "Show or hide", id="columns.toggle"),
        Binding("shift+up,K,left_curly_bracket", "shift(-1)", "Earlier", id="columns.earlier"),
        Binding("shift+down,J,right_curly_bracket", "shift(1)", "Later", id="columns.later"),
        Binding("r", "reset", "As they were made", id="columns.reset"),
        Binding("escape", "cancel", "Cancel", id="columns.cancel"),
    ]
    DEFAULT_CSS = """
    ColumnChooser {
        align: center middle;

        & > Vertical { width: 60; max-width: 90%; height: auto; max-height: 92%;
            background: $surface; border: round $primary; padding: 0 1; }
        & Static { width: 1fr; margin-top: 1; color: $text-muted; }
    }
    """

    def __init__(self, columns: Sequence[Column[Any]], arrangement: Arrangement) -> None:
        super().__init__()
        self._columns = tuple(columns)
        self._titles = {column.key: clean(column.title) for column in columns}
        self._arrangement = arrangement.adapted(self._columns)

    def compose(self) -> ComposeResult:
        with Vertical() as frame:
            frame.border_title = "columns"
            yield Choices(*self._options())
            yield Static("space shows · shift+↑↓ moves · r resets · enter · esc", markup=False)

    def _options(self) -> list[Option]:
        hidden = self._arrangement.hidden
        return [
            Option(Content(f"{HIDDEN if key in hidden else SHOWN} {self._titles[key]}"), id=key)
            for key in self._order()
        ]

    def _order(self) -> list[str]:
        return [key for key in self._arrangement.order if key in self._titles]

    def on_option_list_option_selected(self) -> None:
        self.dismiss(self._arrangement)

    def action_toggle_column(self) -> None:
        key = self._key()
        if key is not None:
            self._show(self._arrangement.toggled(key), key)

    def action_shift(self, by: int) -> None:
        key = self._key()
        if key is None:
            return
        order = self._order()
        position = order.index(key)
        order.insert(min(len(order) - 1, max(0, position + by)), order.pop(position))
        self._show(self._arrangement.ordered(order), key)

    def action_reset(self) -> None:
        self._show(Arrangement.of(self._columns), self._key())

    def action_cancel(self) -> None:
        self.dismiss(None)

    def _key(self) -> str | None:
        highlighted = self.query_one(Choices).highlighted
        return None if highlighted is None else self._order()[highlighted]

    def _show(self, arrangement: Arrangement, key: str | None) -> None:
        self._arrangement = arrangement
        options = self.query_one(Choices)
        options.clear_options()
        options.add_options(self._options())
        order = self._order()
        options.highlighted = order.index(key) if key in order else 0
