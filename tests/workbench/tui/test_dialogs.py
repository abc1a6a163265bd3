"""Dialogs in a low terminal: what is long scrolls, and the keys that answer stay in sight."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from textual.app import App
from textual.content import Content
from textual.screen import ModalScreen

from workbench.desk.change_row import ChangeRow
from workbench.tui.frame.dialogs import Choice, ChoiceDialog, ConfirmDialog, PromptDialog
from workbench.tui.frame.report import ReportScreen
from workbench.tui.widgets.table import Column
from workbench.tui.widgets.table.chooser import ColumnChooser
from workbench.tui.widgets.table.columns import Arrangement

COLUMNS: list[Column[Any]] = [Column(f"c{number}", f"column {number}") for number in range(40)]
LONG: dict[str, tuple[Callable[[], ModalScreen[Any]], str]] = {
    "report": (lambda: ReportScreen("keys", Content("\n".join("line" for _ in range(60)))), "esc  back"),
    "confirmation": (
        lambda: ConfirmDialog("sure?", [ChangeRow(f"r{n}", "a", "b") for n in range(30)], asks_reason=True),
        "y  yes",
    ),
    "prompt": (lambda: PromptDialog("name", details="\n".join(["why"] * 30)), "enter  accept"),
    "choice": (
        lambda: ChoiceDialog("which?", [Choice(f"c{n}", f"thing {n}") for n in range(30)]),
        "enter  choose",
    ),
    "columns": (lambda: ColumnChooser(COLUMNS, Arrangement.of(COLUMNS)), "space shows"),
}


def lines(app: App[Any]) -> list[str]:
    return ["".join(segment.text for segment in strip) for strip in app.screen._compositor.render_strips()]


@pytest.mark.parametrize("size", [(60, 15), (80, 24)])
@pytest.mark.parametrize("kind", LONG)
def test_the_keys_of_a_long_dialog_are_in_sight(
    drive: Callable[..., None], kind: str, size: tuple[int, int]
) -> None:
    make, keys = LONG[kind]
    app: App[None] = App()

    async def script(pilot: Any) -> None:
        app.push_screen(make())
        await pilot.pause()
        await pilot.pause()
        assert any(keys in line for line in lines(app))
        assert "╰" in "".join(lines(app)[-4:])
        await pilot.resize_terminal(60, 17)
        await pilot.pause()
        assert any(keys in line for line in lines(app))

    drive(app, script, size)
