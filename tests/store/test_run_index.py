from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from store.errors import NotFoundError, UsageError
from store.index_file import SCHEMA_VERSION, index_path
from store.layout import Layout
from store.run_index import RunIndex
from store.runs import PARENT_TAG, Run
from store.tracking import open_runs

if TYPE_CHECKING:
    from tests.conftest import MlflowProject

StartPython = Callable[..., subprocess.Popen[str]]
SEEN_WITHIN_S = 10.0


def write_run(
    experiment: Path,
    run_id: str,
    *,
    name: str = "run",
    status: int = 3,
    start_ms: int = 1_700_000_000_000,
    metrics: dict[str, float] | None = None,
) -> Path:
    """A run as MLflow's file store has it, written by hand."""
    folder = experiment / run_id
    for part in ("metrics", "params", "tags", "artifacts"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for key, value in (metrics or {}).items():
        (folder / "metrics" / key).write_text(f"{start_ms} {value} 0\n")
    (folder / "meta.yaml").write_text(
        f"artifact_uri: {(folder / 'artifacts').as_uri()}\nend_time: null\nentry_point_name: ''\n"
        f"experiment_id: '{experiment.name}'\nlifecycle_stage: active\nrun_id: {run_id}\nrun_name: {name}\n"
        f"run_uuid: {run_id}\nsource_name: ''\nsource_type: 4\nsource_version: ''\nstart_time: {start_ms}\n"
        f"status: {status}\ntags: []\nuser_id: ann\n"
    )
    return folder


def write_experiment(root: Path, number: int = 1, name: str = "cancer") -> Path:
    folder = root / str(number)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "meta.yaml").write_text(
        f"artifact_location: {folder.as_uri()}\ncreation_time: 1700000000000\nexperiment_id: '{number}'\n"
        f"last_update_time: 1700000000000\nlifecycle_stage: active\nname: {name}\n"
    )
    return folder


def run_id(number: int) -> str:
    return f"{number:032x}"


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    return write_experiment(tmp_path / "mlruns")


@pytest.fixture
def index(tmp_path: Path) -> Iterator[RunIndex]:
    index = RunIndex(tmp_path / "mlruns", tmp_path / ".workbench" / "index.sqlite")
    yield index
    index.close()


def look_until(index: RunIndex, condition: Callable[[tuple[Run, ...]], bool]) -> tuple[Run, ...]:
    """Look as a screen does until it shows what is waited for."""
    deadline = time.monotonic() + SEEN_WITHIN_S
    while True:
        runs = index.look()
        if condition(runs):
            return runs
        assert time.monotonic() < deadline, runs


def names(runs: Any) -> list[str]:
    return [run.name for run in runs]


# ── the same answers as the files ────────────────────────────────────────────────────────────────────


def test_the_index_answers_as_the_files_do(mlflow_project: MlflowProject) -> None:
    for number in range(4):
        mlflow_project.log_run(
            f"run {number}", params={"depth": number}, metrics={"rmse": number / 2}, tags={"owner": "ann"}
        )
    mlflow_project.client.delete_run(mlflow_project.runs.get("run 3").run_id)
    index = RunIndex(mlflow_project.mlruns, mlflow_project.root / "index.sqlite")
    files = mlflow_project.runs
    assert index.list() == files.list()
    assert index.list(deleted=True) == files.list(deleted=True)
    assert index.list("cancer", "metrics.rmse > 0", ["metrics.rmse DESC"], 1) == files.list(
        "cancer", "metrics.rmse > 0", ["metrics.rmse DESC"], 1
    )
    assert index.experiments() == files.experiments()
    assert index.get("run 1") == files.get("run 1")
    assert index.get(files.list()[0].run_id[:8]) == files.list()[0]
    with pytest.raises(NotFoundError, match=r"no experiment 'cancr'.*Did you mean 'cancer'"):
        index.list("cancr")
    with pytest.raises(NotFoundError, match="Did you mean 'run 1'"):
        index.get("runn 1")
    with pytest.raises(UsageError):
        index.list(filter="metrics.rmse ~ 1")


def test_a_store_without_runs_and_one_that_is_not_there(tmp_path: Path, index: RunIndex) -> None:
    assert (index.list(), index.experiments(), index.look()) == ([], [], ())
    write_experiment(tmp_path / "mlruns")
    assert look_until(index, lambda _: bool(index.experiments())) == ()


def test_best_values_and_histories(mlflow_project: MlflowProject) -> None:
    run_id = mlflow_project.log_run("steps")
    for step, value in enumerate((3.0, 1.0, float("nan"), 2.0)):
        mlflow_project.client.log_metric(run_id, "loss", value, step=step)
    index = RunIndex(mlflow_project.mlruns, mlflow_project.root / "index.sqlite")
    (run,) = index.list()
    span = index.spans(run_id)["loss"]
    assert (run.metrics["loss"], span.lowest, span.highest, span.points) == (2.0, 1.0, 3.0, 4)
    assert len(index.history(run_id, "loss")) == 4


# ── nothing is missed ────────────────────────────────────────────────────────────────────────────────


def _log(client: Any, run_id: str, _: Path) -> None:
    client.log_metric(run_id, "rmse", 7.0, step=5)


CHANGES: dict[str, Callable[[Any, str, Path], Any]] = {
    "a new point of a metric": _log,
    "a new metric": lambda client, run, _: client.log_metric(run, "mae", 1.0),
    "a new param": lambda client, run, _: client.log_param(run, "new", 1),
    "a new tag": lambda client, run, _: client.set_tag(run, "team", "a"),
    "an overwritten tag": lambda client, run, _: client.set_tag(run, "owner", "bob"),
    "a deleted tag": lambda client, run, _: client.delete_tag(run, "owner"),
    "a note": lambda client, run, _: client.set_tag(run, "mlflow.note.content", "good"),
    "another status": lambda client, run, _: client.set_terminated(run, "FAILED"),
    "another name": lambda client, run, _: client.update_run(run, name="renamed"),
    "a deleted run": lambda client, run, _: client.delete_run(run),
    "a param edited in place": lambda _, run, folder: (folder / "params" / "depth").write_text("9"),
    "a tag of the same length": lambda _, run, folder: (folder / "tags" / "owner").write_text("bob"),
    "a nested metric": lambda client, run, _: client.log_metric(run, "train/auc", 0.5),
    "a half-written metric": lambda _, run, folder: (folder / "metrics" / "rmse").write_text(""),
    "a lost meta.yaml": lambda _, run, folder: (folder / "meta.yaml").unlink(),
    "a folder removed by hand": lambda _, run, folder: shutil.rmtree(folder),
}


@pytest.mark.parametrize("what", CHANGES)
def test_any_change_by_mlflow_or_by_hand_is_seen(mlflow_project: MlflowProject, what: str) -> None:
    run = mlflow_project.log_run("one", params={"depth": 5}, metrics={"rmse": 1.0}, tags={"owner": "ann"})
    mlflow_project.log_run("other")
    folder = mlflow_project.mlruns / mlflow_project.experiment() / run
    path = mlflow_project.root / "index.sqlite"
    screen = RunIndex(mlflow_project.mlruns, path)
    before = screen.look()
    assert screen.look() is before
    CHANGES[what](mlflow_project.client, run, folder)
    files = mlflow_project.runs.list()
    assert RunIndex(mlflow_project.mlruns, path).list() == files
    look_until(screen, lambda runs: [*runs] == files)
    assert before != tuple(files)


def test_experiments_made_renamed_deleted_and_restored_are_seen(mlflow_project: MlflowProject) -> None:
    mlflow_project.log_run("one")
    client, number = mlflow_project.client, mlflow_project.experiment()
    index = RunIndex(mlflow_project.mlruns, mlflow_project.root / "index.sqlite")
    (run,) = index.look()
    client.rename_experiment(number, "tumours")
    look_until(index, lambda runs: [item.experiment for item in runs] == ["tumours"])
    client.delete_experiment(number)
    look_until(index, lambda runs: not runs)
    assert names(index.list(deleted=True)) == names(mlflow_project.runs.list(deleted=True)) == ["one"]
    client.restore_experiment(number)
    look_until(index, lambda runs: names(runs) == names(mlflow_project.runs.list()))
    assert index.get(run.run_id).experiment == "tumours"


def test_runs_below_others_are_counted_and_left_out_on_request(mlflow_project: MlflowProject) -> None:
    parent = mlflow_project.log_run("search", metrics={"auc": 0.9})
    for n in range(3):
        mlflow_project.log_run(f"try {n}", metrics={"auc": 0.5 + n / 10}, tags={PARENT_TAG: parent})
    mlflow_project.log_run("orphan", metrics={"auc": 0.1}, tags={PARENT_TAG: "f" * 32})
    elsewhere = mlflow_project.log_run("other", experiment="elsewhere", tags={PARENT_TAG: parent})
    files = mlflow_project.runs
    index = RunIndex(mlflow_project.mlruns, mlflow_project.root / "index.sqlite")
    for runs in (files, index):
        assert names(runs.list(nested=False)) == ["other", "orphan", "search"]
        assert names(runs.list(order_by=["metrics.auc"], limit=2, nested=False)) == ["orphan", "search"]
        assert names(runs.list(filter="metrics.auc > 0.55", nested=False)) == ["search"]
        assert len(runs.list()) == 6
        assert runs.children() == {parent: 4, "f" * 32: 1}
    index.delete(elsewhere)
    index.delete(parent)
    for runs in (files, index):
        assert names(runs.list(nested=False)) == names(runs.list()) == ["orphan", "try 2", "try 1", "try 0"]
        assert runs.children() == {parent: 3, "f" * 32: 1}


def test_own_writes_are_in_the_index_at_once(experiment: Path, index: RunIndex) -> None:
    write_run(experiment, run_id(1))
    index.look()
    index.set_tag(run_id(1), "owner", "ann")
    assert index.peek()[0].tags["owner"] == "ann"
    index.rename(run_id(1), "forest")
    assert names(index.peek()) == ["forest"]
    index.delete(run_id(1))
    assert (index.peek(), names(index.peek(deleted=True))) == ([], ["forest"])
    index.restore(run_id(1))
    assert names(index.peek()) == ["forest"]


def test_a_write_in_the_same_tick_as_the_look_is_not_missed(experiment: Path, index: RunIndex) -> None:
    folder = write_run(experiment, run_id(1), metrics={"rmse": 1.0})
    for value in range(50):
        (folder / "metrics" / "rmse").write_text(f"1 {value % 10} 0\n")
        (run,) = index.look()
        assert run.metrics["rmse"] == value % 10


def test_a_half_written_run_is_picked_up_when_it_is_whole(experiment: Path, index: RunIndex) -> None:
    folder = experiment / run_id(1)
    folder.mkdir()
    assert index.look() == ()
    (folder / "metrics").mkdir()
    (broken,) = look_until(index, lambda runs: len(runs) == 1)
    assert broken.problem == "meta.yaml is missing"
    write_run(experiment, run_id(1), name="whole", metrics={"rmse": 2.0})
    (whole,) = look_until(index, lambda runs: names(runs) == ["whole"])
    assert (whole.problem, whole.metrics) == (None, {"rmse": 2.0})


def test_broken_runs_are_flagged_rows_after_the_others(experiment: Path, index: RunIndex) -> None:
    write_run(experiment, run_id(1), name="good")
    (write_run(experiment, run_id(2)) / "meta.yaml").write_text("run_id: 'cut")
    (write_run(experiment, run_id(3), name="later", start_ms=1_800_000_000_000) / "metrics" / "m").write_text(
        "x"
    )
    (write_run(experiment, run_id(4)) / "meta.yaml").write_text("status: []\nstart_time: x\n")
    (experiment / "notes").mkdir()
    (experiment.parent / "stray").mkdir()
    (experiment / "file").write_text("")
    runs = index.list()
    assert [run.run_id for run in runs] == [run_id(3), run_id(1), run_id(2), run_id(4)]
    assert [run.problem is None for run in runs] == [False, True, False, False]
    assert names(index.list(filter="run_name = 'good'")) == ["good"]
    assert [*index.look()] == runs


def test_names_that_are_no_unicode_and_values_of_any_kind(experiment: Path, index: RunIndex) -> None:
    folder = write_run(experiment, run_id(1), metrics={"inf": float("inf"), "nan": float("nan")})
    Path(os.fsdecode(os.fsencode(folder) + b"/params/caf\xe9")).write_text("1")
    (folder / "params" / "nul").write_bytes(b"a\0b")
    (folder / "tags" / "long").write_text("x" * 100_000)
    for parent in (experiment, experiment.parent):
        Path(os.fsdecode(os.fsencode(parent) + b"/caf\xe9/metrics")).mkdir(parents=True)
    (run,) = index.list()
    assert run.params["nul"] == "a\0b"
    assert len(run.params) == 2
    assert run.metrics["inf"] == float("inf")
    assert len(run.tags["long"]) == 100_000
    assert names(index.list(filter="metrics.nan != 1")) == ["run"]


def test_a_clock_set_back_hides_nothing(experiment: Path, index: RunIndex) -> None:
    folder = write_run(experiment, run_id(1), metrics={"rmse": 1.0})
    index.look()
    path = folder / "metrics" / "rmse"
    path.write_text("1 2.0 0\n")
    os.utime(path, (0, 0))
    look_until(index, lambda runs: runs[0].metrics["rmse"] == 2.0)
    write_run(experiment, run_id(2), name="older", start_ms=1)
    look_until(index, lambda runs: names(runs) == ["run", "older"])


# ── a cache, shared by several processes ─────────────────────────────────────────────────────────────


def test_the_index_can_be_deleted_while_it_is_open(experiment: Path, index: RunIndex) -> None:
    write_run(experiment, run_id(1), name="one")
    assert names(index.look()) == ["one"]
    for path in index_file(index).parent.glob("index.sqlite*"):
        path.unlink()
    write_run(experiment, run_id(2), name="two", start_ms=1)
    look_until(index, lambda runs: names(runs) == ["one", "two"])
    shutil.rmtree(experiment / run_id(1))
    look_until(index, lambda runs: names(runs) == ["two"])
    assert index_file(index).exists()


def index_file(index: RunIndex) -> Path:
    return index.root.parent / ".workbench" / "index.sqlite"


@pytest.mark.parametrize("content", [b"", b"garbage" * 1000, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_index_is_made_anew(experiment: Path, index: RunIndex, content: bytes) -> None:
    write_run(experiment, run_id(1), name="one")
    index_file(index).parent.mkdir()
    index_file(index).write_bytes(content)
    assert names(index.list()) == ["one"]
    assert names(index.peek()) == ["one"]


@pytest.mark.parametrize("version", [SCHEMA_VERSION + 1, 99])
def test_an_index_of_another_version_is_made_anew(experiment: Path, index: RunIndex, version: int) -> None:
    write_run(experiment, run_id(1), name="one")
    index_file(index).parent.mkdir()
    with sqlite3.connect(index_file(index)) as connection:
        connection.execute("CREATE TABLE runs (other TEXT)")
        connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    assert names(index.list()) == ["one"]


def test_where_no_index_can_be_written_the_files_are_read(
    tmp_path: Path, experiment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(experiment, run_id(1), name="one")
    (tmp_path / "blocked").write_text("")
    index = RunIndex(tmp_path / "mlruns", tmp_path / "blocked" / "index.sqlite")
    assert names(index.list()) == names(index.look()) == ["one"]
    assert index.get("one").run_id == run_id(1)


def test_a_moved_store_keeps_its_index(tmp_path: Path, experiment: Path, index: RunIndex) -> None:
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
deadline = time.monotonic() + 30
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
    tmp_path: Path, experiment: Path, index: RunIndex, start_python: StartPython
) -> None:
    count = 12
    screens = [start_python(LOOKER, index.root, index_file(index), count) for _ in range(2)]
    for number in range(count):
        folder = write_run(experiment, run_id(number), status=1)
        for step in range(100):
            with (folder / "metrics" / "loss").open("a") as file:
                file.write(f"{step} {step} {step}\n")
            if step % 25 == 0:
                index.look()
        write_run(experiment, run_id(number), status=3)
    for screen in screens:
        out, err = screen.communicate(timeout=60)
        assert screen.returncode == 0, err
        assert json.loads(out) == [run_id(number) for number in range(count)]
    assert len(index.list(filter="metrics.loss = 99 and status = 'FINISHED'")) == count


def test_a_builder_killed_on_its_way_leaves_an_index_that_goes_on(
    tmp_path: Path, experiment: Path, index: RunIndex, start_python: StartPython
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
    builder = start_python(code, index.root, index_file(index))
    assert builder.stdout is not None
    builder.stdout.readline()
    deadline = time.monotonic() + 20
    while not index_file(index).exists():
        assert time.monotonic() < deadline
    builder.kill()
    builder.wait()
    builder.communicate()
    found = index.list(order_by=["metrics.rmse DESC"], limit=2)
    assert [run.metrics["rmse"] for run in found] == [599, 598]
    assert len(index.list()) == 600
    assert index.is_complete


# ── what a look costs ────────────────────────────────────────────────────────────────────────────────


def test_a_large_store_is_looked_at_in_slices_and_all_of_it_is_seen(
    experiment: Path, index: RunIndex, monkeypatch: pytest.MonkeyPatch
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


def test_changes_since_a_revision(experiment: Path, index: RunIndex) -> None:
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
    experiment: Path, index: RunIndex, monkeypatch: pytest.MonkeyPatch
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
        command = RunIndex(index.root, index_file(index))
        (found,) = command.list(filter=f"metrics.rmse = {change}", limit=1)
        assert (found.run_id, found.tags["owner"], found.params["new"]) == (run_id(number), "ann", "1")
        command.close()


def test_a_parameter_edited_in_place_is_seen_within_a_minute(
    experiment: Path, index: RunIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.index_mirror.ALL_AT_ONCE", 0)
    folder = write_run(experiment, run_id(1))
    (folder / "params" / "depth").write_text("5")
    monkeypatch.setattr("store.run_look.SETTLED_AFTER_NS", 0)
    index.list()
    (folder / "params" / "depth").write_text("8")
    later = time.time() + 60
    monkeypatch.setattr(time, "time", lambda: later)
    (found,) = RunIndex(index.root, index_file(index)).list(filter="params.depth = '8'")
    assert found.run_id == run_id(1)


def test_the_progress_of_the_first_reading_is_told(
    experiment: Path, index: RunIndex, monkeypatch: pytest.MonkeyPatch
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
