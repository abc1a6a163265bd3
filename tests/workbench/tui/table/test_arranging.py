"""Columns hidden, moved, resized and chosen by a person, and remembered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from textual.pilot import Pilot

from workbench.tui.widgets.table import Sort, TableState, VirtualTable
from workbench.tui.widgets.table.chooser import ColumnChooser

Drive = Callable[..., None]


@pytest.mark.parametrize(
    ("keys", "titles"),
    [
        (["right", "right", "minus"], ["name", "depth", "note"]),
        (["dollar_sign", "minus"], ["name", "rmse", "depth"]),
        (["right", "right", "right_curly_bracket"], ["name", "depth", "rmse", "note"]),
        (["right", "right", "L"], ["name", "depth", "rmse", "note"]),
        (["right", "right", "H"], ["rmse", "name", "depth", "note"]),
        (["right", "right", "shift+left", "shift+right"], ["name", "rmse", "depth", "note"]),
    ],
)
def test_keys_hide_and_move_columns(drive: Drive, table_app: Any, keys: list[str], titles: list[str]) -> None:
    app = table_app()

    async def script(pilot: Pilot[None]) -> None:
        await pilot.press(*keys)
        await pilot.pause()
        assert app.lines()[0].split() == titles
        assert app.of_kind(VirtualTable.ColumnsChanged)

    drive(app, script)


def test_keys_resize_a_column_and_give_it_back_its_width(drive: Drive, table_app: Any) -> None:
    app = table_app()

    async def script(pilot: Pilot[None]) -> None:
        await pilot.press("right", "greater_than_sign", "greater_than_sign")
        assert app.table.arrangement.widths == {"name": 16}
        await pilot.pause()
        await pilot.press("less_than_sign")
        await pilot.pause()
        assert app.table.arrangement.widths == {"name": 14}
        await pilot.press("equals_sign")
        assert app.table.arrangement.widths == {}

    drive(app, script)


def test_columns_scroll_while_the_first_stays(drive: Drive, table_app: Any) -> None:
    app = table_app()

    async def script(pilot: Pilot[None]) -> None:
        assert app.lines()[0].split() == ["name", "rmse", "depth", "note", "›"]
        await pilot.press("dollar_sign")
        await pilot.pause()
        assert app.lines()[0].split() == ["name", "‹", "note", "›"]
        assert all(line[3:].startswith("run-") for line in app.lines()[1:-1])
        await pilot.press("0")
        await pilot.pause()
        assert app.lines()[0].split()[:2] == ["name", "rmse"]
        assert app.table.current_column == "name"

    drive(app, script, size=(44, 12))


def test_columns_are_chosen_in_a_dialog(drive: Drive, table_app: Any) -> None:
    app = table_app()

    async def script(pilot: Pilot[None]) -> None:
        await pilot.press("C")
        await pilot.pause()
        assert isinstance(app.screen, ColumnChooser)
        await pilot.press("j", "space", "j", "shift+up", "shift+up", "enter")
        await pilot.pause()
        assert app.table.arrangement.order == ("depth", "name", "rmse", "note")
        assert app.table.arrangement.hidden == {"rmse"}
        assert app.lines()[0].split() == ["depth", "name", "note"]
        await pilot.press("C")
        await pilot.pause()
        await pilot.press("r", "escape")
        await pilot.pause()
        assert app.table.arrangement.hidden == {"rmse"}
        await pilot.press("C")
        await pilot.pause()
        await pilot.press("r", "enter")
        await pilot.pause()
        assert app.lines()[0].split() == ["name", "rmse", "depth", "note"]

    drive(app, script)


def test_a_state_is_restored_before_the_rows_come(drive: Drive, table_app: Any) -> None:
    saved: list[TableState] = []
    app = table_app()

    async def change(pilot: Pilot[None]) -> None:
        await pilot.press("right", "right", "s", "minus", "down", "down", "space")
        app.table.set_filter("run-1")
        await pilot.press("down")
        saved.append(TableState.from_json(app.table.save_state().to_json()))

    drive(app, change)
    later = table_app([])

    async def restore(pilot: Pilot[None]) -> None:
        later.table.restore_state(saved[0])
        assert later.table.save_state() == saved[0]
        later.table.set_rows(table_app.runs())
        await pilot.pause()
        assert later.table.save_state() == saved[0]
        assert later.table.cursor_id == saved[0].cursor

    drive(later, restore)


def test_columns_that_come_later_keep_what_was_chosen(drive: Drive, table_app: Any) -> None:
    app = table_app(columns=table_app.COLUMNS[:2])

    async def script(pilot: Pilot[None]) -> None:
        app.table.sort_by(Sort("rmse"))
        await pilot.press("right", "greater_than_sign")
        app.table.set_columns(table_app.COLUMNS)
        await pilot.pause()
        assert app.lines()[0].split() == ["name", "rmse", "↑", "depth", "note"]
        assert app.table.arrangement.widths == {"name": 14}
        app.table.set_columns(table_app.COLUMNS[:1])
        assert app.table.sorts == ()

    drive(app, script)
