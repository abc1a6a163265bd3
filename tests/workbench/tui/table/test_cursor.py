"""The cursor and the marks of a table, by keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from textual.pilot import Pilot

from workbench.tui.widgets.table import Sort, VirtualTable

Drive = Callable[..., None]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (["down"], "r1"),
        (["j", "j"], "r2"),
        (["down", "down", "up"], "r1"),
        (["j", "j", "k", "k", "k"], "r0"),
        (["end"], "r99"),
        (["G", "home"], "r0"),
        (["G", "g"], "r0"),
        (["G", "down"], "r99"),
        (["pagedown"], "r21"),
        (["ctrl+f", "ctrl+f"], "r42"),
        (["pagedown", "pageup"], "r0"),
        (["ctrl+f", "ctrl+b"], "r0"),
        (["ctrl+d"], "r10"),
        (["G", "ctrl+u"], "r89"),
    ],
)
def test_keys_move_the_cursor(drive: Drive, table_app: Any, keys: list[str], expected: str) -> None:
    app = table_app()

    async def script(pilot: Pilot[None]) -> None:
        await pilot.press(*keys)
        await pilot.pause()
        assert app.table.cursor_id == expected
        cursor_lines = [line for line in app.lines() if line.startswith("▸")]
        assert len(cursor_lines) == 1
        assert f"run-{expected[1:]} " in cursor_lines[0]
        assert app.of_kind(VirtualTable.RowHighlighted)[-1].row_id == expected

    drive(app, script)


def test_enter_selects_the_row(drive: Drive, table_app: Any) -> None:
    app = table_app()

    async def script(pilot: Pilot[None]) -> None:
        await pilot.press("down", "enter")
        await pilot.pause()
        (selected,) = app.of_kind(VirtualTable.RowSelected)
        assert (selected.row_id, selected.row.name, selected.control) == ("r1", "run-1", app.table)

    drive(app, script)


def test_the_cursor_stays_on_its_row_through_sorts_and_refreshes(drive: Drive, table_app: Any) -> None:
    app = table_app()

    async def script(pilot: Pilot[None]) -> None:
        await pilot.press("pagedown", "pagedown", "up")
        line = (app.table.cursor_index or 0) - round(app.table.scroll_y)
        app.table.set_rows([table_app.Run("new", "new"), *table_app.runs()])
        await pilot.pause()
        assert app.table.cursor_id == "r41"
        assert (app.table.cursor_index or 0) - round(app.table.scroll_y) == line
        app.table.sort_by(Sort("rmse"))
        await pilot.pause()
        assert app.table.cursor_id == "r41"
        assert any(text.startswith("▸  run-41 ") for text in app.lines())
        app.table.set_rows(run for run in table_app.runs() if run.id != "r41")
        assert app.table.cursor_id != "r41"
        app.table.set_rows(table_app.runs())
        assert app.table.cursor_id == "r41"
        app.table.set_rows([])
        assert app.table.cursor_id is None
        await pilot.press("down", "enter", "space", "s", "G")
        app.table.set_rows(table_app.runs())
        assert app.table.cursor_id == "r41"

    drive(app, script)


def test_a_row_can_be_gone_to(drive: Drive, table_app: Any) -> None:
    app = table_app()

    async def script(pilot: Pilot[None]) -> None:
        assert app.table.move_cursor("r70")
        await pilot.pause()
        assert app.table.cursor_row == table_app.runs()[70]
        assert not app.table.move_cursor("odd")
        assert any(line.startswith("▸  run-70") for line in app.lines())

    drive(app, script)


def test_space_marks_and_unmarks(drive: Drive, table_app: Any) -> None:
    app = table_app()

    async def script(pilot: Pilot[None]) -> None:
        await pilot.press("space", "down", "down", "space")
        await pilot.pause()
        assert app.table.marks == {"r0", "r2"}
        assert [run.id for run in app.table.marked_rows] == ["r0", "r2"]
        assert app.lines()[1].startswith(" ◆ run-0")
        assert app.lines()[-1].startswith("2 marked")
        await pilot.press("space")
        assert app.table.marks == {"r0"}
        await pilot.pause()
        assert [message.marks for message in app.of_kind(VirtualTable.MarksChanged)] == [
            {"r0"},
            {"r0", "r2"},
            {"r0"},
        ]

    drive(app, script)


@pytest.mark.parametrize(
    ("keys", "marked"),
    [
        (["shift+down", "shift+down"], {"r0", "r1", "r2"}),
        (["J", "J"], {"r0", "r1", "r2"}),
        (["down", "down", "K"], {"r1", "r2"}),
        (["down", "shift+up"], {"r0", "r1"}),
        (["ctrl+a"], {"r0", "r1", "r2", "r3"}),
        (["space", "asterisk"], {"r1", "r2", "r3"}),
        (["ctrl+a", "u"], set()),
    ],
)
def test_keys_mark_many_rows(drive: Drive, table_app: Any, keys: list[str], marked: set[str]) -> None:
    app = table_app(table_app.runs(4))

    async def script(pilot: Pilot[None]) -> None:
        await pilot.press(*keys)
        assert app.table.marks == marked

    drive(app, script)


def test_marks_end_with_their_rows_and_outlive_everything_else(drive: Drive, table_app: Any) -> None:
    app = table_app(table_app.runs(4))

    async def script(pilot: Pilot[None]) -> None:
        app.table.set_marks({"r0", "r3", "not here yet"})
        app.table.set_rows(table_app.runs(4)[:3])
        assert app.table.marks == {"r0", "not here yet"}
        app.table.set_filter("run-2")
        app.table.sort_by(Sort("name"))
        assert app.table.marks == {"r0", "not here yet"}

    drive(app, script)


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (10, 3), (300, 5)])
def test_any_size_can_be_drawn(drive: Drive, table_app: Any, size: tuple[int, int]) -> None:
    app = table_app()

    async def script(pilot: Pilot[None]) -> None:
        await pilot.press("down", "G", "right", "s", "pagedown")
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        assert any(line.startswith("▸") for line in app.lines())

    drive(app, script, size=size)


def test_keys_have_ids_that_a_keymap_can_change() -> None:
    ids = [binding.id for binding in VirtualTable.BINDINGS]  # type: ignore[union-attr]
    assert all(ids)
    assert len(set(ids)) == len(ids)
