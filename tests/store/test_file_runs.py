from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from store.errors import NotFoundError, StorageError, UsageError
from store.file_runs import FileRunStore
from store.mlflow_files import read_meta

if TYPE_CHECKING:
    from tests.conftest import MlflowProject


def break_file(path: Path, content: str = "") -> None:
    """Leave half a file, written long enough ago that nobody is still writing it."""
    path.write_text(content)
    os.utime(path, (0, 0))


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_run_is_read_with_everything_mlflow_logged(mlflow_project: MlflowProject) -> None:
    run_id = mlflow_project.log_run(
        "first", params={"depth": 5}, metrics={"rmse": 41.2}, tags={"owner": "ann"}, models=["model"]
    )
    run = mlflow_project.runs.get(run_id)
    assert (run.name, run.experiment, run.status, run.problem) == ("first", "cancer", "FINISHED", None)
    assert (run.params, run.metrics, run.tags["owner"]) == ({"depth": "5"}, {"rmse": 41.2}, "ann")
    assert run.started_at is not None
    assert run.ended_at is not None
    assert run.started_at <= run.ended_at
    assert mlflow_project.runs.artifacts(run_id) == ["model/MLmodel"]
    assert mlflow_project.runs.artifact_path(run_id, "model").is_dir()


def test_reading_a_store_imports_neither_mlflow_nor_anything_heavy(mlflow_project: MlflowProject) -> None:
    run_id = mlflow_project.log_run(models=["model"])
    mlflow_project.registry.register("cancer", run_id=run_id)
    code = (
        "import sys; from pathlib import Path; from store.layout import Layout; from store import tracking\n"
        "root = Path(sys.argv[1]); uri = tracking.resolve_uri('mlruns', root)\n"
        "assert tracking.open_runs(uri).list() and tracking.open_registry(uri, Layout.of(root)).models()\n"
        "heavy = {'mlflow', 'pandas', 'numpy', 'sklearn', 'duckdb', 'pydantic'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code, str(mlflow_project.root)], check=True)


def test_a_run_is_found_by_id_prefix_and_name(mlflow_project: MlflowProject) -> None:
    first = mlflow_project.log_run("forest")
    second = mlflow_project.log_run("boosting", experiment="other")
    runs = mlflow_project.runs
    assert runs.get(first[:6]).run_id == first
    assert runs.get(second).run_id == second
    assert runs.get("boosting").run_id == second


def test_an_ambiguous_or_unknown_run_is_told_with_the_candidates(mlflow_project: MlflowProject) -> None:
    first, second = mlflow_project.log_run("forest"), mlflow_project.log_run("forest")
    runs = mlflow_project.runs
    with pytest.raises(NotFoundError) as ambiguous:
        runs.get("forest")
    assert first[:12] in str(ambiguous.value)
    assert second[:12] in str(ambiguous.value)
    with pytest.raises(NotFoundError, match="Did you mean 'forest'"):
        runs.get("forrest")
    with pytest.raises(NotFoundError, match="too short"):
        runs.get(first[:2])
    with pytest.raises(NotFoundError, match=r"no experiment 'cancr'.*Did you mean 'cancer'"):
        runs.list("cancr")


def test_a_folder_that_does_not_exist_is_a_store_without_runs(tmp_path: Path) -> None:
    runs = FileRunStore(tmp_path / "mlruns")
    assert (runs.experiments(), runs.list(), runs.problems(), runs.repair()) == ([], [], [], [])
    assert not (tmp_path / "mlruns").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="is a file"):
        FileRunStore(tmp_path / "file").list()


def test_history_is_every_point_in_the_order_of_logging(mlflow_project: MlflowProject) -> None:
    run_id = mlflow_project.log_run(metrics={"other": 1.0})
    for step in range(3):
        mlflow_project.client.log_metric(run_id, "loss", 1.0 / (step + 1), timestamp=1000 + step, step=step)
    assert mlflow_project.runs.history(run_id, "loss") == [(1000, 0, 1.0), (1001, 1, 0.5), (1002, 2, 1.0 / 3)]
    with pytest.raises(NotFoundError, match=r"no metric 'los'.*'loss'"):
        mlflow_project.runs.history(run_id, "los")


def test_artifacts_do_not_lead_out_of_the_run(mlflow_project: MlflowProject) -> None:
    run_id = mlflow_project.log_run(models=["model"])
    with pytest.raises(NotFoundError):
        mlflow_project.runs.artifact_path(run_id, "../meta.yaml")
    with pytest.raises(UsageError):
        mlflow_project.runs.history(run_id, "../meta.yaml")


# ── broken runs and stray folders ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("file", "content", "named"),
    [
        ("meta.yaml", "", "meta.yaml is empty"),
        ("meta.yaml", "run_id: 'cut", "meta.yaml can't be read"),
        ("metrics/rmse", "", "metric rmse is empty"),
        ("metrics/rmse", "1 x 0\n", "metric rmse has a line"),
    ],
)
def test_a_broken_run_is_a_flagged_row_among_the_others(
    mlflow_project: MlflowProject, file: str, content: str, named: str
) -> None:
    good = mlflow_project.log_run("good", metrics={"rmse": 1.0})
    bad = mlflow_project.log_run("bad", metrics={"rmse": 2.0, "mae": 1.0})
    break_file(mlflow_project.mlruns / mlflow_project.experiment() / bad / file, content)
    runs = {run.run_id: run for run in mlflow_project.runs.list("cancer")}
    assert set(runs) == {good, bad}
    assert runs[good].problem is None
    assert named in (runs[bad].problem or "")
    assert runs[bad].metrics["mae"] == 1.0
    (problem,) = mlflow_project.runs.problems()
    assert bad in problem
    assert [run.run_id for run in mlflow_project.runs.list("cancer", filter="metrics.rmse = 1")] == [good]


def test_a_run_without_meta_is_flagged_and_stray_folders_are_named(mlflow_project: MlflowProject) -> None:
    run_id = mlflow_project.log_run("cut off")
    experiment = mlflow_project.mlruns / mlflow_project.experiment()
    (experiment / run_id / "meta.yaml").unlink()
    (experiment / "notes").mkdir()
    (mlflow_project.mlruns / "stray").mkdir()
    (run,) = mlflow_project.runs.list("cancer")
    assert (run.run_id, run.name, run.problem) == (run_id, "cut off", "meta.yaml is missing")
    problems = "\n".join(mlflow_project.runs.problems())
    assert str(mlflow_project.mlruns / "stray") in problems
    assert str(experiment / "notes") in problems
    assert {item.name for item in mlflow_project.runs.experiments()} == {"Default", "cancer"}


# ── editing, as MLflow would ─────────────────────────────────────────────────────────────────────────


def test_edits_are_what_mlflow_reads_back(mlflow_project: MlflowProject) -> None:
    run_id = mlflow_project.log_run("old name")
    runs = mlflow_project.runs
    runs.set_tag(run_id, "team/owner", "ann")
    runs.set_note(run_id, "looks **good**\n")
    runs.rename(run_id, "new: name, with 'quotes' and ünicode")
    theirs = mlflow_project.client.get_run(run_id)
    assert theirs.data.tags["team/owner"] == "ann"
    assert theirs.data.tags["mlflow.note.content"] == "looks **good**\n"
    assert theirs.info.run_name == theirs.data.tags["mlflow.runName"] == runs.get(run_id).name
    assert theirs.info.run_name == "new: name, with 'quotes' and ünicode"


def test_an_edit_leaves_the_files_as_mlflow_itself_would(mlflow_project: MlflowProject) -> None:
    ours, theirs = mlflow_project.log_run("a"), mlflow_project.log_run("a")
    folder = mlflow_project.mlruns / mlflow_project.experiment()
    steps: list[tuple[Callable[[], object], Callable[[], object]]] = [
        (
            lambda: mlflow_project.runs.rename(ours, "b"),
            lambda: mlflow_project.client.update_run(theirs, name="b"),
        ),
        (lambda: mlflow_project.runs.delete(ours), lambda: mlflow_project.client.delete_run(theirs)),
        (lambda: mlflow_project.runs.restore(ours), lambda: mlflow_project.client.restore_run(theirs)),
    ]
    for our_step, their_step in steps:
        our_step()
        their_step()
        written = [
            {
                line
                for line in (folder / run_id / "meta.yaml").read_text().splitlines()
                if line.partition(":")[0]
                not in ("artifact_uri", "run_id", "start_time", "end_time", "user_id")
                and not line.startswith("deleted_time: 1")
            }
            for run_id in (ours, theirs)
        ]
        assert written[0] == written[1]
        assert sorted(path.name for path in (folder / ours).iterdir()) == sorted(
            path.name for path in (folder / theirs).iterdir()
        )


def test_a_deleted_run_is_listed_apart_and_comes_back(mlflow_project: MlflowProject) -> None:
    kept, gone = mlflow_project.log_run("kept"), mlflow_project.log_run("gone")
    runs = mlflow_project.runs
    runs.delete(gone)
    assert [run.run_id for run in runs.list("cancer")] == [kept]
    assert [run.run_id for run in runs.list("cancer", deleted=True)] == [gone]
    assert mlflow_project.client.get_run(gone).info.lifecycle_stage == "deleted"
    with pytest.raises(UsageError, match="is deleted"):
        runs.set_tag(gone, "a", "b")
    runs.restore(gone)
    assert {run.run_id for run in runs.list("cancer")} == {kept, gone}


def test_runs_of_a_deleted_experiment_are_found_among_the_deleted(mlflow_project: MlflowProject) -> None:
    run_id = mlflow_project.log_run()
    mlflow_project.client.delete_experiment(mlflow_project.experiment())
    assert mlflow_project.runs.list() == []
    assert [run.run_id for run in mlflow_project.runs.list(deleted=True)] == [run_id]
    assert [item.name for item in mlflow_project.runs.experiments(deleted=True)] == ["cancer"]
    assert mlflow_project.runs.get(run_id).lifecycle_stage == "deleted"


def test_a_run_is_given_its_end_as_mlflow_gives_it(mlflow_project: MlflowProject) -> None:
    client = mlflow_project.client
    by_mlflow, by_us = (client.create_run(mlflow_project.experiment()).info.run_id for _ in range(2))
    client.set_terminated(by_mlflow, "KILLED")
    mlflow_project.runs.finish(by_us, "KILLED")
    ended = [client.get_run(run_id).info for run_id in (by_mlflow, by_us)]
    assert [info.status for info in ended] == ["KILLED", "KILLED"]
    assert ended[0].end_time <= ended[1].end_time
    folder = mlflow_project.mlruns / mlflow_project.experiment()
    first, second = (read_meta(folder / run_id / "meta.yaml") for run_id in (by_mlflow, by_us))
    assert first.keys() == second.keys()
    assert first["status"] == second["status"]


@pytest.mark.parametrize("key", ["", "..", "../x", "/x", "a//b", "a\0b", "a\nb", "."])
def test_a_tag_that_mlflow_would_refuse_is_refused(mlflow_project: MlflowProject, key: str) -> None:
    run_id = mlflow_project.log_run()
    with pytest.raises(UsageError):
        mlflow_project.runs.set_tag(run_id, key, "x")
    with pytest.raises(UsageError):
        mlflow_project.runs.rename(run_id, " ")


# ── a project that moved ─────────────────────────────────────────────────────────────────────────────


def test_a_moved_project_finds_its_files_and_repair_makes_mlflow_find_them(
    tmp_path: Path, open_mlflow_project: Callable[..., MlflowProject]
) -> None:
    before = open_mlflow_project(tmp_path / "old place")
    run_id = before.log_run(models=["model"])
    before.client.log_text(run_id, "hello", "note.txt")
    registry = before.registry
    registry.register("cancer", run_id=run_id)
    registry.promote("cancer", 1)
    shutil.move(tmp_path / "old place", tmp_path / "new place")

    after = open_mlflow_project(tmp_path / "new place")
    assert after.runs.artifact_path(run_id, "note.txt").read_text() == "hello"
    assert after.runs.artifact_path(run_id, "model/MLmodel").exists()
    version = after.registry.version("cancer", "champion")
    assert version.model_dir is not None
    assert version.model_dir.is_relative_to(tmp_path / "new place")
    (problem,) = after.runs.problems()
    assert f"lead to {tmp_path / 'old place'}" in problem

    assert len(after.runs.repair()) == 1
    assert after.runs.problems() == []
    assert after.runs.repair() == []
    assert after.client.list_artifacts(run_id)[0].path == "note.txt"
    uri = after.client.get_model_version_download_uri("cancer", "1")
    assert uri == version.model_dir.as_uri()
    assert after.log_run("another") in {run.run_id for run in after.runs.list()}
    assert not (tmp_path / "old place").exists()


def test_a_path_that_leads_nowhere_at_all_is_named_and_left(mlflow_project: MlflowProject) -> None:
    run_id = mlflow_project.log_run()
    shutil.rmtree(mlflow_project.mlruns / mlflow_project.experiment() / run_id / "artifacts")
    (problem,) = mlflow_project.runs.problems()
    assert "doesn't exist" in problem
    assert mlflow_project.runs.repair() == []
    assert mlflow_project.runs.artifacts(run_id) == []
