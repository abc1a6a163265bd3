"""What of a table is sent when something has changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from textual.pilot import Pilot

Drive = Callable[..., None]


def test_at_rest_and_with_equal_rows_nothing_is_sent(drive: Drive, table_app: Any) -> None:
    app = table_app()

    async def script(pilot: Pilot[None]) -> None:
        await pilot.pause()
        app.table.sent = []
        app.table.set_rows(table_app.runs())
        await pilot.pause()
        assert app.table.sent == []

    drive(app, script)


def test_one_cell_that_changed_sends_one_part_of_one_line(drive: Drive, table_app: Any) -> None:
    app = table_app()

    async def script(pilot: Pilot[None]) -> None:
        app.table.sent = []
        changed = table_app.runs()
        changed[3] = replace(changed[3], rmse=98.5)
        app.table.set_rows(changed)
        await pilot.pause()
        (region,) = app.table.sent
        assert (region.y, region.height) == (4, 1)
        assert region.width <= 4

    drive(app, script)


def test_moving_the_cursor_sends_two_lines(drive: Drive, table_app: Any) -> None:
    app = table_app()

    async def script(pilot: Pilot[None]) -> None:
        await pilot.press("down")
        await pilot.pause()
        app.table.sent = []
        await pilot.press("down")
        await pilot.pause()
        assert {region.y for region in app.table.sent} == {2, 3}

    drive(app, script)


def test_more_rows_send_the_new_line_and_the_status(drive: Drive, table_app: Any) -> None:
    app = table_app(table_app.runs(5))

    async def script(pilot: Pilot[None]) -> None:
        app.table.sent = []
        app.table.set_rows([*table_app.runs(5), table_app.Run("new", "new")])
        await pilot.pause()
        assert {region.y for region in app.table.sent} == {6, 23}

    drive(app, script)
