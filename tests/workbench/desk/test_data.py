"""Data files, trainings and the watcher as the UI asks for them."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from store.data_versions import record_version
from store.errors import BusyError, NotFoundError, SettingsError, UsageError
from store.job_progress import JobProgress, log_path, write_progress
from store.jobs import add_job, get_job, update_job
from store.journal import read_events
from store.layout import Layout
from store.ledger import Entry, record, stamp_of
from workbench.desk import data_changes
from workbench.desk.data import Watching
from workbench.desk.data_changes import TrainWish, train_form, wanted_lines
from workbench.desk.desk import Desk, open_desk
from workbench.desk.place import find_place
from workbench.tui.screens.data_page import watching_line
from workbench.watching import WatcherInfo

SETTINGS = """
[project]
name = "shop"

[pipelines.churn]
data = "data"
target = "churned"
estimator = "random_forest"
params = { n_estimators = 30, criterion = "gini" }
"""
BAD = {
    "path": "data/bad.csv",
    "valid": False,
    "rows": 3,
    "findings": [{"level": "error", "check": "type", "message": "data/bad.csv line 2: age is 'x'"}],
}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    (tmp_path / "workbench.toml").write_text(SETTINGS)
    (tmp_path / "data").mkdir()
    for name in ("bad", "good", "unseen"):
        (tmp_path / "data" / f"{name}.csv").write_text("age,churned\n1,0\n")
    layout = Layout.of(tmp_path).ensure()
    stamps = {name: stamp_of((tmp_path / "data" / f"{name}.csv").stat()) for name in ("bad", "good")}
    message = BAD["findings"][0]["message"]  # type: ignore[index]
    record(
        layout,
        "churn",
        [
            Entry("data/bad.csv", stamps["bad"], "quarantined", "b" * 64, 3, message, BAD),
            Entry("data/good.csv", stamps["good"], "ready", "a" * 64, 5),
        ],
    )
    return open_desk(find_place(tmp_path))


def test_files_are_the_same_object_until_one_changes(desk: Desk) -> None:
    first = desk.data.files()
    assert [(row.path, row.state, row.rows) for row in first] == [
        ("data/bad.csv", "quarantined", 3),
        ("data/good.csv", "ready", 5),
        ("data/unseen.csv", "new", None),
    ]
    assert first[0].reason == "line 2: age is 'x'"
    assert desk.data.report(first[0]).validation == BAD
    assert desk.data.report(first[2]).validation is None
    desk.data._files_seen = None  # the folders are listed anew
    assert desk.data.files() is first
    path = desk.layout.root / "data" / "good.csv"
    os.utime(path, ns=(0, 0))
    desk.data._files_seen = None
    assert [row.state for row in desk.data.files()] == ["quarantined", "new", "new"]


def test_a_file_names_the_data_versions_with_its_content(desk: Desk) -> None:
    good = desk.data.files()[1]
    assert desk.data.report(good).versions == ()
    files = [
        {"path": f"data/{name}.csv", "sha256": sha256, "md5": "c" * 32, "rows": 5, "bytes": 10}
        for name, sha256 in (("good", "a" * 64), ("other", "d" * 64))
    ]
    for digest, held in (("f" * 64, files), ("0" * 64, files[1:])):
        manifest = {"digest": digest, "rows": 5 * len(held), "schema": {"age": "number"}, "files": held}
        record_version(desk.layout, "churn", manifest, run_id="1" * 32)
    assert [version.digest for version in desk.data.report(good).versions] == ["f" * 64]


def test_a_quarantined_file_is_released_with_a_reason(desk: Desk) -> None:
    row = desk.data.files()[0]
    with pytest.raises(UsageError, match="needs a reason"):
        data_changes.release(desk, row, None)
    data_changes.release(desk, row, "they know")
    first = desk.data.files()[0]
    assert (first.state, first.reason) == ("ready", "released: they know")
    assert read_events(desk.layout, what="data_released")[0].reason == "they know"


def test_a_running_training_tells_how_far_it_is_and_what_it_says(desk: Desk) -> None:
    layout = desk.layout
    assert desk.data.jobs() == ()
    job = add_job(layout, "churn", state="running")
    (layout.jobs / job.id).mkdir(parents=True)
    assert desk.data.jobs()[0].share == 0.0
    write_progress(layout, job.id, JobProgress(4, 7, "Fitting", "5 rows", 0.5, None, None, datetime.now(UTC)))
    before = desk.data.jobs()
    assert [(row.share, row.doing) for row in before] == [(0.5, "4/7 Fitting 5 rows")]
    assert desk.data.jobs() is before
    log_path(layout, job.id).write_text("one\n\x1b[31mtwo\n")
    log = desk.data.log(job.id)
    assert log.lines == ("one", "\x1b[31mtwo")
    assert desk.data.log(job.id) is log
    update_job(layout, job.id, state="failed", error="no room")
    assert [(row.state, row.share, row.doing) for row in desk.data.jobs()] == [("failed", None, "no room")]


def test_parameters_that_differ_from_the_settings_go_with_the_training(desk: Desk) -> None:
    form = train_form(desk, "churn")
    assert form.pipelines == {"churn": ("params.n_estimators=30", "params.criterion=gini")}
    lines = wanted_lines(form, "churn", "params.n_estimators=99\n\nparams.criterion=gini\n")
    assert lines == ("params.n_estimators=99",)
    job = data_changes.train(
        desk, data_changes.check_training(desk, TrainWish("churn", lines, " more trees "))
    )
    assert (job.state, job.reason, job.trigger) == ("queued", "more trees", "manual")
    wanted = json.loads((desk.layout.jobs / job.id / "wanted.json").read_text())
    assert wanted["settings"]["params"]["n_estimators"] == 99
    assert desk.data.files()[1].state == "queued"
    with pytest.raises(BusyError, match="queued already"):
        data_changes.train(desk, TrainWish("churn"))
    cancelled = data_changes.cancel(desk, job, "wrong")
    assert (cancelled.state, get_job(desk.layout, job.id).error is None) == ("cancelled", False)
    again = data_changes.retry(desk, cancelled)
    assert (again.state, again.trigger) == ("queued", "retry")


@pytest.mark.parametrize(
    ("wish", "error", "words"),
    [
        (TrainWish("chrun"), NotFoundError, "churn"),
        (TrainWish("churn", ("n_estimators",)), UsageError, "is no setting"),
        (TrainWish("churn", ("parms.x=1",)), SettingsError, "parms"),
    ],
)
def test_a_wish_that_is_wrong_is_refused_in_words(
    desk: Desk, wish: TrainWish, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        data_changes.check_training(desk, wish)


def test_a_pause_and_the_watcher_that_does_not_run(desk: Desk) -> None:
    state = desk.data.watching()
    assert (state.watcher, state.folders, state.is_paused) == (None, ("data",), False)
    data_changes.set_paused(desk, True, "migration")
    assert desk.data.watching().is_paused
    data_changes.set_paused(desk, False, None)
    assert not desk.data.watching().paused
    assert data_changes.stop_watcher(desk) is False


def test_schedules_that_come_next_are_told_those_held_back_are_not() -> None:
    now = datetime(2026, 5, 2, 12, tzinfo=UTC)
    rows = (
        {"name": "p", "next_training": "2026-05-03T03:00:00Z", "next_scoring": "2026-05-02T12:01:00Z"},
        {"name": "q", "next_training": "2026-05-02T11:00:00Z", "waits_for": "the pause to end (schedule …)"},
    )
    state = Watching(WatcherInfo(1, now, now, pipelines=rows), ("data",), frozenset(), ("p", "q"))
    assert [(name, what, at.hour) for name, what, at in state.next_due] == [
        ("p", "scores", 12),
        ("p", "trains", 3),
    ]
    assert state.waits == (("q", "the pause to end (schedule …)"),)
    assert "p trains at" in str(watching_line(state, 120))
