"""The index is a cache that several processes share."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from store.index_file import SCHEMA_VERSION, index_path
from store.layout import Layout
from store.run_index import RunIndex
from store.tracking import open_runs

StartPython = Callable[..., subprocess.Popen[str]]


def test_the_index_can_be_deleted_while_it_is_open(
    experiment: Path,
    index: RunIndex,
    write_run: Any,
    run_id: Any,
    look_until: Any,
    names: Any,
    index_file: Path,
) -> None:
    write_run(experiment, run_id(1), name="one")
    assert names(index.look()) == ["one"]
    for path in index_file.parent.glob("index.sqlite*"):
        path.unlink()
    write_run(experiment, run_id(2), name="two", start_ms=1)
    look_until(index, lambda runs: names(runs) == ["one", "two"])
    shutil.rmtree(experiment / run_id(1))
    look_until(index, lambda runs: names(runs) == ["two"])
    assert index_file.exists()


@pytest.mark.parametrize("content", [b"", b"garbage" * 1000, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_index_is_made_anew(
    experiment: Path,
    index: RunIndex,
    content: bytes,
    write_run: Any,
    run_id: Any,
    names: Any,
    index_file: Path,
) -> None:
    write_run(experiment, run_id(1), name="one")
    index_file.parent.mkdir()
    index_file.write_bytes(content)
    assert names(index.list()) == ["one"]
    assert names(index.peek()) == ["one"]


@pytest.mark.parametrize("version", [SCHEMA_VERSION + 1, 99])
def test_an_index_of_another_version_is_made_anew(
    experiment: Path, index: RunIndex, version: int, write_run: Any, run_id: Any, names: Any, index_file: Path
) -> None:
    write_run(experiment, run_id(1), name="one")
    index_file.parent.mkdir()
    with sqlite3.connect(index_file) as connection:
        connection.execute("CREATE TABLE runs (other TEXT)")
        connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    assert names(index.list()) == ["one"]


def test_where_no_index_can_be_written_the_files_are_read(
    tmp_path: Path, experiment: Path, monkeypatch: pytest.MonkeyPatch, write_run: Any, run_id: Any, names: Any
) -> None:
    write_run(experiment, run_id(1), name="one")
    (tmp_path / "blocked").write_text("")
    index = RunIndex(tmp_path / "mlruns", tmp_path / "blocked" / "index.sqlite")
    assert names(index.list()) == names(index.look()) == ["one"]
    assert index.get("one").run_id == run_id(1)


def test_a_moved_store_keeps_its_index(
    tmp_path: Path, experiment: Path, index: RunIndex, write_run: Any, run_id: Any, names: Any
) -> None:
    write_run(experiment, run_id(1), name="one")
    index.list()
    index.close()
    (tmp_path / "project").mkdir()
    shutil.move(tmp_path / "mlruns", tmp_path / "project" / "mlruns")
    shutil.move(tmp_path / ".workbench", tmp_path / "project" / ".workbench")
    root = tmp_path / "project" / "mlruns"
    moved = RunIndex(root, tmp_path / "project" / ".workbench" / "index.sqlite")
    assert names(moved.list()) == ["one"]
    write_run(root / "1", run_id(2), name="two", start_ms=1)
    assert names(RunIndex(root, moved.root.parent / ".workbench" / "index.sqlite").list()) == ["one", "two"]


def test_the_index_is_with_the_project_or_in_the_users_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = Layout.of(tmp_path)
    assert index_path(layout, tmp_path / "mlruns") == layout.index_db
    elsewhere = index_path(layout, tmp_path / "other" / "mlruns")
    assert elsewhere.parent == layout.state
    assert elsewhere != layout.index_db
    assert isinstance(open_runs((tmp_path / "mlruns").as_uri(), layout), RunIndex)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert index_path(layout, tmp_path / "mlruns").parent == tmp_path / "cache" / "workbench"


LOOKER = """
import json, sys, time
from pathlib import Path
from store.run_index import RunIndex

index = RunIndex(Path(sys.argv[1]), Path(sys.argv[2]))
deadline = time.monotonic() + 90
while True:
    runs = index.look()
    if runs and all(run.status == "FINISHED" and run.metrics.get("loss") == 99 for run in runs):
        if len(runs) == int(sys.argv[3]):
            break
    assert time.monotonic() < deadline, [(run.name, run.status, run.metrics) for run in runs]
    time.sleep(0.02)
print(json.dumps(sorted(run.run_id for run in runs)))
"""


def test_two_screens_and_a_training_job_at_once(
    tmp_path: Path,
    experiment: Path,
    index: RunIndex,
    start_python: StartPython,
    write_run: Any,
    run_id: Any,
    index_file: Path,
) -> None:
    count = 12
    screens = [start_python(LOOKER, index.root, index_file, count) for _ in range(2)]
    for number in range(count):
        folder = write_run(experiment, run_id(number), status=1)
        for step in range(100):
            with (folder / "metrics" / "loss").open("a") as file:
                file.write(f"{step} {step} {step}\n")
            if step % 25 == 0:
                index.look()
        write_run(experiment, run_id(number), status=3)
    for screen in screens:
        out, err = screen.communicate(timeout=120)
        assert screen.returncode == 0, err
        assert json.loads(out) == [run_id(number) for number in range(count)]
    assert len(index.list(filter="metrics.loss = 99 and status = 'FINISHED'")) == count


def test_a_builder_killed_on_its_way_leaves_an_index_that_goes_on(
    tmp_path: Path,
    experiment: Path,
    index: RunIndex,
    start_python: StartPython,
    write_run: Any,
    run_id: Any,
    index_file: Path,
) -> None:
    for number in range(600):
        write_run(experiment, run_id(number), metrics={"rmse": number})
    code = """
    import sys
    from pathlib import Path
    from store.run_index import RunIndex
    print("reading", flush=True)
    while True:
        RunIndex(Path(sys.argv[1]), Path(sys.argv[2])).list()
    """
    builder = start_python(code, index.root, index_file)
    assert builder.stdout is not None
    builder.stdout.readline()
    deadline = time.monotonic() + 90
    while not index_file.exists():
        assert time.monotonic() < deadline
    builder.kill()
    builder.wait()
    builder.communicate()
    found = index.list(order_by=["metrics.rmse DESC"], limit=2)
    assert [run.metrics["rmse"] for run in found] == [599, 598]
    assert len(index.list()) == 600
    assert index.is_complete
