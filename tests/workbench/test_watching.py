"""The watcher as a process: started, refused, killed, told to pause; and what a crash leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from store.jobs import Job, list_jobs, update_job
from store.layout import Layout
from store.ledger import list_files
from store.locks import locked
from store.watch_state import set_paused
from tests.conftest import until
from workbench.watching import WatcherInfo, running_watcher, start_background, stop_watcher

ROWS = "a,b,y\n" + "".join(f"{i % 23},{i % 7},{i % 2}\n" for i in range(120))
SETTINGS = """
[project]
name = "watched"

[pipelines.p]
data = "data"
target = "y"
estimator = "logistic_regression"
split = { cv_folds = 0 }
"""

HELD = """
import pathlib, time

def features(frame):
    while pathlib.Path("hold").exists():
        time.sleep(0.05)
    return frame
"""


@pytest.fixture
def layout(tmp_path: Path) -> Iterator[Layout]:
    (tmp_path / "data").mkdir()
    (tmp_path / "workbench.toml").write_text(SETTINGS)
    layout = Layout.of(tmp_path).ensure()
    yield layout
    if running_watcher(layout) is not None:
        stop_watcher(layout)


def jobs(layout: Layout, *states: Any) -> list[Job]:
    return list_jobs(layout, states=states)


def workbench(layout: Layout, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "workbench", "-C", str(layout.root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_one_watcher_a_project_pauses_goes_on_and_ends(layout: Layout) -> None:
    watcher = start_background(layout.root)
    assert watcher.folders[0]["path"] == str(layout.root / "data")
    assert start_background(layout.root).pid == watcher.pid
    assert f"Watching already, pid {watcher.pid}" in workbench(layout, "watch", "--detach").stderr
    second = workbench(layout, "watch")
    assert second.returncode == 1
    assert f"process {watcher.pid}" in second.stderr
    set_paused(layout, True, pipeline="p")
    (layout.root / "data/a.csv").write_text(ROWS)
    until(lambda: [file.state for file in list_files(layout)] == ["ready"])

    def waits() -> bool:
        info = running_watcher(layout)
        return info is not None and info.is_paused and info.pipelines[0]["waits_for"] == "the pause to end"

    until(waits)
    status = json.loads(workbench(layout, "status", "--json").stdout)["watcher"]
    assert (status["pid"], status["paused"]) == (watcher.pid, True)
    assert jobs(layout) == []
    (layout.root / "workbench.toml").write_text(SETTINGS + "\n[pipelines.p.retrain]\non_new_data = false\n")
    set_paused(layout, False)

    def refuses() -> bool:
        info = running_watcher(layout)
        return info is not None and info.pipelines[0]["waits_for"] == "on_new_data is off"

    until(refuses)
    assert "The watcher has ended." in workbench(layout, "watch", "--stop").stderr
    assert running_watcher(layout) is None
    assert not (layout.run / "watch.json").exists()
    assert not stop_watcher(layout)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_ctrl_c_is_told_from_a_stop(layout: Layout, number: signal.Signals, code: int) -> None:
    command = [sys.executable, "-m", "workbench", "-C", str(layout.root), "watch"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as watcher:
        assert watcher.stderr is not None
        assert "Watching" in watcher.stderr.readline()
        watcher.send_signal(number)
        assert watcher.wait(90) == code
    assert running_watcher(layout) is None


@pytest.mark.slow
def test_a_watcher_killed_during_a_job_loses_neither_job_nor_file(layout: Layout) -> None:
    (layout.root / "data/a.csv").write_text(ROWS)
    (layout.root / "data/bad.csv").write_text("a,b,y\n1,2,1\noops,2,0\n")
    (layout.root / "hold").touch()
    (layout.root / "held.py").write_text(HELD)
    (layout.root / "workbench.toml").write_text(SETTINGS + 'module = "held.py"\n')
    watcher = start_background(layout.root)
    first = until(lambda: jobs(layout, "running"))[0]
    child = until(lambda: (found := jobs(layout, "running")) and found[0].pid != watcher.pid and found[0].pid)
    os.kill(watcher.pid, signal.SIGKILL)
    until(lambda: running_watcher(layout) is None)
    until(lambda: not _lives(child))
    (layout.root / "hold").unlink()
    second = workbench(layout, "watch", "--once")
    assert second.returncode == 0, second.stderr
    done, died = jobs(layout)
    assert (died.id, died.state, died.error) == (first.id, "failed", "its process died")
    assert (done.state, done.trigger) == ("done", "new_data")
    assert {file.path: (file.state, file.run_id) for file in list_files(layout)} == {
        "data/a.csv": ("trained", done.run_id),
        "data/bad.csv": ("quarantined", None),
    }
    third = workbench(layout, "watch", "--once")
    assert third.returncode == 0
    assert len(jobs(layout)) == 2
    versions = json.loads(workbench(layout, "data", "versions", "--json").stdout)
    assert [(row["rows"], row["kept"], row["runs"]) for row in versions] == [(120, True, [done.run_id])]
    listed = json.loads(workbench(layout, "data", "list", "--json").stdout)
    assert {"path", "pipeline", "state", "rows", "hash", "reason"} <= listed[0].keys()
    assert "line 3" in listed[1]["reason"]


BY_ANOTHER_CLOCK = """
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from pipelines import watch_loop
from workbench.settings import load_project
from workbench.watch_process import watch

watch_loop._TRIGGERS_S = 0.1
root = Path(sys.argv[1])
clock = lambda: datetime.fromisoformat((root / "clock").read_text())
watch(load_project(root), clock=clock)
"""


def test_a_schedule_outlives_clocks_that_are_set_a_kill_and_a_machine_that_is_off(layout: Layout) -> None:
    root, clock = layout.root, layout.root / "clock"
    (root / "workbench.toml").write_text(SETTINGS + '[pipelines.p.retrain]\nschedule = "0 3 * * *"\n')

    def it_is(moment: str) -> None:
        clock.with_suffix(".new").write_text(f"2026-03-{moment}:00+00:00")
        clock.with_suffix(".new").replace(clock)

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", BY_ANOTHER_CLOCK, str(root)])

    def watched() -> dict[str, Any]:
        info = running_watcher(layout)
        # What is there may still be by the watcher that was killed.
        return dict(info.pipelines[0]) if info is not None and info.pid == child.pid else {}

    def served(job: Job) -> None:
        update_job(layout, job.id, state="running")
        update_job(layout, job.id, state="done")

    # Whoever holds it trains: no job is begun, all are counted.
    with locked(layout.run / "train-p.lock", what="training of p"):
        it_is("01T12:00")
        child = start()
        until(lambda: watched().get("next_training") == "2026-03-02T03:00:00Z")
        set_paused(layout, True, pipeline="p")
        it_is("02T03:01")
        held = "the pause to end (schedule 0 3 * * *, due 2026-03-02 03:00 UTC)"
        until(lambda: watched().get("waits_for") == held)
        assert held in workbench(layout, "watch", "--status").stdout
        assert jobs(layout) == []
        set_paused(layout, False)
        (first,) = until(lambda: jobs(layout, "queued"))
        assert (first.trigger, first.reason) == ("schedule", "schedule 0 3 * * *, due 2026-03-02 03:00 UTC")
        served(first)

        # Set back, and at the same time once more.
        it_is("02T02:00")
        until(lambda: watched().get("next_training") == "2026-03-02T03:00:00Z")
        it_is("02T03:02")
        until(lambda: watched().get("next_training") == "2026-03-03T03:00:00Z")
        assert len(jobs(layout)) == 1

        # Off for four days: what was missed comes once.
        child.kill()
        child.wait()
        it_is("06T09:00")
        child = start()
        (second,) = until(lambda: jobs(layout, "queued"))
        assert second.reason == "schedule 0 3 * * *, due 2026-03-03 03:00 UTC"
        served(second)
        until(lambda: watched().get("next_training") == "2026-03-07T03:00:00Z")
        child.kill()
        child.wait()
        child = start()
        until(lambda: watched().get("next_training") == "2026-03-07T03:00:00Z")
        assert len(jobs(layout)) == 2
        child.terminate()
        assert child.wait(90) == 0


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_the_watcher_imports_no_library_of_training() -> None:
    code = (
        "import sys, workbench.settings, workbench.watching, pipelines.watch_loop, watchdog.observers;"
        "heavy = {'mlflow', 'sklearn', 'pandas', 'pyarrow', 'numpy', 'duckdb'} & set(sys.modules);"
        "sys.exit(', '.join(heavy) or 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_description_is_complete() -> None:
    from datetime import UTC, datetime

    now = datetime.now(UTC)
    rows = ({"name": "p", "paused": True}, {"name": "q", "paused": False})
    info = WatcherInfo(1, now, now, pipelines=rows)
    assert not info.is_paused
    assert {"pid", "started_at", "heartbeat", "paused", "folders", "pipelines", "problems"} == set(
        info.as_json()
    )
