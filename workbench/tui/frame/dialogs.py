"""Questions to a person: confirm with what will change, type a text, choose one of several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static
from textual.widgets.option_list import Option

from workbench.desk.change_row import ChangeRow
from workbench.tui.widgets.cells import clean, width
from workbench.tui.widgets.choices import Choices
from workbench.tui.widgets.fitting import Fitted

DIALOG_CSS = """
    align: center middle;
    & > Vertical { width: 76; max-width: 96%; height: auto; max-height: 92%; background: $surface;
        border: round $primary; padding: 0 1; }
    & .-body { width: 1fr; height: auto; margin-bottom: 1; }
    & .-keys { width: 1fr; height: auto; color: $text-muted; }
    & .-problem { width: 1fr; height: auto; color: $text-error; }
"""


@dataclass(frozen=True)
class Confirmation:
    """A yes, with the reason that was given."""

    reason: str | None = None


def changes_table(changes: Sequence[ChangeRow]) -> Content:
    """What is and what will be, one thing a line."""
    if not changes:
        return Content("")
    rows = [(clean(c.what), clean(c.before) or "—", clean(c.after) or "—", c.tone) for c in changes]
    first = max(width(row[0]) for row in rows)
    second = max(6, *(width(row[1]) for row in rows))
    lines = [
        Content.assemble((f"{'':<{first}}  {'before':<{second}}    after", "$foreground 60%")),
        *(
            Content.assemble(
                (what + " " * (first - width(what) + 2), "$foreground 60%"),
                before + " " * (second - width(before)),
                ("  → ", "$foreground 60%"),
                (after, f"bold $text-{tone or 'accent'}" if after != before else ""),
            )
            for what, before, after, tone in rows
        ),
    ]
    return Content("\n").join(lines)


class ConfirmDialog(Fitted, ModalScreen["Confirmation | None"]):
    """Asks before something changes; `y` does it, `n` or esc does not."""

    REST = 4  # a blank line, the reason with one, the keys
    AUTO_FOCUS = ""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "yes", "Yes"),
        Binding("n,escape", "no", "No"),
        Binding("r", "reason", "Reason"),
        Binding("down,j", "scroll(1)", show=False),
        Binding("up,k", "scroll(-1)", show=False),
    ]
    DEFAULT_CSS = f"ConfirmDialog {{ {DIALOG_CSS} & Input {{ display: none; margin-bottom: 1; }} }}"

    def __init__(
        self,
        question: str,
        changes: Sequence[ChangeRow] = (),
        *,
        details: str = "",
        asks_reason: bool = False,
        is_dangerous: bool = False,
    ) -> None:
        super().__init__()
        self._question = clean(question)
        self._changes = changes
        self._details = "\n".join(map(clean, details.splitlines()))
        self._asks_reason = asks_reason
        self._is_dangerous = is_dangerous

    def compose(self) -> ComposeResult:
        with Vertical() as frame:
            frame.border_title = Content(self._question)
            if self._is_dangerous:
                frame.styles.border = ("round", self.app.theme_variables["error"])
            with VerticalScroll(classes="-body", can_focus=False):
                if self._changes:
                    yield Static(changes_table(self._changes))
                if self._details:
                    yield Static(("\n" if self._changes else "") + self._details, markup=False)
            if self._asks_reason:
                yield Input(placeholder="why; kept in the audit trail", compact=True)
            reason = "   r  give a reason" if self._asks_reason else ""
            yield Static(f"y  yes   n  no{reason}", classes="-keys", markup=False)

    def action_yes(self) -> None:
        self.dismiss(Confirmation(self._reason()))

    def action_no(self) -> None:
        if self.focused is not None:
            self.set_focus(None)
        else:
            self.dismiss(None)

    def action_reason(self) -> None:
        if self._asks_reason:
            field = self.query_one(Input)
            field.styles.display = "block"
            field.focus()

    def action_scroll(self, by: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False)

    @on(Input.Submitted)
    def _reason_given(self) -> None:
        self.set_focus(None)

    def _reason(self) -> str | None:
        return self.query_one(Input).value.strip() or None if self._asks_reason else None


class PromptDialog(Fitted, ModalScreen["str | None"]):
    """Asks for one line of text; None where the person changed their mind."""

    REST = 5
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "Cancel", show=False)]
    DEFAULT_CSS = f"PromptDialog {{ {DIALOG_CSS} & Input {{ margin-bottom: 1; }} }}"

    def __init__(
        self,
        title: str,
        value: str = "",
        *,
        placeholder: str = "",
        details: str = "",
        check: Callable[[str], str | None] | None = None,
    ) -> None:
        """`check` says what is wrong with a text, or None."""
        super().__init__()
        self._title = clean(title)
        self._value = value
        self._placeholder = placeholder
        self._details = details
        self._check = check

    def compose(self) -> ComposeResult:
        with Vertical() as frame:
            frame.border_title = Content(self._title)
            if self._details:
                yield Static(self._details, classes="-body", markup=False)
            yield Input(self._value, placeholder=self._placeholder, compact=True, select_on_focus=False)
            yield Static("", classes="-problem", markup=False)
            yield Static("enter  accept   esc  cancel", classes="-keys", markup=False)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        problem = self._check(event.value) if self._check is not None else None
        if problem:
            self.query_one(".-problem", Static).update(clean(problem))
        else:
            self.dismiss(event.value)

    def action_cancel(self) -> None:
        self.dismiss(None)


@dataclass(frozen=True)
class Choice:
    """One of several things to choose from; `key` picks it at once."""

    name: str
    label: str
    key: str = ""


class ChoiceDialog(Fitted, ModalScreen["str | None"]):
    """Asks for one of several; answers with its name, or None."""

    LONG = "Choices"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,n", "cancel", "Cancel", show=False),
    ]
    DEFAULT_CSS = f"""ChoiceDialog {{ {DIALOG_CSS}
        & Choices, & Choices:focus {{ margin-bottom: 1; }} }}"""

    def __init__(self, title: str, choices: Sequence[Choice], *, details: str = "") -> None:
        super().__init__()
        self._title = clean(title)
        self._choices = choices
        self._details = details

    def compose(self) -> ComposeResult:
        with Vertical() as frame:
            frame.border_title = Content(self._title)
            if self._details:
                yield Static(self._details, classes="-body", markup=False)
            yield Choices(*(Option(self._line(each), id=each.name) for each in self._choices))
            yield Static("enter  choose   esc  cancel", classes="-keys", markup=False)

    def on_key(self, event: events.Key) -> None:
        for choice in self._choices:
            if choice.key and choice.key == event.key:
                event.stop()  # it is answered: no screen is to hear of it
                self.dismiss(choice.name)
                return

    @on(Choices.OptionSelected)
    def _selected(self, event: Choices.OptionSelected) -> None:
        self.dismiss(event.option_id)

    def action_cancel(self) -> None:
        self.dismiss(None)

    def _line(self, choice: Choice) -> Content:
        keyed = any(each.key for each in self._choices)
        return Content.assemble(
            (f"{choice.key or ' '}  " if keyed else "", "bold $text-accent"), clean(choice.label)
        )
