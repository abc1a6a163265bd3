"""Screen 4: the ranking, the line under the cursor, its explanation, the alerts."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from store.alerts import LIVE, list_alerts
from store.layout import Layout
from workbench.desk.place import find_place
from workbench.tui.app import WorkbenchApp
from workbench.tui.screens.drift import DriftScreen
from workbench.tui.widgets.chart import Chart
from workbench.tui.widgets.distribution import DistributionView

Settled = Callable[[Pilot[Any]], Awaitable[None]]
NOON = datetime(2026, 5, 2, 12, tzinfo=UTC)

pytestmark = pytest.mark.usefixtures("fixed_time")


def drift_of(app: Any) -> DriftScreen:
    screen = app.screen
    assert isinstance(screen, DriftScreen)
    return screen


@pytest.fixture(scope="module")
def warm_hours(make_drifting: Callable[[Path], Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six hours of traffic of which the last three are warmer than the training data, and labelled."""
    made = make_drifting(tmp_path_factory.mktemp("warm") / "shop")
    made.hours(0, 0, 0, 2, 5, 6, labelled=True)
    for thread in threading.enumerate():
        if thread.name == "alerts":  # a state file in use can't be copied
            thread.join()
    with closing(sqlite3.connect(made.layout.state_db)) as connection, connection:
        at = (NOON - timedelta(hours=2)).isoformat(timespec="microseconds")
        connection.execute("UPDATE alerts SET since = ?, last_seen = ?", (at, at))
    root: Path = made.root
    return root


@pytest.fixture
def drifted(warm_hours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that project."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    shutil.copytree(warm_hours, tmp_path / "shop")
    return tmp_path / "shop"


def test_the_line_under_the_cursor_is_drawn_and_explained(
    drifted: Path, drive: Callable[..., None], settled: Settled
) -> None:
    async def script(pilot: Pilot[Any]) -> None:
        await settled(pilot)
        await pilot.press("4")
        await settled(pilot)
        screen = drift_of(pilot.app)
        assert screen.ranking.cursor_row.severity == "critical"
        first = screen.ranking.cursor_row.name
        chart = screen.query_one("#effect", Chart)
        assert [line.label for line in chart.data.thresholds] == ["critical", "warning"]
        assert len(chart.data.series[0].x) == 8
        await pilot.press("enter")
        await settled(pilot)
        assert screen.page.has_focus
        assert screen.page._shown is not None
        assert f"{first} is critical" in screen.page._shown.plain
        await pilot.press("escape", "down")
        assert screen.ranking.has_focus
        assert not screen.has_class("-explaining")
        assert screen.ranking.cursor_row.name != first

    drive(WorkbenchApp(find_place(drifted)), script, (120, 36))


def test_the_distribution_is_back_after_a_line_that_has_none(
    drifted: Path, drive: Callable[..., None], settled: Settled
) -> None:
    async def script(pilot: Pilot[Any]) -> None:
        await settled(pilot)
        await pilot.press("4")
        await settled(pilot)
        screen = drift_of(pilot.app)
        view = screen.query_one("#distribution", DistributionView)
        assert "█" in "".join(view.render_line(y).text for y in range(view.size.height))
        assert screen.ranking.move_cursor("performance:mae")
        await settled(pilot)
        assert screen.has_class("-shapeless")
        assert screen.ranking.move_cursor("feature:temp")
        await settled(pilot)
        assert "█" in "".join(view.render_line(y).text for y in range(view.size.height))

    drive(WorkbenchApp(find_place(drifted)), script)


def test_an_alert_is_acknowledged_from_its_feature_and_silenced_from_the_list(
    drifted: Path, drive: Callable[..., None], settled: Settled
) -> None:
    async def script(pilot: Pilot[Any]) -> None:
        await settled(pilot)
        await pilot.press("4")
        await settled(pilot)
        screen = drift_of(pilot.app)
        alert = screen.ranking.cursor_row.alert
        await pilot.press("a")
        await settled(pilot)
        states = {one.id: one.state for one in list_alerts(Layout.of(drifted), states=LIVE)}
        assert states[alert.id] == "acknowledged"
        assert not screen.is_available("acknowledge")
        await pilot.press("t")
        await settled(pilot)
        assert screen.alerts.has_focus
        assert screen.alerts.cursor_row.state == "open"
        chosen = screen.alerts.cursor_row.id
        await pilot.press("z")
        await settled(pilot)
        await pilot.press("s")
        await settled(pilot)
        silenced = list_alerts(Layout.of(drifted), states=("silenced",))
        assert [one.id for one in silenced] == [chosen]
        await pilot.press("escape")
        assert screen.ranking.has_focus

    drive(WorkbenchApp(find_place(drifted)), script)


def test_a_segment_is_opened_and_left_and_nothing_is_drawn_again_without_news(
    drifted: Path, drive: Callable[..., None], settled: Settled
) -> None:
    async def script(pilot: Pilot[Any]) -> None:
        await settled(pilot)
        await pilot.press("4")
        await settled(pilot)
        screen = drift_of(pilot.app)
        screen.look()
        await settled(pilot)
        shown = screen._shown
        screen.look()
        await settled(pilot)
        assert screen._shown is shown
        assert screen.ranking.move_cursor("segment:season=fall")
        await pilot.press("enter")
        await settled(pilot)
        title = screen.query_one("#ranking-frame").border_title
        assert title is not None
        assert "season=fall" in title
        await pilot.press("escape")
        await settled(pilot)
        assert "season=fall" not in str(screen.query_one("#ranking-frame").border_title)
        assert screen.remember()["model"] == "bikes"

    drive(WorkbenchApp(find_place(drifted)), script, (60, 15))


def test_it_says_what_to_do_where_nothing_is_known(
    shop: Path, drive: Callable[..., None], settled: Settled
) -> None:
    async def script(pilot: Pilot[Any]) -> None:
        await settled(pilot)
        await pilot.press("4")
        await settled(pilot)
        screen = drift_of(pilot.app)
        assert "workbench train" in screen.ranking._why_empty()
        for key in ("m", "v", "w", "a", "z", "t", "enter"):
            await pilot.press(key)
        assert pilot.app.screen is screen

    drive(WorkbenchApp(find_place(shop)), script)


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
def test_how_it_looks(drifted: Path, snap_compare: Any, settled: Settled, size: tuple[int, int]) -> None:
    async def open_it(pilot: Pilot[Any]) -> None:
        await settled(pilot)
        await pilot.press("4")
        await settled(pilot)
        await pilot.pause()

    assert snap_compare(WorkbenchApp(find_place(drifted)), terminal_size=size, run_before=open_it)
