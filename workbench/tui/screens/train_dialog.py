"""The question what to train, with which parameters, and why."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static, TextArea

from store.errors import WorkbenchError
from workbench.desk.data_changes import TrainForm, TrainWish, wanted_lines
from workbench.tui.frame.asking import Asking
from workbench.tui.frame.dialogs import DIALOG_CSS
from workbench.tui.widgets.cells import clean

Check = Callable[[TrainWish], TrainWish]


class TrainDialog(Asking, ModalScreen[TrainWish | None]):
    """Ends with a wish whose settings are right, or None."""

    AUTO_FOCUS = "#reason"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Cancel", show=False),
        Binding("ctrl+s", "accept", "Train", show=False, priority=True),
    ]
    DEFAULT_CSS = f"""
    TrainDialog {{ {DIALOG_CSS}
        & Horizontal {{ height: 1; width: 1fr; }}
        & .-name {{ width: 12; color: $foreground 60%; }}
        & Input {{ width: 1fr; }}
        & TextArea {{ width: 1fr; height: 7; max-height: 40%; border: none; padding: 0; }}
        & .-keys {{ margin-top: 1; }}
    }}
    """

    def __init__(self, form: TrainForm, check: Check) -> None:
        super().__init__()
        self._form = form
        self._check = check
        self._lines_of = form.chosen

    def compose(self) -> ComposeResult:
        with Vertical() as frame:
            frame.border_title = "train now"
            with Horizontal():
                yield Static("pipeline", classes="-name")
                yield Input(self._form.chosen, compact=True, id="pipeline", select_on_focus=False)
            with Horizontal():
                yield Static("reason", classes="-name")
                yield Input(placeholder="why; kept with the run", compact=True, id="reason")
            yield Static("parameters for this training, KEY=VALUE a line", classes="-keys", markup=False)
            yield TextArea(
                self._text(self._form.chosen),
                compact=True,
                tab_behavior="focus",
                placeholder="params.max_depth=5",
                id="lines",
            )
            yield Static("", classes="-problem", markup=False)
            yield Static("enter or ^s  train   tab  next field   esc  cancel", classes="-keys", markup=False)

    def on_mount(self) -> None:
        self.query_one(TextArea).highlight_cursor_line = False
        names = ", ".join(self._form.pipelines)
        if len(self._form.pipelines) > 1:
            self._say(Content.styled(f"pipelines: {clean(names)}", "$foreground 60%"))

    @on(Input.Changed, "#pipeline")
    def _another_pipeline(self, event: Input.Changed) -> None:
        """The other one's parameters, unless somebody has typed some."""
        name, area = event.value.strip(), self.query_one(TextArea)
        is_untouched = area.text == self._text(self._lines_of)
        if name in self._form.pipelines and name != self._lines_of and is_untouched:
            self._lines_of = name
            area.text = self._text(name)

    @on(Input.Submitted)
    def _submitted(self) -> None:
        self.action_accept()

    def action_accept(self) -> None:
        pipeline = self.query_one("#pipeline", Input).value.strip()
        lines = wanted_lines(self._form, pipeline, self.query_one(TextArea).text)
        wish = TrainWish(pipeline, lines, self.query_one("#reason", Input).value)
        self.ask("check", partial(self._check, wish), self._checked)

    def _checked(self, wish: TrainWish) -> None:
        self.dismiss(wish)

    def tell_error(self, error: Exception) -> None:
        self._say(Content(clean(str(error))))
        if not isinstance(error, WorkbenchError):
            self.log.error(error)

    def _say(self, content: Content) -> None:
        self.query_one(".-problem", Static).update(content)

    def _text(self, pipeline: str) -> str:
        return "\n".join(self._form.pipelines.get(pipeline, ()))

    def action_cancel(self) -> None:
        self.dismiss(None)
