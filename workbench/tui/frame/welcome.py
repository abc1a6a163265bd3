"""What a person sees where there is neither a project nor runs."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static

from workbench.tui.frame.dialogs import PromptDialog
from workbench.tui.frame.screen import WorkbenchScreen


class WelcomeScreen(WorkbenchScreen):
    """Offers a project of one's own, and the demo."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("i", "init", "init", id="welcome.init"),
        Binding("d", "demo", "demo", id="welcome.demo"),
    ]
    DEFAULT_CSS = """
    WelcomeScreen > #welcome { width: 1fr; height: 1fr; content-align: center middle; }
    """

    def compose_body(self) -> ComposeResult:
        place = str(self.workbench.place.root)
        key = "bold $text-accent"
        yield Static(
            Content.assemble(
                ("workbench\n\n", "bold"),
                (f"Nothing is in {place} yet.\n\n", "$foreground 60%"),
                ("i", key),
                "  start a project here from a data file\n",
                ("d", key),
                "  build the demo: real data, six trained models, a server\n",
                ("q", key),
                "  leave",
            ),
            id="welcome",
        )

    def action_demo(self) -> None:
        self.workbench.leave_for("demo")

    def action_init(self) -> None:
        def file_named(file: str | None) -> None:
            if file is not None:
                self.app.push_screen(
                    PromptDialog(
                        "the column to predict", placeholder="churned", check=_required("Name the column.")
                    ),
                    lambda target: self._init(file, target),
                )

        self.app.push_screen(
            PromptDialog(
                "a new project from a data file",
                placeholder="customers.csv",
                details="CSV, Parquet or JSON lines; it is read, never changed.",
                check=_required("Name a file."),
            ),
            file_named,
        )

    def _init(self, file: str, target: str | None) -> None:
        if target is not None:
            self.workbench.leave_for("init", file, target)


def _required(problem: str):  # type: ignore[no-untyped-def]
    return lambda text: None if text.strip() else problem
