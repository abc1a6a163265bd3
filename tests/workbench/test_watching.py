"""The watcher as a process: started, refused, killed, told to pause; and what a crash leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from store.jobs import Job, list_jobs
from store.layout import Layout
from store.ledger import list_files
from store.watch_state import set_paused
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


def until(condition: Callable[[], Any], deadline_s: float = 120.0) -> Any:
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError("it never came to this")


def jobs(layout: Layout, *states: Any) -> list[Job]:
    return list_jobs(layout, states=states)


def workbench(layout: Layout, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "workbench", "-C", str(layout.root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_one_watcher_a_project_pauses_goes_on_and_ends(layout: Layout) -> None:
    watcher = start_background(layout.root)
    assert watcher.folders[0]["path"] == str(layout.root / "data")
    assert start_background(layout.root).pid == watcher.pid
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
    assert stop_watcher(layout)
    assert running_watcher(layout) is None
    assert not (layout.run / "watch.json").exists()
    assert not stop_watcher(layout)


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
