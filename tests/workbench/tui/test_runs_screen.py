"""Screen 1: what it shows, how it follows the store, and every action of it."""

from __future__ import annotations

import shutil

import pytest
from textual.content import Content

from store.file_registry import FileRegistry
from store.file_runs import FileRunStore
from store.journal import read_events
from store.layout import Layout
from workbench.desk.place import find_place
from workbench.tui.app import WorkbenchApp
from workbench.tui.frame.dialogs import ConfirmDialog, PromptDialog
from workbench.tui.widgets.chart import Chart

SIZES = [(80, 24), (120, 36), (200, 60)]


def names(app):
    return [run.name for run in app.screen.table.shown_rows]


@pytest.fixture
def on_runs(shop, drive, settled):
    """Runs a script on the Runs screen of the shop, once everything is there."""

    def run(script, size=(120, 36)):
        app = WorkbenchApp(find_place(shop))

        async def session(pilot):
            await settled(pilot)
            await script(app, pilot)

        drive(app, session, size)
        return app

    return run


@pytest.mark.parametrize("size", SIZES)
def test_it_looks_as_it_should(shop, snap_compare, settled, size):
    assert snap_compare(WorkbenchApp(find_place(shop)), terminal_size=size, run_before=settled)


def test_runs_stand_newest_first_and_markup_in_a_name_is_only_text(on_runs):
    async def script(app, pilot):
        assert names(app) == ["lasso [bold]", "ridge", "boosting", "forest", "tree"]

    on_runs(script)


def test_markup_in_a_name_is_only_text_in_titles_too(on_runs, settled, shop):
    FileRunStore(shop / "mlruns").rename("e" * 32, "[/odd] [bold]")

    async def script(app, pilot):
        assert Content.from_markup(app.screen.query_one("#details").border_title).plain == "[/odd] [bold]"
        await pilot.press("space", "down", "space", "c")
        await settled(pilot)
        against = Content.from_markup(app.screen.query_one("#table-frame").border_title).plain
        assert against == "differences · against [/odd] [bold]"

    on_runs(script)


def test_a_filter_takes_words_or_mlflows_language(on_runs, settled):
    async def script(app, pilot):
        await pilot.press("slash", *"tree")
        assert names(app) == ["tree"]
        await pilot.press("escape")
        assert len(names(app)) == 5
        app.screen.table.filter_bar.show_text("metrics.roc_auc > 0.92 and params.max_depth = '8'")
        assert names(app) == ["forest"]
        app.screen.table.filter_bar.show_text("metrics.roc_auc >")
        assert names(app) == ["forest"], "half an expression leaves the rows as they are"

    on_runs(script)


def curve_of(app, name):
    table = app.screen.table
    column = next(column for column in table.columns if column.key == "curve")
    return column.get(next(run for run in table.rows if run.name == name))


def test_a_run_in_sight_has_the_curve_of_its_metric(on_runs, settled, shop):
    async def script(app, pilot):
        assert "curve" in [column.key for column in app.screen.table._shown_columns()]
        assert curve_of(app, "boosting") == (0.9, 0.6, 0.4, 0.3, 0.21)
        assert curve_of(app, "tree") is None
        log_loss = shop / "mlruns" / "101" / ("c" * 32) / "metrics" / "log_loss"
        log_loss.write_text(log_loss.read_text() + "1700000009000 0.1 5\n")
        app.screen.look_again()
        await settled(pilot)
        assert curve_of(app, "boosting") == (0.9, 0.6, 0.4, 0.3, 0.21, 0.1)

    on_runs(script, size=(200, 60))


def test_curves_that_are_out_of_sight_are_not_read(on_runs, settled):
    async def script(app, pilot):
        assert curve_of(app, "boosting") is None
        await pilot.press("v")
        await settled(pilot)
        assert curve_of(app, "boosting") is not None

    on_runs(script)


def test_without_curves_there_is_no_column_for_them(shop, drive, settled):
    shutil.rmtree(shop / "mlruns" / "101" / ("c" * 32))
    app = WorkbenchApp(find_place(shop))

    async def script(pilot):
        await settled(pilot)
        assert "curve" not in [column.key for column in app.screen.table._shown_columns()]

    drive(app, script)


def test_runs_below_others_are_counted_until_they_are_asked_for(shop, drive, settled):
    store = FileRunStore(shop / "mlruns")
    store.set_tag("c" * 32, "mlflow.parentRunId", "a" * 32)
    app = WorkbenchApp(find_place(shop))

    async def script(pilot):
        await settled(pilot)
        everything = len(store.list())
        child, parent = store.get("c" * 32).name, store.get("a" * 32)
        table = app.screen.table
        assert (len(names(app)), child in names(app)) == (everything - 1, False)
        assert "1 child hidden" in app.screen.query_one("#main").border_title
        column = next(column for column in table.columns if column.key == "children")
        assert (column.hidden, column.get(parent)) == (False, 1)
        await pilot.press("b")
        assert (len(names(app)), child in names(app)) == (everything, True)
        assert "hidden" not in app.screen.query_one("#main").border_title
        assert app.screen.remember()["children"] is True
        await pilot.press("b")
        assert child not in names(app)

    drive(app, script)


def test_chosen_columns_are_remembered_although_the_runs_come_later(shop, drive, settled):
    async def hide(pilot):
        await settled(pilot)
        await pilot.press("right", "right", "right", "right")
        assert pilot.app.screen.table.current_column == "metrics.roc_auc"
        await pilot.press("minus")
        kept.append(pilot.app.screen.remember())

    async def look(pilot):
        pilot.app._state = {"runs": kept[0]}
        pilot.app.screen.recall(kept[0])
        await settled(pilot)
        assert "metrics.roc_auc" not in [column.key for column in pilot.app.screen.table._shown_columns()]

    kept: list[dict[str, object]] = []
    drive(WorkbenchApp(find_place(shop)), hide, (120, 36))
    drive(WorkbenchApp(find_place(shop)), look, (120, 36))


def test_what_another_process_logs_appears_and_the_cursor_stays_on_its_run(on_runs, settled, shop):
    async def script(app, pilot):
        await pilot.press("down", "down")
        assert app.screen.table.cursor_row.name == "boosting"
        store = FileRunStore(shop / "mlruns")
        store.rename("d" * 32, "renamed elsewhere")
        (shop / "mlruns" / "101" / ("c" * 32) / "metrics" / "f1").write_text("1700000000000 0.5 0\n")
        app.screen.look_again()
        await settled(pilot)
        assert "renamed elsewhere" in names(app)
        assert app.screen.table.cursor_row.metrics["f1"] == 0.5

    on_runs(script)


def test_the_versions_made_from_a_run_stand_beside_it(on_runs, settled, shop):
    def versions(app):
        table = app.screen.table
        (column,) = [column for column in table.columns if column.key == "versions"]
        return {run.name: column.value(run) for run in table.shown_rows if column.value(run)}

    async def script(app, pilot):
        before = versions(app)
        registry = FileRegistry(shop / "mlruns", Layout.of(shop))
        registry.register("shoppers", run_id="c" * 32)
        registry.promote("shoppers", 1)
        app.screen.look_again()
        await settled(pilot)
        assert versions(app) == {**before, "boosting": "shoppers v1 champion"}

    on_runs(script)


def test_the_first_reading_of_a_large_store_says_how_far_it_is(on_runs, settled, monkeypatch, shop):
    from store.run_index import RunIndex

    async def script(app, pilot):
        with monkeypatch.context() as patch:
            patch.setattr(RunIndex, "progress", (4200, 10_000))
            app.screen.look_again()
            await settled(pilot)
            assert app.screen.query_one("#main").border_title == "runs · reading 4,200 of 10,000 runs"
        app.screen.look_again()
        await settled(pilot)
        assert app.screen.query_one("#main").border_title == "runs"

    on_runs(script)


def test_experiments_choose_their_runs(on_runs, settled):
    async def script(app, pilot):
        await pilot.press("e")
        await settled(pilot)
        await pilot.press("down")
        await settled(pilot)
        assert names(app) == ["boosting", "forest", "tree"]
        await pilot.press("enter")
        assert app.focused is app.screen.table

    on_runs(script)


def test_details_follow_the_cursor_through_every_tab(on_runs, settled):
    async def script(app, pilot):
        await pilot.press("down", "down")
        await settled(pilot)
        pane = app.screen.pane
        assert pane.run.name == "boosting"
        seen = []
        for _ in range(6):
            seen.append(pane.tab)
            await pilot.press("right_square_bracket")
            await settled(pilot)
        assert seen == ["about", "params", "metrics", "tags", "files", "curves"]
        await pilot.press("left_square_bracket")
        await settled(pilot)
        series = pane.query_one(Chart).data.series
        assert list(series[0].y) == [0.9, 0.6, 0.4, 0.3, 0.21]
        await pilot.press("left_square_bracket")
        await settled(pilot)
        assert "model/MLmodel" in str(pane.query_one("#preview-title").render())

    on_runs(script)


def test_in_a_narrow_terminal_details_take_the_tables_place_and_escape_gives_it_back(on_runs, settled):
    async def script(app, pilot):
        assert not app.screen.query_one("#details").display
        await pilot.press("enter")
        await settled(pilot)
        assert app.screen.query_one("#details").display
        assert not app.screen.query_one("#main").display
        await pilot.press("escape")
        await pilot.pause()
        assert app.screen.query_one("#main").display
        assert app.focused is app.screen.table

    on_runs(script, size=(80, 24))


def test_deleting_asks_with_what_would_go_and_can_be_undone(on_runs, settled, shop):
    store = FileRunStore(shop / "mlruns")

    async def script(app, pilot):
        await pilot.press("d")
        await settled(pilot)
        assert isinstance(app.screen, ConfirmDialog)
        await pilot.press("n")
        assert store.get("e" * 32).lifecycle_stage == "active"
        await pilot.press("space", "down", "space", "d")
        await settled(pilot)
        await pilot.press("r", *"old", "enter", "y")
        await settled(pilot)
        assert names(app) == ["boosting", "forest", "tree"]
        assert store.get("e" * 32).lifecycle_stage == "deleted"
        await pilot.press("D")
        await settled(pilot)
        assert names(app) == ["lasso [bold]", "ridge"]
        await pilot.press("U")
        await settled(pilot)
        await pilot.press("D")
        await settled(pilot)
        assert len(names(app)) == 4

    on_runs(script)
    events = read_events(Layout.of(shop))
    assert [event.what for event in events] == ["run_deleted", "run_deleted", "run_restored"]
    assert {event.reason for event in events[:2]} == {"old"}


def test_names_notes_and_tags_are_written_to_the_store(on_runs, settled, shop):
    async def script(app, pilot):
        await pilot.press("r")
        assert isinstance(app.screen, PromptDialog)
        await pilot.press(*"-2", "enter")
        await settled(pilot)
        await pilot.press("n", *"good", "enter")
        await settled(pilot)
        await pilot.press("t", *"owner", "enter")
        assert isinstance(app.screen, PromptDialog), "a tag without a value is not accepted"
        await pilot.press(*"=ann", "enter")
        await settled(pilot)

    on_runs(script)
    run = FileRunStore(shop / "mlruns").get("e" * 32)
    assert run.name == "lasso [bold]-2"
    assert run.tags["mlflow.note.content"] == "good"
    assert run.tags["owner"] == "ann"


def test_a_run_is_registered_and_promoted_with_a_preview(on_runs, settled, shop):
    async def script(app, pilot):
        app.screen.table.move_cursor("b" * 32)
        await settled(pilot)
        await pilot.press("p")
        await settled(pilot)
        assert isinstance(app.screen, ConfirmDialog)
        assert app.desk.registry.models() == []
        await pilot.press("y")
        await settled(pilot)
        assert app.desk.registry.model("churn").champion == 1
        app.screen.table.move_cursor("c" * 32)
        await settled(pilot)
        await pilot.press("m", "enter")
        await settled(pilot)
        assert app.desk.registry.model("churn").versions[0].run_id == "c" * 32
        assert app.desk.registry.model("churn").champion == 1
        await pilot.press("p")
        await settled(pilot)
        await pilot.press("y")
        await settled(pilot)
        assert app.desk.registry.model("churn").champion == 2

    on_runs(script)


def test_a_read_only_ui_offers_nothing_that_changes_anything(on_runs, shop, settled):
    (shop / "workbench.toml").write_text('[project]\nname = "shop"\n[ui]\nread_only = true\n')

    async def script(app, pilot):
        await pilot.press("d", "p", "r", "t", "m", "n")
        await settled(pilot)
        assert app.screen.NAME == "runs"

    on_runs(script)


def test_a_store_that_fails_keeps_the_rows_and_says_how_old_they_are(on_runs, settled, shop):
    async def script(app, pilot):
        (shop / "mlruns").rename(shop / "gone")
        (shop / "mlruns").write_text("a file")
        app.screen.look_again()
        await settled(pilot)
        assert len(names(app)) == 5
        notice = app.screen.query_one("#notice")
        assert notice.has_class("-told")
        assert "shown as of" in str(notice.render())
        (shop / "mlruns").unlink()
        (shop / "gone").rename(shop / "mlruns")
        app.screen.look_again()
        await settled(pilot)
        assert not notice.has_class("-told")

    on_runs(script)


def test_the_layout_is_remembered(on_runs, settled):
    async def script(app, pilot):
        await pilot.press("right_square_bracket", "right", "right", "s")
        await pilot.press("v", "q")

    app = on_runs(script)
    state = app.return_value.state["runs"]
    assert state["tab"] == "params"
    assert state["details"] is False
    assert state["table"]["sort"]
