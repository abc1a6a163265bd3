"""Screen 6: files with their reports, trainings with their logs, the watcher."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Static, TextArea

from store.job_progress import JobProgress
from store.jobs import Job, list_jobs
from store.layout import Layout
from store.ledger import DataFile, Entry, Stamp, list_files, record, stamp_of
from store.watch_state import paused_pipelines
from workbench.desk.data import FileReport, FileRow, JobLog, JobRow, Watching
from workbench.desk.desk import Desk, open_desk
from workbench.desk.live import Live
from workbench.desk.place import Place, find_place
from workbench.tui.app import WorkbenchApp
from workbench.tui.frame.dialogs import ConfirmDialog
from workbench.tui.frame.title import watch_words
from workbench.tui.screens.data import DataScreen
from workbench.tui.screens.train_dialog import TrainDialog
from workbench.watching import WatcherInfo

Settled = Callable[[Pilot[Any]], Awaitable[None]]
NOON = datetime(2026, 5, 2, 12, tzinfo=UTC)
REPORT = {
    "findings": [
        {"level": "error", "check": "type", "message": "data/may.csv line 7: column 'age' holds [b]'x'"},
        {"level": "warning", "check": "categories", "message": "plan holds 2 values not seen before"},
    ]
}


def data_of(app: Any) -> DataScreen:
    screen = app.screen
    assert isinstance(screen, DataScreen)
    return screen


def page_of(screen: DataScreen) -> str:
    assert screen.page._shown is not None
    return screen.page._shown.plain


def quarantine(root: Path) -> Layout:
    """A file that is fine and one that is not, as the watcher would have left them."""
    layout = Layout.of(root).ensure()
    (root / "data").mkdir()
    for name in ("april", "may"):
        (root / "data" / f"{name}.csv").write_text("age,churned\n1,0\n")
    stamps = [stamp_of((root / "data" / f"{name}.csv").stat()) for name in ("april", "may")]
    entries = [
        Entry("data/april.csv", stamps[0], "ready", "a" * 64, 1),
        Entry("data/may.csv", stamps[1], "quarantined", "b" * 64, 1, "line 7: age", REPORT),
    ]
    record(layout, "churn", entries)
    return layout


def test_a_bad_file_shows_its_report_and_is_released(
    shop: Path, drive: Callable[..., None], settled: Settled
) -> None:
    layout = quarantine(shop)

    async def script(pilot: Pilot[Any]) -> None:
        await settled(pilot)
        await pilot.press("6")
        await settled(pilot)
        screen = data_of(pilot.app)
        assert [row.state for row in screen.files.shown_rows] == ["ready", "quarantined"]
        assert not screen.is_available("release")
        await pilot.press("down")
        await settled(pilot)
        assert "column 'age' holds [b]'x'" in page_of(screen)
        await pilot.press("slash", *"may", "enter")
        assert screen.files.row_count == 1
        await pilot.press("r", "enter", *"known", "enter")
        await settled(pilot)
        assert screen.files.cursor_row is not None
        assert screen.files.cursor_row.state == "ready"

    drive(WorkbenchApp(find_place(shop)), script)
    assert [(file.state, file.reason) for file in list_files(layout)][1] == ("ready", "released: known")


def test_a_training_is_asked_for_with_other_parameters_and_cancelled(
    shop: Path, drive: Callable[..., None], settled: Settled, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = quarantine(shop)
    started: list[Desk] = []
    monkeypatch.setattr("workbench.desk.data_changes.start_watcher", started.append)

    async def script(pilot: Pilot[Any]) -> None:
        await settled(pilot)
        await pilot.press("6")
        await settled(pilot)
        screen = data_of(pilot.app)
        await pilot.press("n")
        await settled(pilot)
        dialog = pilot.app.screen
        assert isinstance(dialog, TrainDialog)
        await pilot.press(*"deeper", "tab")
        dialog.query_one(TextArea).text = "nonsense"
        await pilot.press("ctrl+s")
        await settled(pilot)
        assert "is no setting" in str(dialog.query_one(".-problem", Static).render())
        dialog.query_one(TextArea).text = "params.max_depth=5"
        await pilot.press("ctrl+s")
        await settled(pilot)
        assert isinstance(pilot.app.screen, ConfirmDialog)  # nobody runs it: start the watcher?
        await pilot.press("n")
        await settled(pilot)
        assert list_jobs(layout) == []
        await pilot.press("n")
        await settled(pilot)
        await pilot.press(*"deeper", "enter")
        await settled(pilot)
        await pilot.press("y")
        await settled(pilot)
        assert len(started) == 1
        assert screen.jobs.cursor_row is not None
        assert (screen.jobs.cursor_row.state, screen.jobs.cursor_row.doing) == ("queued", "deeper")
        await pilot.press("x", "y")
        await settled(pilot)
        assert screen.jobs.cursor_row.state == "cancelled"
        await pilot.press("e")
        await settled(pilot)
        assert [row.state for row in screen.jobs.shown_rows] == ["queued", "cancelled"]
        await pilot.press("escape", "p")
        await settled(pilot)
        assert paused_pipelines(layout) == {"*"}
        assert screen.remember()["shows_jobs"] is False

    drive(WorkbenchApp(find_place(shop)), script)


def test_where_nothing_is_yet_it_says_what_to_do(
    shop: Path, drive: Callable[..., None], settled: Settled
) -> None:
    async def script(pilot: Pilot[Any]) -> None:
        await settled(pilot)
        await pilot.press("6")
        await settled(pilot)
        screen = data_of(pilot.app)
        assert "no data files yet" in screen.files._empty_text
        assert "o starts the watcher on data" in str(screen.query_one("#watching", Static).render())
        await pilot.press("t")
        await settled(pilot)
        assert "n trains now" in screen.jobs._empty_text

    drive(WorkbenchApp(find_place(shop)), script, size=(60, 15))


def test_the_title_says_what_is_watched() -> None:
    assert watch_words(Live()) == ""
    assert watch_words(Live(watched=2)) == "◉ watching 2"
    assert watch_words(Live(watched=2, paused=1)) == "◉ watching 2, 1 paused"
    assert watch_words(Live(watched=2, paused=2)) == "◎ paused"


def file_row(name: str, state: Any, rows: int | None, reason: str | None, minute: int) -> FileRow:
    at = NOON - timedelta(minutes=minute)
    stamp = Stamp(5_300 * (minute + 1), int(at.timestamp() * 1e9), 1)
    path = f"data/{name}.csv"
    return FileRow(
        DataFile(
            path, "churn", state, stamp, "ab12" * 16, rows, reason, None, None, False, at, at, None, None
        )
    )  # fmt: skip


def job_row(number: int, state: Any, error: str | None = None) -> JobRow:
    at = NOON - timedelta(minutes=10 * number)
    ended = None if state in ("queued", "running") else at + timedelta(seconds=42)
    started = None if state == "queued" else at
    progress = JobProgress(4, 7, "Fitting", "12,410 rows", 0.62, 0.3, 12.0, NOON)
    job = Job(f"20260502-12000{number}-3fa9c1", "churn", state, "new_data", "2 new files with 410 rows",
              None, None, error, 4321, "ann", at, started, ended)  # fmt: skip
    return JobRow(job, progress if state == "running" else None)


FILES = (
    file_row("april", "trained", 12_410, None, 3),
    file_row("copy-of-april", "duplicate", 12_410, "the same content as data/april.csv", 2),
    file_row("june", "new", None, None, 0),
    file_row("may", "quarantined", 310, "data/may.csv line 7: column 'age' holds [b]'x'", 1),
)
JOBS = (job_row(0, "queued"), job_row(1, "running"), job_row(2, "done"), job_row(3, "failed", "no room"))
WATCHER = WatcherInfo(
    4321,
    NOON,
    NOON,
    folders=({"path": "data", "events": True, "why_not": None},),
    pipelines=({"name": "churn", "paused": False, "waits_for": "120 more rows (min_new_rows)"},),
)


@dataclass
class FixedData:
    """What the desk would have read."""

    watching_now: Watching = field(
        default_factory=lambda: Watching(WATCHER, ("data",), frozenset(), ("churn",), 1, 1)
    )

    def files(self) -> tuple[FileRow, ...]:
        return FILES

    def report(self, row: FileRow) -> FileReport:
        return FileReport(REPORT) if row.state == "quarantined" else FileReport({"findings": []})

    def jobs(self) -> tuple[JobRow, ...]:
        return JOBS

    def log(self, job_id: str) -> JobLog:
        return JobLog(job_id, tuple(f"fold {number} of 5: roc_auc 0.9{number}" for number in range(1, 6)))

    def watching(self) -> Watching:
        return self.watching_now


@pytest.mark.usefixtures("fixed_time")
@pytest.mark.parametrize("size", [(80, 24), (120, 36)], ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("keys", [("6", "end"), ("6", "t", "down")], ids=["files", "jobs"])
def test_looks(
    shop: Path,
    settle: Callable[..., Awaitable[None]],
    snap_compare: Any,
    size: tuple[int, int],
    keys: tuple[str, ...],
) -> None:
    def opened(place: Place) -> Desk:
        desk = open_desk(place)
        desk.__dict__["data"] = FixedData()
        return desk

    async def press(pilot: Pilot[Any]) -> None:
        await settle(pilot)
        for key in keys:
            await pilot.press(key)
            await settle(pilot)
        await pilot.pause()

    assert snap_compare(
        WorkbenchApp(find_place(shop), open_place=opened), terminal_size=size, run_before=press
    )
