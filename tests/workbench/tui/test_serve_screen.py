"""The Serve screen, by its keys, with a real server."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from serve.control import ServerInfo, running_server, start_background, stop_server
from store import background
from store.layout import Layout
from workbench.desk.place import find_place
from workbench.tui.app import WorkbenchApp
from workbench.tui.frame.dialogs import ConfirmDialog
from workbench.tui.frame.report import ReportScreen
from workbench.tui.screens.serve import ServeScreen
from workbench.tui.screens.try_dialog import TryDialog

Settle = Callable[..., Awaitable[None]]
Script = Callable[[Pilot[Any], ServeScreen], Awaitable[None]]


@pytest.fixture
def layout(project: Path) -> Iterator[Layout]:
    """Of a project whose server takes a free port; a server left behind is ended."""
    with (project / "workbench.toml").open("a") as settings:
        settings.write("\n[serve]\nport = 0\nreload_seconds = 0.1\n")
    layout = Layout.of(project)
    yield layout
    stop_server(layout)


@pytest.fixture
def on_serve(
    project: Path, layout: Layout, drive: Callable[..., None], settle: Settle
) -> Callable[[Script], None]:
    """Opens the screen and lets a script press keys."""

    def run(script: Script, size: tuple[int, int] = (100, 30)) -> None:
        async def session(pilot: Pilot[Any]) -> None:
            await settle(pilot)
            await pilot.press("5")
            await settle(pilot)
            screen = pilot.app.screen
            assert isinstance(screen, ServeScreen)
            await script(pilot, screen)

        drive(WorkbenchApp(find_place(project)), session, size)

    return run


@pytest.fixture
def server(project: Path, layout: Layout, add_model: Callable[..., str]) -> ServerInfo:
    """A server that was started elsewhere."""
    add_model()
    return start_background(project)


def said(screen: ServeScreen) -> str:
    return "\n".join(content.plain for content in screen._texts)


def test_off_is_said_with_the_key_that_starts_it(on_serve: Any) -> None:
    async def script(pilot: Pilot[Any], screen: ServeScreen) -> None:
        assert "○ off  o starts it" in said(screen)
        assert not screen.query_one("#traffic").display
        assert not screen.is_available("try_one")
        assert not screen.is_available("detach")

    on_serve(script)


def test_declining_starts_nothing(on_serve: Any, settle: Settle, layout: Layout) -> None:
    async def script(pilot: Pilot[Any], screen: ServeScreen) -> None:
        await pilot.press("o")
        await settle(pilot)
        assert isinstance(pilot.app.screen, ConfirmDialog)
        await pilot.press("n")
        await settle(pilot)
        assert running_server(layout) is None

    on_serve(script)


def test_read_only_has_no_switch(on_serve: Any, settle: Settle, project: Path) -> None:
    with (project / "workbench.toml").open("a") as settings:
        settings.write("\n[ui]\nread_only = true\n")

    async def script(pilot: Pilot[Any], screen: ServeScreen) -> None:
        await pilot.press("o")
        await settle(pilot)
        assert pilot.app.screen is screen

    on_serve(script)


@pytest.mark.slow
def test_the_switch_starts_and_stops_after_asking(
    on_serve: Any, settle: Settle, shown: Settle, layout: Layout, add_model: Callable[..., str]
) -> None:
    add_model()

    async def script(pilot: Pilot[Any], screen: ServeScreen) -> None:
        await pilot.press("o")
        await settle(pilot)
        await pilot.press("y")
        await settle(pilot)
        server = running_server(layout)
        assert server is not None
        await shown(pilot, lambda: screen.served.row_count)
        assert server.url in said(screen)
        assert "started here" in said(screen)
        assert [(row.name, row.version, row.status) for row in screen.served.rows] == [
            ("churn", 1, "serving")
        ]
        assert screen.desk.owns_server

        await pilot.press("d")
        await settle(pilot)
        assert not screen.desk.owns_server
        await shown(pilot, lambda: "goes on when this UI ends" in said(screen))

        await pilot.press("o")
        await settle(pilot)
        assert isinstance(pilot.app.screen, ConfirmDialog)
        await pilot.press("y")
        await settle(pilot)
        assert running_server(layout) is None
        await shown(pilot, lambda: "○ off" in said(screen))

    on_serve(script)


@pytest.mark.slow
def test_a_server_that_cannot_start_leaves_the_screen_usable(
    on_serve: Any, settle: Settle, layout: Layout, project: Path
) -> None:
    settings = project / "workbench.toml"
    settings.write_text(settings.read_text().replace("port = 0", 'port = 0\nhost = "256.1.1.1"'))

    async def script(pilot: Pilot[Any], screen: ServeScreen) -> None:
        await pilot.press("o")
        await settle(pilot)
        await pilot.press("y")
        await settle(pilot)
        assert "○ off" in said(screen)
        assert screen.is_available("switch")
        assert any("256" in toast.message for toast in pilot.app._notifications)

    on_serve(script)


@pytest.mark.slow
def test_one_is_tried_in_a_form_and_logged(
    on_serve: Any, settle: Settle, shown: Settle, server: ServerInfo
) -> None:
    async def script(pilot: Pilot[Any], screen: ServeScreen) -> None:
        await shown(pilot, lambda: screen.served.row_count)
        await pilot.press("t")
        await settle(pilot)
        dialog = pilot.app.screen
        assert isinstance(dialog, TryDialog)
        assert dialog.texts == {"age": "42", "orders": "5"}
        await pilot.press("down", *"7", "enter")
        await settle(pilot)
        answer = str(dialog.query_one(".-answer").visual)
        assert "prediction" in answer
        assert "churn v1" in answer

        dialog.query(Input).first().value = "200"
        await pilot.press("enter")
        await settle(pilot)
        hint = dialog.query(".-hint").first()
        assert hint.has_class("-wrong")
        assert dialog.query(Input).first().has_focus

        await pilot.press("escape")
        await settle(pilot)
        await shown(pilot, lambda: screen.recent.rows)
        assert screen.recent.rows[0].features["orders"] == 7.0
        await shown(pilot, lambda: screen._state.counters.total.invalid == 1)
        await pilot.press("t")
        await settle(pilot)
        assert isinstance(pilot.app.screen, TryDialog)
        assert pilot.app.screen.texts == {"age": "200", "orders": "7"}

    on_serve(script)


@pytest.mark.slow
def test_a_server_that_dies_is_seen_at_the_next_look(
    on_serve: Any, shown: Settle, server: ServerInfo
) -> None:
    async def script(pilot: Pilot[Any], screen: ServeScreen) -> None:
        await shown(pilot, lambda: screen.served.row_count)
        assert server.url in said(screen)
        assert not screen._state.is_ours
        os.kill(server.pid, signal.SIGKILL)
        if (child := background._children.pop(server.pid, None)) is not None:
            child.wait()
        await shown(pilot, lambda: "○ off" in said(screen))
        assert screen.served.row_count == 0

    on_serve(script)


@pytest.mark.slow
def test_the_log_is_shown(on_serve: Any, settle: Settle, server: ServerInfo) -> None:
    async def script(pilot: Pilot[Any], screen: ServeScreen) -> None:
        await pilot.press("v")
        await settle(pilot)
        assert isinstance(pilot.app.screen, ReportScreen)
        assert "churn version 1 is in service" in pilot.app.screen._text.plain
        await pilot.press("escape")
        assert pilot.app.screen is screen

    on_serve(script)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(60, 15), (80, 24), (200, 60)])
def test_it_fits_every_size(on_serve: Any, server: ServerInfo, size: tuple[int, int]) -> None:
    async def script(pilot: Pilot[Any], screen: ServeScreen) -> None:
        assert screen.query_one("#rate").display == (size[1] >= 22)
        shown = [widget for widget in screen.query("#served, #recent, #rate") if widget.display]
        for widget in shown:
            assert widget.size.width >= 40
            assert widget.size.height >= 2
            assert screen.region.contains_region(widget.region)

    on_serve(script, size)
