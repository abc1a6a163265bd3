"""What a look at a large store costs, and what it shows meanwhile."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from store.run_index import RunIndex


def test_a_large_store_is_looked_at_in_slices_and_all_of_it_is_seen(
    experiment: Path,
    index: RunIndex,
    monkeypatch: pytest.MonkeyPatch,
    write_run: Any,
    run_id: Any,
    look_until: Any,
) -> None:
    monkeypatch.setattr("store.index_mirror.ALL_AT_ONCE", 0)
    folders = [write_run(experiment, run_id(number), metrics={"rmse": 1.0}) for number in range(40)]
    for folder in folders:
        for path in folder.rglob("*"):
            os.utime(path, (0, 0))
    look_until(index, lambda runs: len(runs) == 40)
    for folder in folders:
        (folder / "metrics" / "rmse").write_text("1 2.0 0\n")
    watched = run_id(7)
    seen = {run.run_id: run for run in index.look(watched=(watched,))}
    assert seen[watched].metrics["rmse"] == 2.0
    look_until(index, lambda runs: all(run.metrics["rmse"] == 2.0 for run in runs))


def test_changes_since_a_revision(
    experiment: Path, index: RunIndex, write_run: Any, run_id: Any, look_until: Any, names: Any
) -> None:
    write_run(experiment, run_id(1), name="one")
    write_run(experiment, run_id(2), name="two")
    index.look()
    everything = index.changes_since(-1)
    assert sorted(run.name for run in everything.runs.values()) == ["one", "two"]
    assert not index.changes_since(everything.revision).runs
    index.rename(run_id(2), "three")
    changes = index.changes_since(everything.revision)
    assert names(changes.runs.values()) == ["three"]
    shutil.rmtree(experiment / run_id(1))
    look_until(index, lambda runs: len(runs) == 1)
    assert len(index.changes_since(changes.revision).gone) == 1


def test_a_command_sees_what_changed_the_moment_before_in_a_large_store(
    experiment: Path,
    index: RunIndex,
    monkeypatch: pytest.MonkeyPatch,
    write_run: Any,
    run_id: Any,
    index_file: Path,
) -> None:
    monkeypatch.setattr("store.index_mirror.ALL_AT_ONCE", 0)
    for number in range(40):
        folder = write_run(experiment, run_id(number), metrics={"rmse": 1.0})
        (folder / "params" / "depth").write_text("5")
    monkeypatch.setattr("store.run_look.SETTLED_AFTER_NS", 0)
    for _ in range(2):
        index.list()
        index.close()
    for number, change in enumerate(("2.0", "3.0", "4.0")):
        (experiment / run_id(number) / "metrics" / "rmse").write_text(f"1 {change} 0\n")
        (experiment / run_id(number) / "tags" / "owner").write_text("ann")
        (experiment / run_id(number) / "params" / "new").write_text("1")
        command = RunIndex(index.root, index_file)
        (found,) = command.list(filter=f"metrics.rmse = {change}", limit=1)
        assert (found.run_id, found.tags["owner"], found.params["new"]) == (run_id(number), "ann", "1")
        command.close()


def test_a_parameter_edited_in_place_is_seen_within_a_minute(
    experiment: Path,
    index: RunIndex,
    monkeypatch: pytest.MonkeyPatch,
    write_run: Any,
    run_id: Any,
    index_file: Path,
) -> None:
    monkeypatch.setattr("store.index_mirror.ALL_AT_ONCE", 0)
    folder = write_run(experiment, run_id(1))
    (folder / "params" / "depth").write_text("5")
    monkeypatch.setattr("store.run_look.SETTLED_AFTER_NS", 0)
    index.list()
    (folder / "params" / "depth").write_text("8")
    later = time.time() + 60
    monkeypatch.setattr(time, "time", lambda: later)
    (found,) = RunIndex(index.root, index_file).list(filter="params.depth = '8'")
    assert found.run_id == run_id(1)


def test_the_progress_of_the_first_reading_is_told(
    experiment: Path, index: RunIndex, monkeypatch: pytest.MonkeyPatch, write_run: Any, run_id: Any
) -> None:
    for number in range(30):
        write_run(experiment, run_id(number))
    told: list[tuple[int, int]] = []
    index.tell_progress(lambda done, total: told.append((done, total)))
    monkeypatch.setattr("store.run_index.LOOK_FOR_S", 0.0)
    assert index.look() == ()
    assert index.progress == (0, 30)
    monkeypatch.setattr("store.index_mirror._LOCKED_FOR_S", 0.001)
    monkeypatch.setattr("store.run_index.LOOK_FOR_S", 30.0)
    assert len(index.look()) == 30
    assert told[-1] == (30, 30)
    assert index.progress is None
    index.list()
    assert told[-1] == (30, 30)
