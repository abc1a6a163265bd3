from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from store.run_repair import REPAIRED_TAG, repair_files

if TYPE_CHECKING:
    from tests.conftest import MlflowProject


def settle(root: Path) -> None:
    """As if the last write were long ago."""
    for path in (root, *root.rglob("*")):
        os.utime(path, (1_700_000_000, 1_700_000_000))


def test_broken_files_are_mended_so_that_mlflow_searches_again(mlflow_project: MlflowProject) -> None:
    metrics = {"rmse": 1.0, "mae": 2.0, "r2": 0.5}
    lost = mlflow_project.log_run("lost", metrics=metrics, tags={"mlflow.user": "ann"})
    torn = mlflow_project.log_run("torn", metrics=metrics)
    whole = mlflow_project.log_run("whole", metrics=metrics)
    experiment = mlflow_project.mlruns / mlflow_project.experiment()
    (experiment / lost / "meta.yaml").write_text("artifact_uri: 'cut")
    (experiment / torn / "metrics" / "rmse").write_text("1700000000000 1.5 0\n17000000")
    (experiment / torn / "metrics" / "mae").write_text("")
    (experiment / torn / "metrics" / "r2").write_text("nonsense\n1700000000000 1.5 0\n")
    settle(mlflow_project.mlruns)
    keep = mlflow_project.layout.state / "repaired"

    mended = repair_files(mlflow_project.mlruns, keep)

    assert len(mended) == 3, mended
    runs = {run.name: run for run in mlflow_project.runs.list()}
    assert (runs["lost"].problem, runs["lost"].status, runs["lost"].user_id) == (None, "KILLED", "ann")
    assert runs["lost"].metrics == metrics
    assert REPAIRED_TAG in runs["lost"].tags
    assert runs["torn"].metrics == {"rmse": 1.5}
    assert "r2" in (runs["torn"].problem or "")
    (experiment / torn / "metrics" / "r2").unlink()
    found = mlflow_project.client.search_runs([mlflow_project.experiment()])
    assert {run.info.run_id for run in found} == {lost, torn, whole}
    kept = keep / mlflow_project.experiment()
    assert (kept / lost / "meta.yaml").read_text() == "artifact_uri: 'cut"
    assert (kept / torn / "metrics" / "rmse").read_text().endswith("\n17000000")


def test_an_experiment_that_lost_its_meta_comes_back_with_its_runs(mlflow_project: MlflowProject) -> None:
    run_id = mlflow_project.log_run("one", metrics={"rmse": 1.0})
    number = mlflow_project.experiment()
    (mlflow_project.mlruns / number / "meta.yaml").unlink()
    settle(mlflow_project.mlruns)
    assert len(repair_files(mlflow_project.mlruns, mlflow_project.layout.state / "repaired")) == 1
    (run,) = mlflow_project.runs.list()
    assert (run.run_id, run.experiment) == (run_id, f"recovered {number}")
    assert mlflow_project.client.get_run(run_id).data.metrics == {"rmse": 1.0}


def test_what_is_just_being_written_or_belongs_to_a_person_is_left_alone(
    mlflow_project: MlflowProject,
) -> None:
    run_id = mlflow_project.log_run("one", metrics={"rmse": 1.0})
    experiment = mlflow_project.mlruns / mlflow_project.experiment()
    (experiment / run_id / "metrics" / "rmse").write_text("")
    (mlflow_project.mlruns / "notes" / "deep").mkdir(parents=True)
    (mlflow_project.mlruns / "notes" / "deep" / "ideas.txt").write_text("mine")
    (mlflow_project.mlruns / "empty" / "deep").mkdir(parents=True)
    keep = mlflow_project.layout.state / "repaired"
    assert repair_files(mlflow_project.mlruns, keep) == []
    settle(mlflow_project.mlruns)
    mended = repair_files(mlflow_project.mlruns, keep)
    assert len(mended) == 2
    assert (mlflow_project.mlruns / "notes" / "deep" / "ideas.txt").read_text() == "mine"
    assert not (mlflow_project.mlruns / "empty").exists()
    assert repair_files(mlflow_project.mlruns, keep) == []
