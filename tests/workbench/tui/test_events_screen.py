"""Screen 7: the audit trail and the log, followed and filtered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from store.journal import append_event
from store.layout import Layout
from workbench.desk.place import find_place
from workbench.tui.app import WorkbenchApp
from workbench.tui.screens.events import EventsScreen

Settled = Callable[[Pilot[Any]], Awaitable[None]]


def events_of(app: Any) -> EventsScreen:
    screen = app.screen
    assert isinstance(screen, EventsScreen)
    return screen


def test_the_newest_event_is_followed_until_one_moves_away(
    shop: Path, drive: Callable[..., None], settled: Settled
) -> None:
    layout = Layout.of(shop).ensure()
    for number in range(40):
        append_event(layout, "promoted", model="churn", from_=number, to=number + 1, reason=f"[b]{number}")

    async def script(pilot: Pilot[Any]) -> None:
        await settled(pilot)
        await pilot.press("7")
        await settled(pilot)
        screen = events_of(pilot.app)
        assert screen.table.cursor_index == 39
        append_event(layout, "rolled_back", model="churn", from_=40, to=39)
        screen.look()
        await settled(pilot)
        assert screen.table.cursor_row.what == "rolled back"
        await pilot.press("up")
        append_event(layout, "archived", model="churn")
        screen.look()
        await settled(pilot)
        assert screen.table.cursor_row.reason == "[b]39"
        assert screen.table.row_count == 42
        await pilot.press("f")
        assert screen.table.cursor_row.what == "archived"

    drive(WorkbenchApp(find_place(shop)), script)


def test_the_trail_is_filtered_and_an_event_is_shown_in_full(
    shop: Path, drive: Callable[..., None], settled: Settled
) -> None:
    layout = Layout.of(shop).ensure()
    append_event(layout, "gate", model="churn", details={"accepted": True, "rows": 412})
    append_event(layout, "promoted", model="spend", to=1)

    async def script(pilot: Pilot[Any]) -> None:
        await settled(pilot)
        await pilot.press("7")
        await settled(pilot)
        screen = events_of(pilot.app)
        await pilot.press("slash", *"gate", "enter")
        assert screen.table.row_count == 1
        await pilot.press("enter")
        assert screen.page.has_focus
        assert screen.page._shown is not None
        assert "412" in screen.page._shown.plain
        await pilot.press("escape")
        assert screen.table.has_focus

    drive(WorkbenchApp(find_place(shop)), script)


def test_the_log_takes_the_trails_place(shop: Path, drive: Callable[..., None], settled: Settled) -> None:
    layout = Layout.of(shop).ensure()
    (layout.run / "watch.log").write_text("new file data/1.csv\nERROR: no room\n")

    async def script(pilot: Pilot[Any]) -> None:
        await settled(pilot)
        await pilot.press("7", "t")
        await settled(pilot)
        screen = events_of(pilot.app)
        assert [screen.table.row_count, screen.table.cursor_row.text] == [2, "ERROR: no room"]
        assert screen.remember()["shows_log"] is True
        await pilot.press("t")
        await settled(pilot)
        assert screen.table.id == "trail"
        assert screen.table.row_count == 0

    drive(WorkbenchApp(find_place(shop)), script)
