"""What every screen has: opening, keys, help, palette, errors, quitting."""

from __future__ import annotations

import time

import pytest
from textual.command import CommandList
from textual.widgets import Static

from serve.control import ServerInfo
from store.errors import StorageError
from store.layout import Layout
from workbench.desk.data_changes import keep_watch
from workbench.desk.desk import open_desk
from workbench.desk.live import Live
from workbench.desk.place import find_place
from workbench.tui.actions import SCREENS, all_actions
from workbench.tui.app import WorkbenchApp
from workbench.tui.frame.dialogs import ChoiceDialog
from workbench.tui.frame.report import ReportScreen
from workbench.tui.frame.title import TitleLine


@pytest.fixture
def on_shop(shop, drive, settled):
    def run(script, size=(120, 36), place=None, **options):
        app = WorkbenchApp(find_place(place or shop), **options)

        async def session(pilot):
            await settled(pilot)
            await script(app, pilot)

        drive(app, session, size)
        return app

    return run


def text_of(screen):
    return "\n".join(str(static.render()) for static in screen.query(Static))


def test_no_two_actions_have_the_same_name_and_each_screen_has_its_verbs():
    ids = [action.id for action in all_actions()]
    assert len(ids) == len(set(ids))
    from importlib import import_module

    for entry in SCREENS.values():
        screen = getattr(import_module(f"workbench.tui.screens.{entry.module}"), entry.class_name)
        for action in entry.actions:
            assert hasattr(screen, f"action_{action.verb.partition('(')[0]}"), action.id


def test_no_screen_binds_a_key_twice_or_one_that_works_everywhere():
    everywhere = {key for action in all_actions() if action.screen == "app" for key in action.keys.split(",")}
    for entry in SCREENS.values():
        keys = [key for action in entry.actions for key in action.keys.split(",")]
        assert len(keys) == len(set(keys)), entry.name
        assert not everywhere & set(keys), entry.name


def test_every_screen_opens_on_its_key_and_the_title_says_which(on_shop, settled):
    async def script(app, pilot):
        for entry in SCREENS.values():
            await pilot.press(entry.key)
            await settled(pilot)
            assert entry.name == app.screen.NAME

    on_shop(script)


def test_the_help_names_every_action_of_the_screen(on_shop):
    async def script(app, pilot):
        await pilot.press("question_mark")
        assert isinstance(app.screen, ReportScreen)
        shown = text_of(app.screen)
        for action in ("runs.delete", "runs.promote", "table.filter", "app.quit"):
            assert action in shown
        await pilot.press("escape")
        assert app.screen.NAME == "runs"

    on_shop(script)


def test_the_palette_finds_an_action_by_its_words(on_shop, settled):
    async def script(app, pilot):
        await pilot.press("ctrl+p")
        await pilot.pause()
        await pilot.press(*"show the deleted")
        deadline = time.monotonic() + 60
        while not app.screen.query_one(CommandList).option_count:
            assert time.monotonic() < deadline
            await pilot.pause(0.02)
        await pilot.press("enter")
        await settled(pilot)
        assert "deleted" in str(app.screen.query_one("#main").border_title)

    on_shop(script)


def test_keys_can_be_changed_and_a_misspelt_action_is_told(on_shop, shop, settled):
    (shop / "workbench.toml").write_text(
        '[project]\nname = "shop"\n[ui.keys]\n"runs.experiments" = "x"\n"runs.delte" = "z"\n'
    )

    async def script(app, pilot):
        await pilot.press("x")
        await pilot.pause()
        assert app.screen.has_class("-experiments")
        assert any("runs.delete" in notification.message for notification in app._notifications)

    on_shop(script)


def test_below_the_smallest_size_it_says_so_and_comes_back(on_shop):
    async def script(app, pilot):
        await pilot.resize_terminal(50, 12)
        await pilot.pause()
        assert app.screen.query_one("#too-small").display
        assert not app.screen.query_one("#body").display
        await pilot.resize_terminal(60, 15)
        await pilot.pause()
        assert app.screen.query_one("#body").display

    on_shop(script)


def test_an_error_with_a_hint_is_a_toast_and_one_nobody_foresaw_a_report(on_shop, settled):
    async def script(app, pilot):
        def refused():
            raise StorageError("the disk is [red]full", "Free some.")

        def crashed():
            raise ZeroDivisionError("in a worker")

        app.screen.ask("one", refused, lambda _: None)
        await settled(pilot)
        assert any("the disk is [red]full. Free some." in n.message for n in app._notifications)
        app.screen.ask("two", crashed, lambda _: None)
        await settled(pilot)
        assert isinstance(app.screen, ReportScreen)
        assert "ZeroDivisionError" in text_of(app.screen)
        await pilot.press("escape")
        assert app.screen.NAME == "runs"

    on_shop(script)


def test_only_the_answer_to_the_last_question_counts(on_shop, settled):
    import threading

    async def script(app, pilot):
        first, told = threading.Event(), []
        app.screen.ask("topic", lambda: first.wait(60) and "stale", told.append)
        app.screen.ask("topic", lambda: "fresh", told.append)
        while not told:
            await pilot.pause(0.01)
        first.set()
        await settled(pilot)
        assert told == ["fresh"]

    on_shop(script)


@pytest.mark.parametrize(
    ("owns", "on_quit", "keys", "stops"),
    [
        (False, "ask", ["q"], False),
        (True, "stop", ["q"], True),
        (True, "leave", ["ctrl+c"], False),
        (True, "ask", ["q", "y"], True),
        (True, "ask", ["ctrl+c", "l"], False),
        (True, "ask", ["q", "n", "q", "escape", "q", "y"], True),
    ],
)
def test_quitting_asks_about_a_server_that_was_started_here(on_shop, shop, owns, on_quit, keys, stops):
    (shop / "workbench.toml").write_text(
        f'[project]\nname = "shop"\n[ui]\nrefresh = 3600\non_quit = "{on_quit}"\n'
    )
    from datetime import UTC, datetime

    server = ServerInfo("http://127.0.0.1:8000", "127.0.0.1", 8000, 1, datetime.now(UTC))

    async def script(app, pilot):
        app.live = Live(server)
        await pilot.press(*keys)
        assert not isinstance(app.screen, ChoiceDialog)

    app = on_shop(script, owns_server=owns)
    assert app.return_value is not None
    assert app.return_value.stop_server is stops


def test_a_timer_that_comes_while_the_app_closes_is_nothing(on_shop, settled):
    async def script(app, pilot):
        await settled(pilot)
        await app._close_all()
        assert not app.screen_stack
        app._look()

    on_shop(script)


def test_the_data_is_watched_from_when_the_ui_opens_until_quitting_says(drive, shop, settled):
    from workbench.watching import running_watcher, stop_watcher

    settings = '[project]\nname = "shop"\n[pipelines.p]\ndata = "in"\ntarget = "y"\n'
    (shop / "workbench.toml").write_text(settings)
    (shop / "in").mkdir()
    layout = Layout.of(shop)
    app = WorkbenchApp(find_place(shop), keeps_watch=True)

    async def script(pilot):
        deadline = time.monotonic() + 60
        while app.live.watched is None:
            assert time.monotonic() < deadline
            await pilot.pause(0.1)
        assert "◉ watching 1" in str(app.screen.query_one(TitleLine).render())
        await pilot.press("q")
        assert isinstance(app.screen, ChoiceDialog)
        assert app.screen._title == "the watcher was started here"
        await pilot.press("y")

    try:
        drive(app, script)
        assert (app.return_value.stop_server, app.return_value.stop_watcher) == (False, True)
        assert running_watcher(layout) is not None
    finally:
        stop_watcher(layout)

    (shop / "workbench.toml").write_text(settings + "[ui]\nwatch = false\n")
    assert keep_watch(open_desk(find_place(shop))) is None


def test_a_place_with_nothing_offers_a_project_and_the_demo(on_shop, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()

    async def demo(app, pilot):
        assert "Nothing is in" in text_of(app.screen)
        await pilot.press("d")

    assert on_shop(demo, place=empty).return_value.next_command == ("demo",)

    async def init(app, pilot):
        await pilot.press("i", *"a.csv", "enter", *"price", "enter")

    assert on_shop(init, place=empty).return_value.next_command == ("init", "a.csv", "price")


def test_a_bare_store_is_browsed_and_nothing_of_ours_is_written_into_it(on_shop, shop, tmp_path):
    (shop / "workbench.toml").unlink()
    before = sorted(path for path in (shop / "mlruns").rglob("*"))

    async def script(app, pilot):
        assert len(app.screen.table.rows) == 5

    on_shop(script, place=shop / "mlruns")
    assert sorted(path for path in (shop / "mlruns").rglob("*")) == before
    assert not (shop / ".workbench").exists()


def test_settings_that_are_wrong_end_it_with_one_line(drive, shop):
    (shop / "workbench.toml").write_text('[project]\nname = "shop"\n[ui]\nthem = "nord"\n')
    app = WorkbenchApp(find_place(shop))

    async def script(pilot):
        await app.workers.wait_for_complete()
        await pilot.pause(0.1)

    drive(app, script)
    assert app.return_value.exit_code == 2
