"""Sorting and filtering a table by keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from textual.pilot import Pilot
from textual.widgets import Input

from workbench.tui.widgets.table import Column, Sort, TableFilter, VirtualTable

Drive = Callable[..., None]


def test_s_sorts_by_the_current_column_then_the_other_way_then_not(drive: Drive, table_app: Any) -> None:
    app = table_app()

    async def script(pilot: Pilot[None]) -> None:
        await pilot.press("right", "right", "s")
        assert app.table.current_column == "rmse"
        await pilot.pause()
        assert app.table.sorts == (Sort("rmse"),)
        assert app.table.shown_rows[0].id == "r99"
        assert "rmse ↑" in app.lines()[0]
        await pilot.press("s")
        assert app.table.sorts == (Sort("rmse", descending=True),)
        await pilot.press("s")
        await pilot.pause()
        assert app.table.sorts == ()
        assert len(app.of_kind(VirtualTable.SortChanged)) == 3
        await pilot.press("l", "s")
        assert app.table.sorts == (Sort("depth", descending=True),)
        await pilot.press("h", "S")
        assert app.table.sorts == (Sort("depth", descending=True), Sort("rmse"))

    drive(app, script)


def test_a_column_that_is_not_sortable_is_not_sorted(drive: Drive, table_app: Any) -> None:
    app = table_app(columns=[Column("name", "name", sortable=False), *table_app.COLUMNS[1:]])

    async def script(pilot: Pilot[None]) -> None:
        await pilot.press("right", "s")
        assert app.table.current_column == "name"
        assert app.table.sorts == ()

    drive(app, script)


def test_a_filter_is_typed_kept_and_cleared(drive: Drive, table_app: Any) -> None:
    app = table_app()

    async def script(pilot: Pilot[None]) -> None:
        await pilot.press("pagedown", "slash", *"RUN-9")
        await pilot.pause()
        assert isinstance(app.focused, Input)
        assert app.table.filter_text == "RUN-9"
        assert app.table.row_count == 11
        assert "11 of 100 shown" in app.lines()[-1]
        assert app.of_kind(VirtualTable.FilterChanged)[-1].shown == 11
        await pilot.press("enter")
        await pilot.pause()
        assert app.focused is app.table
        assert app.table.row_count == 11
        await pilot.press("down", "escape")
        await pilot.pause()
        assert app.table.filter_text == ""
        assert app.table.row_count == 100
        assert not app.query_one(TableFilter).display

    drive(app, script)


def test_after_a_filter_the_cursor_is_back_on_its_row(drive: Drive, table_app: Any) -> None:
    app = table_app()

    async def script(pilot: Pilot[None]) -> None:
        await pilot.press("down", "down", "down", "slash", *"run-99")
        await pilot.pause()
        assert app.table.cursor_id == "r99"
        await pilot.press("escape")
        await pilot.pause()
        assert app.table.cursor_id == "r3"
        assert app.focused is app.table

    drive(app, script)


def test_a_filter_that_matches_nothing_says_so(drive: Drive, table_app: Any) -> None:
    app = table_app()

    async def script(pilot: Pilot[None]) -> None:
        app.table.set_filter("[bold]nothing[/]")
        await pilot.pause()
        assert "nothing matches “[bold]nothing[/]”" in app.lines()[1]
        app.table.set_rows([])
        app.table.set_filter("")
        await pilot.pause()
        assert "nothing here yet" in app.lines()[1]

    drive(app, script)


def test_an_outside_filter_is_typed_and_its_mistakes_are_shown(drive: Drive, table_app: Any) -> None:
    app = table_app()

    async def script(pilot: Pilot[None]) -> None:
        await pilot.press("slash", *"rmse < 3")
        await pilot.pause()
        assert [run.rmse for run in app.table.shown_rows] == [2.0, 1.0]
        await pilot.press("x")
        await pilot.pause()
        assert [run.rmse for run in app.table.shown_rows] == [2.0, 1.0]
        assert app.table.save_state().filter == "rmse < 3"
        problem = app.query_one(".-problem")
        assert "a number is missing" in str(problem.render())

    drive(app, script)


def test_the_beginning_of_an_expression_is_no_word_to_search_for(drive: Drive, table_app: Any) -> None:
    app = table_app()

    async def script(pilot: Pilot[None]) -> None:
        await pilot.press("slash", *"rmse")
        assert app.table.row_count == 0
        await pilot.press("space", "less_than_sign")
        assert app.table.row_count == 100
        await pilot.press("space", "3")
        assert app.table.row_count == 2

    drive(app, script)
