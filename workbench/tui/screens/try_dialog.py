"""The form in which a person tries one prediction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from store.errors import WorkbenchError
from workbench.desk.try_one import Answer, FormError, FormField, TryForm
from workbench.tui.frame.asking import Asking
from workbench.tui.screens.serve_text import answer_text
from workbench.tui.widgets.cells import clean

_FRAME_LINES = 6
"""Border, keys, and the blank lines between the parts."""
_MOST_ANSWER_LINES = 14
Predict = Callable[[Mapping[str, str]], Answer]


class _FieldRow(Horizontal):
    """A feature's name, what is typed for it, and what it takes or what is wrong with it."""

    def __init__(self, field: FormField, text: str) -> None:
        super().__init__()
        self.field = field
        self._text = text

    def compose(self) -> ComposeResult:
        mark = "" if self.field.is_required else " ?"
        yield Static(clean(self.field.name) + mark, classes="-name", markup=False)
        yield Input(self._text, compact=True)
        yield Static(clean(self.field.hint), classes="-hint", markup=False)

    @property
    def text(self) -> str:
        return self.query_one(Input).value

    def tell(self, problem: str | None) -> None:
        hint = self.query_one(".-hint", Static)
        hint.set_class(problem is not None, "-wrong")
        hint.update(clean(problem or self.field.hint))


class TryDialog(Asking, ModalScreen[dict[str, str]]):
    """Asks a model for one prediction, again and again; ends with what was typed."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Back", show=False),
        Binding("down", "app.focus_next", "Next field", show=False),
        Binding("up", "app.focus_previous", "Field before", show=False),
        Binding("ctrl+l", "reset", "The example again", show=False),
    ]
    DEFAULT_CSS = """
    TryDialog { align: center middle;
        & > Vertical { width: 100; max-width: 96%; height: auto; max-height: 94%; background: $surface;
            border: round $primary; padding: 0 1; }
        & .-form { height: auto; max-height: 1fr; scrollbar-size-vertical: 1;
            scrollbar-background: $surface; }
        & _FieldRow { height: 1; width: 1fr; }
        & .-name { width: 30%; max-width: 30; text-overflow: ellipsis; text-wrap: nowrap; }
        & Input { width: 1fr; }
        & .-hint { width: 38%; padding: 0 1; color: $foreground 60%; text-overflow: ellipsis;
            text-wrap: nowrap; }
        & .-hint.-wrong { color: $text-error; }
        & .-answer { height: auto; max-height: 14; margin-top: 1; }
        & .-keys { color: $foreground 60%; margin-top: 1; }
    }
    """

    def __init__(self, form: TryForm, predict: Predict, typed: Mapping[str, str]) -> None:
        super().__init__()
        self._form = form
        self._predict = predict
        self._typed = typed
        self._answer_lines = 0

    def compose(self) -> ComposeResult:
        with Vertical() as frame:
            frame.border_title = Content(f"try {clean(self._form.model)} v{self._form.version}")
            with VerticalScroll(classes="-form", can_focus=False):
                for field in self._form.fields:
                    yield _FieldRow(field, self._typed.get(field.name, field.text))
            yield Static("", classes="-answer", markup=False)
            yield Static(
                "enter  predict   ↑↓  fields   ^l  example   esc  back",
                classes="-keys",
                markup=False,
            )

    @property
    def texts(self) -> dict[str, str]:
        """What is typed, by field."""
        return {row.field.name: row.text for row in self.query(_FieldRow)}

    @on(Input.Submitted)
    def _submitted(self) -> None:
        for row in self.query(_FieldRow):
            row.tell(None)
        self._say(Content.styled("asking …", "$foreground 60%"))
        self.ask("answer", partial(self._predict, self.texts), self._answered)

    def _answered(self, answer: Answer) -> None:
        self._say(answer_text(answer, max(20, self.query_one(".-answer").size.width)))

    def tell_error(self, error: Exception) -> None:
        self._say(Content.styled(clean(str(error)), "$text-error"))
        if isinstance(error, FormError):
            wrong = [row for row in self.query(_FieldRow) if row.field.name in error.errors]
            for row in wrong:
                row.tell(error.errors[row.field.name])
            if wrong:
                wrong[0].query_one(Input).focus()
        elif not isinstance(error, WorkbenchError):
            self.log.error(error)

    def _say(self, content: Content) -> None:
        self.query_one(".-answer", Static).update(content)
        self._answer_lines = min(_MOST_ANSWER_LINES, len(content.plain.splitlines()))
        self._fit()

    def on_resize(self) -> None:
        self._fit()

    def _fit(self) -> None:
        """Give the form what the answer leaves of the height, so that both are in sight."""
        room = int(self.size.height * 0.94) - _FRAME_LINES - self._answer_lines
        self.query_one(".-form").styles.max_height = max(1, room)

    def action_reset(self) -> None:
        for row in self.query(_FieldRow):
            row.query_one(Input).value = row.field.text
            row.tell(None)

    def action_close(self) -> None:
        self.dismiss(self.texts)
