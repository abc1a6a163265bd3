"""Screen 2: marked runs side by side."""

from __future__ import annotations

import pytest
from textual.content import Content

from workbench.desk.place import find_place
from workbench.tui.app import WorkbenchApp
from workbench.tui.widgets.chart import Chart


@pytest.fixture
def on_compare(shop, drive, settled):
    """Runs a script on the comparison of boosting, forest and tree."""

    def run(script, size=(120, 36)):
        app = WorkbenchApp(find_place(shop))

        async def session(pilot):
            await open_comparison(pilot, settled)
            await script(app, pilot)

        drive(app, session, size)

    return run


async def open_comparison(pilot, settled):
    await settled(pilot)
    await pilot.press("down", "down", "space", "down", "space", "down", "space", "c")
    await settled(pilot)


def rows(app):
    columns = [column for column in app.screen.table.columns if column.key != "key"]
    return {row.compared.key: [column.get(row) for column in columns] for row in app.screen.table.shown_rows}


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (200, 60)])
def test_it_looks_as_it_should(shop, snap_compare, settled, size):
    async def prepare(pilot):
        await open_comparison(pilot, settled)

    assert snap_compare(WorkbenchApp(find_place(shop)), terminal_size=size, run_before=prepare)


def test_only_differences_are_shown_until_everything_is_asked_for(on_compare, shop):
    for run in "abc":
        (shop / "mlruns" / "101" / (run * 32) / "params" / "seed").write_text("42")

    async def script(app, pilot):
        assert set(rows(app)) == {"roc_auc", "log_loss", "max_depth"}
        await pilot.press("a")
        assert set(rows(app)) == {"roc_auc", "log_loss", "max_depth", "seed"}

    on_compare(script)


def test_deltas_are_against_the_baseline_and_coloured_by_what_is_better(on_compare, settled):
    async def script(app, pilot):
        assert rows(app)["roc_auc"] == ["0.93", "★0.95 (+0.02)", "0.9 (−0.03)"]
        table = app.screen.table
        auc = next(row for row in table.rows if row.compared.key == "roc_auc")
        tones = [column.style(auc, None) for column in table.columns if column.key != "key"]
        assert tones == [None, "success", "error"]
        await pilot.press("b")
        await settled(pilot)
        assert rows(app)["roc_auc"] == ["0.93 (−0.02)", "★0.95", "0.9 (−0.05)"]

    on_compare(script)


def test_a_run_is_taken_out_and_escape_goes_back_to_the_runs(on_compare, settled):
    async def script(app, pilot):
        await pilot.press("x")
        await settled(pilot)
        assert rows(app)["roc_auc"] == ["0.93", "★0.95 (+0.02)"]
        await pilot.press("escape")
        assert app.screen.NAME == "runs"

    on_compare(script)


def test_curves_of_the_runs_that_have_them_are_overlaid(on_compare):
    async def script(app, pilot):
        series = app.screen.query_one("#overlay", Chart).data.series
        assert [each.name for each in series] == ["boosting log_loss"]
        assert list(series[0].x) == [0, 1, 2, 3, 4]

    on_compare(script)


def plotted(app):
    data = app.screen.query_one("#overlay", Chart).data
    return {series.name: (series.x[0], series.y[0]) for series in data.series if series.is_scatter}


def title(app):
    return Content.from_markup(app.screen.query_one("#curves").border_title).plain


def test_a_parameter_is_plotted_against_a_metric_and_back(on_compare, settled):
    async def script(app, pilot):
        await pilot.press("end", "p")
        await settled(pilot)
        assert plotted(app) == {"boosting": (5, 0.93), "forest": (8, 0.95), "tree": (3, 0.90)}
        assert title(app).startswith("roc_auc ↑ against max_depth")
        await pilot.press("p")
        await settled(pilot)
        assert not plotted(app)
        assert title(app).startswith("log loss")

    on_compare(script)


def test_a_metric_is_chosen_by_its_row_or_by_going_through_them(on_compare, shop, settled):
    for run, loss in zip("ab", (0.4, 0.3), strict=True):
        (shop / "mlruns" / "101" / (run * 32) / "metrics" / "log_loss").write_text(
            f"1700000000000 {loss} 0\n"
        )

    async def script(app, pilot):
        assert app.screen.table.cursor_row.compared.key == "roc_auc"
        await pilot.press("down", "p")
        await settled(pilot)
        assert plotted(app) == {"boosting": (5, 0.21), "forest": (8, 0.3), "tree": (3, 0.4)}
        await pilot.press("m")
        await settled(pilot)
        assert plotted(app)["tree"] == (3, 0.9)

    on_compare(script)


def test_scatters_stand_among_the_pictures_after_the_curves(on_compare, settled):
    async def script(app, pilot):
        assert title(app) == "log loss · 1 of 2"
        await pilot.press("right_square_bracket")
        await settled(pilot)
        assert title(app) == "roc_auc ↑ against max_depth · 2 of 2"
        assert app.screen.remember()["picture"] == "params.max_depth"

    on_compare(script)


def test_in_a_low_terminal_curves_take_the_tables_place(on_compare):
    async def script(app, pilot):
        assert not app.screen.query_one("#curves").display
        await pilot.press("v")
        await pilot.pause()
        assert app.screen.query_one("#curves").display
        assert not app.screen.query_one("#table-frame").display
        await pilot.press("escape")
        await pilot.pause()
        assert not app.screen.query_one("#curves").display

    on_compare(script, size=(80, 24))


def test_without_marked_runs_it_says_how_to_mark_them(shop, drive, settled):
    app = WorkbenchApp(find_place(shop))

    async def script(pilot):
        await settled(pilot)
        await pilot.press("2")
        await settled(pilot)
        assert "space" in app.screen.table._empty_text

    drive(app, script)
