"""Screen 4: the ranking, the line under the cursor, its explanation, the alerts."""

from __future__ import annotations

import shutil
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from store.alerts import LIVE, list_alerts
from store.layout import Layout
from workbench.desk.drift_rows import DriftRow
from workbench.desk.place import find_place
from workbench.tui.app import WorkbenchApp
from workbench.tui.frame.dialogs import ChoiceDialog
from workbench.tui.screens.drift import DriftScreen
from workbench.tui.screens.drift_page import explanation
from workbench.tui.widgets.chart import Chart
from workbench.tui.widgets.distribution import DistributionView
from workbench.tui.widgets.page import Page

NOON = datetime(2026, 5, 2, 12, tzinfo=UTC)
Scenario = Callable[[Pilot[Any], DriftScreen], Awaitable[None]]
OnDrift = Callable[..., None]

pytestmark = pytest.mark.usefixtures("fixed_time")


async def until(pilot: Pilot[Any], holds: Callable[[], object]) -> None:
    """Wait for what is shown to be so."""
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, "it never came to be so"
        await pilot.pause(0.02)


async def open_drift(pilot: Pilot[Any]) -> DriftScreen:
    """The screen once it has its answer, and the title line its own."""
    app = pilot.app
    await until(pilot, lambda: app.desk is not None and app.live.champions is not None)
    await pilot.press("4")
    await until(pilot, lambda: isinstance(app.screen, DriftScreen) and app.screen._shown is not None)
    await until(pilot, lambda: app.screen.is_settled and app.is_settled)
    screen = app.screen
    assert isinstance(screen, DriftScreen)
    return screen


@pytest.fixture
def on_drift(drive: Callable[..., None]) -> OnDrift:
    """Opens the screen on a project and plays a scenario on it."""

    def run(root: Path, scenario: Scenario, size: tuple[int, int] = (80, 24)) -> None:
        async def script(pilot: Pilot[Any]) -> None:
            await scenario(pilot, await open_drift(pilot))

        drive(WorkbenchApp(find_place(root)), script, size)

    return run


@pytest.fixture(scope="module")
def warm_hours(make_drifting: Callable[[Path], Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six hours of traffic of which the last three are warmer than the training data, and labelled."""
    made = make_drifting(tmp_path_factory.mktemp("warm") / "shop")
    made.hours(0, 0, 0, 2, 5, 6, labelled=True)
    root: Path = made.root
    with (root / "workbench.toml").open("a") as file:
        file.write("[ui]\nrefresh = 60\n")  # a test says when to look again
    for thread in threading.enumerate():
        if thread.name == "alerts":  # a state file in use can't be copied
            thread.join()
    with closing(sqlite3.connect(made.layout.state_db)) as connection, connection:
        at = (NOON - timedelta(hours=2)).isoformat(timespec="microseconds")
        connection.execute("UPDATE alerts SET since = ?, last_seen = ?", (at, at))
    return root


@pytest.fixture
def drifted(warm_hours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that project."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    shutil.copytree(warm_hours, tmp_path / "shop")
    return tmp_path / "shop"


def explained(screen: DriftScreen) -> str:
    return screen.page._shown.plain if screen.page._shown is not None else ""


def title_of(screen: DriftScreen) -> str:
    return str(screen.query_one("#ranking-frame").border_title)


def bars_of(screen: DriftScreen) -> str:
    view = screen.query_one("#distribution", DistributionView)
    return "".join(view.render_line(y).text for y in range(view.size.height))


def test_the_line_under_the_cursor_is_drawn_and_explained(drifted: Path, on_drift: OnDrift) -> None:
    async def scenario(pilot: Pilot[Any], screen: DriftScreen) -> None:
        assert screen.ranking.cursor_row.severity == "critical"
        first = screen.ranking.cursor_row.name
        chart = screen.query_one("#effect", Chart)
        assert [line.label for line in chart.data.thresholds] == ["critical", "warning"]
        assert len(chart.data.series[0].x) == 8
        await pilot.press("enter")
        await until(pilot, lambda: f"{first} is critical" in explained(screen))
        assert screen.page.has_focus
        await pilot.press("escape", "down")
        assert screen.ranking.has_focus
        assert not screen.has_class("-explaining")
        assert screen.ranking.cursor_row.name != first

    on_drift(drifted, scenario, (120, 36))


def test_every_kind_of_line_says_what_led_to_it(drifted: Path, on_drift: OnDrift) -> None:
    async def scenario(pilot: Pilot[Any], screen: DriftScreen) -> None:
        expected = {
            "performance:mae": "MAE is ",
            "feature:season": "new categories",
            "prediction:prediction": "prediction is critical",
        }
        await pilot.press("enter")
        for id_, words in expected.items():
            assert screen.ranking.move_cursor(id_)
            await until(pilot, lambda words=words: words in explained(screen))
        check = DriftRow("check", "temp range", "watch", note="5 of 99 values", source={"feature": "temp"})
        assert screen._shown is not None
        of_check = explanation(screen._shown.report or {}, check, 80).plain
        assert of_check.index("5 of 99 values") < of_check.index("temp is critical")

    on_drift(drifted, scenario, (160, 48))


def test_the_distribution_is_back_after_a_line_that_has_none(drifted: Path, on_drift: OnDrift) -> None:
    async def scenario(pilot: Pilot[Any], screen: DriftScreen) -> None:
        assert "█" in bars_of(screen)
        assert screen.ranking.move_cursor("performance:mae")
        await until(pilot, lambda: screen.has_class("-shapeless"))
        assert screen.ranking.move_cursor("feature:temp")
        await until(pilot, lambda: "█" in bars_of(screen))

    on_drift(drifted, scenario)


def test_performance_by_segment_stands_beside_its_chart(drifted: Path, on_drift: OnDrift) -> None:
    async def scenario(pilot: Pilot[Any], screen: DriftScreen) -> None:
        panel = screen.query_one("#segments", Page)
        assert not panel.display
        assert screen.ranking.move_cursor("performance:mae")

        def lines() -> list[str]:
            return panel._shown.plain.splitlines() if panel._shown is not None else []

        await until(pilot, lambda: any("season=fall" in line for line in lines()))
        assert "MAE by segment" in str(panel.border_title)
        assert {line.split()[0] for line in lines()} == {"season=fall", "season=spring", "season=winter"}
        assert all(len(line) <= panel.scrollable_content_region.width for line in lines())
        assert screen.ranking.move_cursor("feature:temp")
        await until(pilot, lambda: not panel.display)

    on_drift(drifted, scenario)


def test_an_alert_is_acknowledged_from_its_feature_and_silenced_from_the_list(
    drifted: Path, on_drift: OnDrift
) -> None:
    def states() -> dict[str, str]:
        return {one.id: one.state for one in list_alerts(Layout.of(drifted), states=LIVE)}

    async def scenario(pilot: Pilot[Any], screen: DriftScreen) -> None:
        alert = screen.ranking.cursor_row.alert
        await pilot.press("a")
        await until(pilot, lambda: states()[alert.id] == "acknowledged")
        await until(pilot, lambda: not screen.is_available("acknowledge"))
        await pilot.press("t")
        await until(pilot, lambda: screen.alerts.has_focus)
        assert screen.alerts.cursor_row.state == "open"
        chosen = screen.alerts.cursor_row.id
        await pilot.press("z")
        await until(pilot, lambda: isinstance(pilot.app.screen, ChoiceDialog))
        await pilot.press("s")
        await until(pilot, lambda: states()[chosen] == "silenced")
        await until(pilot, lambda: pilot.app.screen is screen and screen.is_settled)
        await pilot.press("escape")
        await until(pilot, lambda: screen.ranking.has_focus)

    on_drift(drifted, scenario)


def test_a_segment_is_opened_and_left_and_nothing_is_drawn_again_without_news(
    drifted: Path, on_drift: OnDrift
) -> None:
    async def scenario(pilot: Pilot[Any], screen: DriftScreen) -> None:
        shown = screen._shown
        screen.look()
        await until(pilot, lambda: not screen.is_asking("drift"))
        assert screen._shown is shown
        assert screen.ranking.move_cursor("segment:season=fall")
        await pilot.press("enter")
        await until(pilot, lambda: "season=fall" in title_of(screen))
        await pilot.press("escape")
        await until(pilot, lambda: "season=fall" not in title_of(screen))
        assert screen.remember()["model"] == "bikes"

    on_drift(drifted, scenario, (60, 15))


def test_it_opens_on_what_drifted_most_whatever_was_looked_at_last(drifted: Path, on_drift: OnDrift) -> None:
    async def first(pilot: Pilot[Any], screen: DriftScreen) -> None:
        assert screen.ranking.move_cursor("feature:hum")
        screen.ranking.set_filter("hum")
        await pilot.press("q")

    async def then(pilot: Pilot[Any], screen: DriftScreen) -> None:
        assert screen.ranking.cursor_row.severity == "critical"
        assert screen.ranking.filter_text == ""

    on_drift(drifted, first)
    on_drift(drifted, then)


def test_what_drifts_while_one_looks_comes_under_a_cursor_on_top(drifted: Path, on_drift: OnDrift) -> None:
    async def scenario(pilot: Pilot[Any], screen: DriftScreen) -> None:
        view = screen._shown
        assert view is not None
        calm, hum = view.rows[0], next(row for row in view.rows if row.name == "hum")
        worse = replace(hum, severity="critical")
        with_news = replace(view, rows=(worse, *(row for row in view.rows if row.id != hum.id)))
        screen._show(with_news)
        assert screen.ranking.cursor_row.id == hum.id
        assert screen.ranking.move_cursor(calm.id)
        screen._show(view)
        assert screen.ranking.cursor_row.id == calm.id
        await pilot.press("down")
        second = screen.ranking.cursor_row.id
        screen._show(with_news)
        assert screen.ranking.cursor_row.id == second

    on_drift(drifted, scenario)


def test_it_says_what_to_do_where_nothing_is_known(shop: Path, on_drift: OnDrift) -> None:
    async def scenario(pilot: Pilot[Any], screen: DriftScreen) -> None:
        assert "workbench train" in screen.ranking._why_empty()
        assert screen.has_class("-pointless")
        for key in ("m", "v", "w", "a", "z", "t", "enter"):
            await pilot.press(key)
        assert pilot.app.screen is screen

    on_drift(shop, scenario)


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
def test_how_it_looks(drifted: Path, snap_compare: Any, size: tuple[int, int]) -> None:
    async def open_it(pilot: Pilot[Any]) -> None:
        await open_drift(pilot)
        await pilot.pause()

    assert snap_compare(WorkbenchApp(find_place(drifted)), terminal_size=size, run_before=open_it)
