"""Stores written by other versions of MLflow, and the way out of a file store."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from store.file_registry import FileRegistry
from store.file_runs import FileRunStore
from store.layout import Layout
from store.run_index import RunIndex
from store.tracking import open_registry, open_runs, resolve_uri, tracking_environment

if TYPE_CHECKING:
    from tests.conftest import MlflowProject

RUN = "0123456789abcdef0123456789abcdef"

# Numbers for experiment ids, paths without a scheme, `name`, no `run_id`, names only in tags.
MLFLOW_0_9 = {
    "0/meta.yaml": "artifact_location: {root}/0\nexperiment_id: 0\nlifecycle_stage: active\nname: Default\n",
    "0/{run}/meta.yaml": (
        "artifact_uri: {root}/0/{run}/artifacts\nend_time: 1552550804100\nentry_point_name: ''\n"
        "experiment_id: 0\nlifecycle_stage: active\nname: ''\nrun_uuid: {run}\nsource_name: train.py\n"
        "source_type: 4\nsource_version: 1a2b3c\nstart_time: 1552550803900\nstatus: 3\ntags: []\n"
        "user_id: ann\n"
    ),
    "0/{run}/metrics/rmse": "1552550804 0.79\n1552550805 0.78\n",
}
MLFLOW_1 = {
    "0/meta.yaml": (
        "artifact_location: ./mlruns/0\nexperiment_id: '0'\nlifecycle_stage: active\nname: Default\n"
    ),
    "0/{run}/meta.yaml": (
        "artifact_uri: ./mlruns/0/{run}/artifacts\nend_time: 1601550804100\nentry_point_name: ''\n"
        "experiment_id: '0'\nlifecycle_stage: active\nname: ''\nrun_id: {run}\nrun_uuid: {run}\n"
        "source_name: ''\nsource_type: 4\nsource_version: ''\nstart_time: 1601550803900\nstatus: 3\n"
        "tags: []\nuser_id: ann\n"
    ),
    "0/{run}/metrics/rmse": "1601550804000 0.79 0\n1601550805000 0.78 1\n",
}
MLFLOW_2 = {
    "0/meta.yaml": (
        "artifact_location: file://{root}/0\ncreation_time: 1690000000000\nexperiment_id: '0'\n"
        "last_update_time: 1690000000000\nlifecycle_stage: active\nname: Default\n"
    ),
    "0/{run}/meta.yaml": (
        "artifact_uri: file://{root}/0/{run}/artifacts\nend_time: 1690000000100\nentry_point_name: ''\n"
        "experiment_id: '0'\nlifecycle_stage: active\nrun_id: {run}\nrun_name: forest\nrun_uuid: {run}\n"
        "source_name: ''\nsource_type: 4\nsource_version: ''\nstart_time: 1690000000000\nstatus: 3\n"
        "tags: []\nuser_id: ann\n"
    ),
    "0/{run}/metrics/rmse": "1690000000000 0.79 0\n1690000000050 0.78 1\n",
    "models/churn/meta.yaml": (
        "aliases:\n  champion: 1\ncreation_timestamp: 1690000000200\ndescription: null\n"
        "last_updated_timestamp: 1690000000300\nname: churn\n"
    ),
    "models/churn/aliases/champion": "1",
    "models/churn/version-1/meta.yaml": (
        "aliases:\n- champion\ncreation_timestamp: 1690000000200\ncurrent_stage: Production\n"
        "description: ''\nlast_updated_timestamp: 1690000000300\nname: churn\nrun_id: {run}\nrun_link: ''\n"
        "source: file://{root}/0/{run}/artifacts/model\nstatus: READY\nstatus_message: ''\n"
        "storage_location: file://{root}/0/{run}/artifacts/model\nuser_id: ann\nversion: 1\n"
    ),
    # Before 2.0: no aliases, no storage_location, a number that is text.
    "models/older/meta.yaml": (
        "creation_timestamp: 1660000000000\ndescription: ''\nlast_updated_timestamp: 1660000000000\n"
        "name: older\n"
    ),
    "models/older/version-1/meta.yaml": (
        "creation_timestamp: 1660000000000\ncurrent_stage: Production\ndescription: ''\n"
        "last_updated_timestamp: 1660000000000\nname: older\nrun_id: {run}\nrun_link: ''\n"
        "source: runs:/{run}/model\nstatus: READY\nstatus_message: ''\nuser_id: ''\nversion: '1'\n"
    ),
}
EVERYWHERE = {
    "0/{run}/params/depth": "5",
    "0/{run}/tags/mlflow.runName": "forest",
    "0/{run}/tags/mlflow.user": "ann",
    "0/{run}/artifacts/model/MLmodel": "artifact_path: model\nflavors: {{}}\nrun_id: {run}\n",
}


def write_store(root: Path, files: dict[str, str]) -> None:
    for name, content in {**EVERYWHERE, **files}.items():
        path = root / name.format(run=RUN)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content.format(root=root, run=RUN))


@pytest.mark.parametrize("files", [MLFLOW_0_9, MLFLOW_1, MLFLOW_2], ids=["0.9", "1", "2"])
@pytest.mark.parametrize("is_moved", [False, True])
def test_a_store_of_an_older_mlflow_is_read(tmp_path: Path, files: dict[str, str], is_moved: bool) -> None:
    root = tmp_path / "before" / "mlruns"
    write_store(root, files)
    if is_moved:
        root = (tmp_path / "before").rename(tmp_path / "after") / "mlruns"
    runs = FileRunStore(root)
    index = RunIndex(root, tmp_path / "index.sqlite")
    assert index.list() == runs.list()
    for store in (runs, index):
        (run,) = store.list("Default", filter="metrics.rmse < 0.79 and params.depth = '5'")
        assert (run.run_id, run.name, run.status, run.problem) == (RUN, "forest", "FINISHED", None)
        assert (run.metrics, run.user_id) == ({"rmse": 0.78}, "ann")
        assert store.get("forest") == run
        assert [value for _, _, value in store.history(RUN, "rmse")] == [0.79, 0.78]
        assert store.artifacts(RUN) == ["model/MLmodel"]
        assert store.artifact_path(RUN, "model/MLmodel").is_file()


@pytest.mark.parametrize("is_moved", [False, True])
def test_models_registered_by_an_older_mlflow_are_champions(tmp_path: Path, is_moved: bool) -> None:
    root = tmp_path / "before" / "mlruns"
    write_store(root, MLFLOW_2)
    if is_moved:
        root = (tmp_path / "before").rename(tmp_path / "after") / "mlruns"
    registry = FileRegistry(root, Layout.of(root.parent))
    for model in registry.models():
        assert (model.champion, model.problem) == (1, None)
        (version,) = model.versions
        assert version.model_dir == root / "0" / RUN / "artifacts" / "model", model.name
        assert version.metrics == {"rmse": 0.78}
    registry.settle()
    again = registry.register("older", run_id=RUN)
    assert registry.promote("older", again.version).from_version == 1


def test_editing_an_old_run_leaves_what_mlflow_needs(
    tmp_path: Path, open_mlflow_project: Callable[..., MlflowProject]
) -> None:
    write_store(tmp_path / "mlruns", MLFLOW_1)
    project = open_mlflow_project(tmp_path)
    project.runs.rename(RUN, "renamed")
    project.runs.delete(RUN)
    project.runs.restore(RUN)
    assert project.client.get_run(RUN).info.run_name == "renamed"
    assert project.client.search_runs(["0"])[0].data.metrics == {"rmse": 0.78}


@pytest.mark.slow
def test_a_project_moves_to_a_database_and_goes_on(
    tmp_path: Path, mlflow_project: MlflowProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = mlflow_project.log_run("first", params={"depth": 5}, metrics={"rmse": 2.0}, models=["model"])
    second = mlflow_project.log_run("second", metrics={"rmse": 1.0}, models=["model"])
    mlflow_project.client.log_metric(second, "rmse", 0.5, step=1)
    index = RunIndex(mlflow_project.mlruns, mlflow_project.layout.index_db)
    index.set_tag(first, "owner", "ann")
    index.set_note(first, "the first one")
    index.rename(second, "better")
    gone = mlflow_project.log_run("gone")
    index.delete(gone)
    registry = mlflow_project.registry
    for run_id in (first, second):
        registry.promote("churn", registry.register("churn", run_id=run_id, tags={"gate": "ok"}).version)

    uri = resolve_uri("sqlite:///mlflow.db", tmp_path)
    command = [sys.executable, "-m", "mlflow", "migrate-filestore", "--source", str(tmp_path / "mlruns")]
    environment = {**os.environ, **tracking_environment(mlflow_project.uri)}
    done = subprocess.run(
        [*command, "--target", uri],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr

    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    mlflow.set_registry_uri(uri)
    runs, after = open_runs(uri), open_registry(uri, mlflow_project.layout)
    expected = {run.run_id: run for run in index.list()}
    migrated = {run.run_id: run for run in runs.list()}
    assert migrated.keys() == expected.keys() == {first, second}
    for run_id, run in migrated.items():
        before = expected[run_id]
        assert (run.name, run.params, run.metrics, run.status) == (
            before.name, before.params, before.metrics, before.status,
        )  # fmt: skip
        assert before.tags.items() <= run.tags.items()
        assert run.started_at == before.started_at
    assert [run.run_id for run in runs.list(deleted=True)] == [gone]
    assert len(runs.history(second, "rmse")) == 2
    model = after.model("churn")
    assert (model.champion, [version.version for version in model.versions]) == (2, [2, 1])
    assert after.version("churn", "Production").version == 2
    assert after.settle() == []
    assert after.rollback("churn", reason="back").to_version == 1
    assert after.model("churn").champion == 1
    assert [event.what for event in after.history("churn")].count("promoted") == 2
