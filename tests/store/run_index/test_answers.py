"""The index answers as the files do, and misses no change."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from store.errors import NotFoundError, UsageError
from store.run_index import RunIndex
from store.runs import PARENT_TAG

if TYPE_CHECKING:
    from tests.conftest import MlflowProject


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


def test_a_store_without_runs_and_one_that_is_not_there(
    tmp_path: Path, index: RunIndex, write_experiment: Any, look_until: Any
) -> None:
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
def test_any_change_by_mlflow_or_by_hand_is_seen(
    mlflow_project: MlflowProject, what: str, look_until: Any
) -> None:
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


def test_experiments_made_renamed_deleted_and_restored_are_seen(
    mlflow_project: MlflowProject, look_until: Any, names: Any
) -> None:
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


def test_runs_below_others_are_counted_and_left_out_on_request(
    mlflow_project: MlflowProject, names: Any
) -> None:
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


def test_own_writes_are_in_the_index_at_once(
    experiment: Path, index: RunIndex, write_run: Any, run_id: Any, names: Any
) -> None:
    write_run(experiment, run_id(1))
    index.look()
    index.set_tag(run_id(1), "owner", "ann")
    assert index.peek()[0].tags["owner"] == "ann"
    index.rename(run_id(1), "forest")
    assert names(index.peek()) == ["forest"]
    index.finish(run_id(1), "KILLED")
    assert index.peek()[0].status == "KILLED"
    index.delete(run_id(1))
    assert (index.peek(), names(index.peek(deleted=True))) == ([], ["forest"])
    index.restore(run_id(1))
    assert names(index.peek()) == ["forest"]


def test_a_write_in_the_same_tick_as_the_look_is_not_missed(
    experiment: Path, index: RunIndex, write_run: Any, run_id: Any
) -> None:
    folder = write_run(experiment, run_id(1), metrics={"rmse": 1.0})
    for value in range(50):
        (folder / "metrics" / "rmse").write_text(f"1 {value % 10} 0\n")
        (run,) = index.look()
        assert run.metrics["rmse"] == value % 10


def test_a_half_written_run_is_picked_up_when_it_is_whole(
    experiment: Path, index: RunIndex, write_run: Any, run_id: Any, look_until: Any, names: Any
) -> None:
    folder = experiment / run_id(1)
    folder.mkdir()
    assert index.look() == ()
    (folder / "metrics").mkdir()
    (broken,) = look_until(index, lambda runs: len(runs) == 1)
    assert broken.problem == "meta.yaml is missing"
    write_run(experiment, run_id(1), name="whole", metrics={"rmse": 2.0})
    (whole,) = look_until(index, lambda runs: names(runs) == ["whole"])
    assert (whole.problem, whole.metrics) == (None, {"rmse": 2.0})


def test_broken_runs_are_flagged_rows_after_the_others(
    experiment: Path, index: RunIndex, write_run: Any, run_id: Any, names: Any
) -> None:
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


def test_names_that_are_no_unicode_and_values_of_any_kind(
    experiment: Path, index: RunIndex, write_run: Any, run_id: Any, names: Any
) -> None:
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


def test_a_clock_set_back_hides_nothing(
    experiment: Path, index: RunIndex, write_run: Any, run_id: Any, look_until: Any, names: Any
) -> None:
    folder = write_run(experiment, run_id(1), metrics={"rmse": 1.0})
    index.look()
    path = folder / "metrics" / "rmse"
    path.write_text("1 2.0 0\n")
    os.utime(path, (0, 0))
    look_until(index, lambda runs: runs[0].metrics["rmse"] == 2.0)
    write_run(experiment, run_id(2), name="older", start_ms=1)
    look_until(index, lambda runs: names(runs) == ["run", "older"])
