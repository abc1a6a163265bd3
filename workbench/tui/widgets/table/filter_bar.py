"""The line in which a person types a table's filter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Input, Static

from workbench.tui.widgets.table.rows import Predicate
from workbench.tui.widgets.table.widget import VirtualTable

Interpret = Callable[[str], "Predicate[Any] | None"]
"""Makes a filter of what was typed; None leaves it to the search for words. ValueError says what is wrong."""


class TableFilter(Horizontal):
    """Filters its table as a person types; hidden while there is no filter and nobody types one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,down", "leave", "Keep the filter", show=False, id="filter.keep"),
        Binding("escape", "cancel", "Clear the filter", show=False, id="filter.clear"),
    ]
    DEFAULT_CSS = """
    TableFilter {
        height: 1;
        width: 1fr;
        display: none;
        background: $surface;

        &.-open { display: block; }
        & > .-slash { width: 2; color: $accent; text-style: bold; }
        & > Input { width: 1fr; background: $surface; }
        & > .-problem { width: auto; max-width: 60%; color: $text-error; }
    }
    """

    def __init__(
        self,
        table: VirtualTable[Any],
        *,
        placeholder: str = "type to filter",
        interpret: Interpret | None = None,
        name: str | None = None,
        id: str | None = None,  # noqa: A002 - Textual's own name for it
    ) -> None:
        super().__init__(name=name, id=id)
        self._table = table
        self._placeholder = placeholder
        self._interpret = interpret
        self._problem = ""
        self._is_words = False

    def compose(self) -> ComposeResult:
        yield Static("/", classes="-slash", markup=False)
        yield Input(
            self._table.filter_text, placeholder=self._placeholder, compact=True, select_on_focus=False
        )
        yield Static("", classes="-problem", markup=False)

    def on_mount(self) -> None:
        self._table.filter_bar = self
        if self._table.filter_text:
            self.show_text(self._table.filter_text)

    def open(self) -> None:
        """Show the line and let the person type."""
        self.add_class("-open")
        self.query_one(Input).focus()

    def clear(self) -> None:
        """End the filter and go back to the table."""
        self.query_one(Input).value = ""
        self._apply("")
        self._close()

    def show_text(self, text: str) -> None:
        """Filter by `text`, as if it had been typed."""
        self.add_class("-open")
        self.query_one(Input).value = text
        self._apply(text)

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self._apply(event.value)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_leave()

    def action_leave(self) -> None:
        self._close()

    def action_cancel(self) -> None:
        self.clear()

    def _close(self) -> None:
        self.set_class(bool(self._table.filter_text), "-open")
        if self.has_focus_within:
            self._table.focus()

    def _apply(self, text: str) -> None:
        predicate: Predicate[Any] | None = None
        problem = ""
        if self._interpret is not None and text.strip():
            try:
                predicate = self._interpret(text)
            except ValueError as error:
                problem = str(error)
        if problem != self._problem:
            self._problem = problem
            self.query_one(".-problem", Static).update(problem)
        if not problem:
            self._table.set_filter("" if predicate else text, predicate, typed=text)
            self._is_words = predicate is None
        elif self._is_words:  # what was taken for a word is the beginning of an expression
            self._table.set_filter(typed=text)
            self._is_words = False
