"""A table by the mouse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from textual.pilot import Pilot

from workbench.tui.widgets.table import Sort, VirtualTable

Drive = Callable[..., None]


def test_a_click_moves_a_double_click_selects_and_the_gutter_marks(drive: Drive, table_app: Any) -> None:
    app = table_app()

    async def script(pilot: Pilot[None]) -> None:
        await pilot.click(app.table, offset=(10, 4))
        assert app.table.cursor_id == "r3"
        await pilot.click(app.table, offset=(1, 6))
        assert app.table.marks == {"r5"}
        await pilot.click(app.table, offset=(10, 8), control=True)
        assert app.table.marks == {"r5", "r7"}
        await pilot.click(app.table, offset=(10, 9), shift=True)
        assert app.table.marks == {"r5", "r7", "r8"}
        assert not app.of_kind(VirtualTable.RowSelected)
        await pilot.click(app.table, offset=(10, 2), times=2)
        await pilot.pause()
        assert [message.row_id for message in app.of_kind(VirtualTable.RowSelected)] == ["r1"]

    drive(app, script)


def test_a_click_on_a_title_sorts(drive: Drive, table_app: Any) -> None:
    app = table_app()

    async def script(pilot: Pilot[None]) -> None:
        await pilot.click(app.table, offset=(20, 0))
        assert app.table.sorts == (Sort("rmse"),)
        await pilot.click(app.table, offset=(20, 0))
        assert app.table.sorts == (Sort("rmse", descending=True),)
        await pilot.click(app.table, offset=(5, 0), shift=True)
        assert app.table.sorts == (Sort("rmse", descending=True), Sort("name"))

    drive(app, script)


def test_titles_are_dragged_to_resize_and_to_move(drive: Drive, table_app: Any) -> None:
    app = table_app()

    async def script(pilot: Pilot[None]) -> None:
        await pilot.mouse_down(app.table, offset=(15, 0))
        await pilot.hover(app.table, offset=(18, 0))
        await pilot.mouse_up(app.table, offset=(18, 0))
        assert app.table.arrangement.widths == {"name": 15}
        assert app.table.sorts == ()
        await pilot.mouse_down(app.table, offset=(5, 0))
        await pilot.mouse_up(app.table, offset=(24, 0))
        await pilot.pause()
        assert app.lines()[0].split() == ["rmse", "name", "depth", "note"]
        assert app.table.sorts == ()

    drive(app, script)


def test_the_wheel_scrolls_rows_and_with_shift_columns(drive: Drive, table_app: Any) -> None:
    app = table_app()

    async def script(pilot: Pilot[None]) -> None:
        wheel = pilot._post_mouse_events
        from textual import events

        await wheel([events.MouseScrollDown], app.table, offset=(5, 5))
        await pilot.pause()
        assert app.lines()[1][3:].startswith("run-3 ")
        assert app.table.cursor_id == "r0"
        await wheel([events.MouseScrollUp], app.table, offset=(5, 5))
        await pilot.pause()
        assert app.lines()[1].startswith("▸  run-0 ")
        await wheel([events.MouseScrollDown], app.table, offset=(5, 5), shift=True)
        await pilot.pause()
        assert "rmse" not in app.lines()[0]
        await wheel([events.MouseScrollLeft], app.table, offset=(5, 5))
        await pilot.pause()
        assert "rmse" in app.lines()[0]
        await wheel([events.MouseScrollRight], app.table, offset=(5, 5))
        await pilot.pause()
        assert "rmse" not in app.lines()[0]

    drive(app, script, size=(44, 12))


def test_the_scrollbar_is_dragged(drive: Drive, table_app: Any) -> None:
    app = table_app()

    async def script(pilot: Pilot[None]) -> None:
        assert [line.endswith("▐") for line in app.lines()[1:6]] == [True, True, True, True, False]
        await pilot.mouse_down(app.table, offset=(79, 2))
        await pilot.hover(app.table, offset=(79, 22))
        await pilot.pause()
        assert app.lines()[22].endswith("▐")
        assert "run-99" in app.lines()[22]
        await pilot.mouse_up(app.table, offset=(79, 22))
        await pilot.hover(app.table, offset=(79, 2))
        await pilot.pause()
        assert "run-99" in app.lines()[22]
        assert app.table.cursor_id == "r0"

    drive(app, script)
