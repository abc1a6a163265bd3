"""What the monitor asks the tracking store: a folder, and a database through a child process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from store.alerts import LIVE, list_alerts
from store.challenger_alerts import raise_challenger_ready
from store.errors import NotFoundError
from store.profile import build_profile
from store.slices import Key
from store.tracking import close_clients
from tests.conftest import MlflowProject
from workbench import monitor_registry
from workbench.monitor_registry import RegistryNews
from workbench.monitoring import Monitor
from workbench.settings import Project, load_project

PROFILE = build_profile(
    {"a": np.arange(10.0), "b": np.arange(10.0)},
    {"a": "numeric", "b": "numeric"},
    np.arange(10.0),
    task="regression",
)


def settings(root: Path, uri: str) -> Project:
    (root / "workbench.toml").write_text(f'[project]\nname = "p"\n[tracking]\nuri = "{uri}"\n')
    return load_project(root)


def log_importances(project: MlflowProject, run_id: str, values: dict[str, float]) -> None:
    project.client.log_dict(run_id, values, "feature_importances.json")


def test_importances_are_those_of_the_profile_or_of_its_run(mlflow_project: MlflowProject) -> None:
    registry = mlflow_project.with_versions(1)
    run_id = registry.version("cancer", 1).run_id
    assert run_id is not None
    project, news, key = settings(mlflow_project.root, "mlruns"), RegistryNews(), Key("cancer", 1)
    assert news.importances(project, key, PROFILE) == {}
    log_importances(mlflow_project, run_id, {"a": 0.25, "b": 0.0})
    assert news.importances(project, key, PROFILE) == {}  # asked a moment ago
    assert RegistryNews().importances(project, key, PROFILE) == {"a": 0.25, "b": 0.0}

    from dataclasses import replace

    own = type(PROFILE).from_json(replace(PROFILE, importances={"a": 0.5}).to_json())
    assert news.importances(project, key, own) == {"a": 0.5}


def test_importances_of_a_database(tmp_path: Path, open_mlflow_project: Callable[..., MlflowProject]) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    mlflow_project = open_mlflow_project(tmp_path, uri)
    run_id = mlflow_project.log_run(models=["model"])
    mlflow_project.client.create_registered_model("cancer")
    mlflow_project.client.create_model_version("cancer", f"runs:/{run_id}/model", run_id)
    log_importances(mlflow_project, run_id, {"a": 0.25, "b": 0.0})
    try:
        found = monitor_registry.importances_of_run(settings(tmp_path, "sqlite:///mlflow.db"), "cancer", 1)
    finally:
        close_clients(uri)
    assert found == {"a": 0.25, "b": 0.0}


def test_a_server_that_is_down_has_none(tmp_path: Path) -> None:
    project = settings(tmp_path, "http://127.0.0.1:1")
    try:
        assert RegistryNews().importances(project, Key("cancer", 1), PROFILE) == {}
    finally:
        close_clients("http://127.0.0.1:1")


@pytest.mark.parametrize("way", ["alias moved", "alias deleted", "model deleted"])
def test_a_challenger_that_mlflow_decided_about_no_longer_waits(
    mlflow_project: MlflowProject, way: str
) -> None:
    registry = mlflow_project.with_versions(3)
    registry.promote("cancer", 1)
    registry.promote("cancer", 2, to="challenger")
    settings(mlflow_project.root, "mlruns")
    raise_challenger_ready(mlflow_project.layout, "cancer", 2, champion=1, why="better")
    monitor = Monitor(mlflow_project.root)
    monitor.tick()
    assert alerts(mlflow_project) == ["challenger_ready/cancer/2"]
    client = mlflow_project.client
    if way == "alias moved":
        client.set_registered_model_alias("cancer", "challenger", "3")
    elif way == "alias deleted":
        client.delete_registered_model_alias("cancer", "challenger")
        client.transition_model_version_stage("cancer", "2", "None")
    else:
        client.delete_registered_model("cancer")
        with pytest.raises(NotFoundError):
            registry.model("cancer")
    monitor.tick()
    assert alerts(mlflow_project) == []


def test_settling_the_registry_clears_it_too(mlflow_project: MlflowProject) -> None:
    registry = mlflow_project.with_versions(3)
    registry.promote("cancer", 2, to="challenger")
    raise_challenger_ready(mlflow_project.layout, "cancer", 2, champion=None, why="better")
    mlflow_project.client.set_registered_model_alias("cancer", "challenger", "3")
    registry.settle()
    assert alerts(mlflow_project) == []


def alerts(project: MlflowProject) -> list[str]:
    return [alert.key for alert in list_alerts(project.layout, states=LIVE)]


# MLflow's stages warn that they may go one day.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")
