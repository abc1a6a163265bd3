"""The same commands on a database and on a tracking server: both go through MLflow's client."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from store.client_registry import ClientRegistry
from store.client_runs import ClientRunStore
from store.errors import NotFoundError, StorageError, UsageError
from store.tracking import open_registry, open_runs, resolve_uri

if TYPE_CHECKING:
    from tests.conftest import MlflowProject

pytestmark = pytest.mark.slow
OpenProject = Callable[..., "MlflowProject"]


@pytest.fixture(scope="module")
def migrated_database(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An empty MLflow database; its 50 migrations are paid for once."""
    file = tmp_path_factory.mktemp("database") / "mlflow.db"
    ClientRunStore(f"sqlite:///{file}").experiments()
    return file.read_bytes()


@pytest.fixture
def database(
    tmp_path: Path,
    open_mlflow_project: OpenProject,
    migrated_database: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> MlflowProject:
    """A project on SQLite, with the project's folder as the working directory, as MLflow's habits want it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mlflow.db").write_bytes(migrated_database)
    return open_mlflow_project(tmp_path, resolve_uri("sqlite:///mlflow.db", tmp_path))


def check_runs(project: MlflowProject) -> None:
    runs = open_runs(project.uri)
    assert isinstance(runs, ClientRunStore)
    first = project.log_run("forest", params={"depth": 5}, metrics={"auc": 0.9}, models=["model"])
    second = project.log_run("boosting", metrics={"auc": 0.95})
    assert "cancer" in [experiment.name for experiment in runs.experiments()]
    assert [run.run_id for run in runs.list("cancer", order_by=["metrics.auc DESC"])] == [second, first]
    assert [run.run_id for run in runs.list(filter="params.depth = '5'")] == [first]
    assert len(runs.list(limit=1)) == 1
    assert runs.get(first[:8]).params == {"depth": "5"}
    assert runs.get("boosting").run_id == second
    assert [value for _, _, value in runs.history(first, "auc")] == [0.9]
    runs.set_tag(first, "owner", "ann")
    runs.set_note(first, "good")
    runs.rename(first, "woods")
    assert runs.get("woods").tags["owner"] == "ann"
    runs.delete(second)
    assert [run.run_id for run in runs.list("cancer")] == [first]
    assert [run.run_id for run in runs.list("cancer", deleted=True)] == [second]
    with pytest.raises(UsageError, match="deleted"):
        runs.set_tag(second, "a", "b")
    runs.restore(second)
    with pytest.raises(NotFoundError, match="Did you mean 'woods'"):
        runs.get("woodz")
    with pytest.raises(NotFoundError, match="no experiment"):
        runs.list("nothing")
    with pytest.raises(NotFoundError, match="no metric"):
        runs.history(first, "nothing")
    with pytest.raises(UsageError):
        runs.list(filter="nonsense = = 1")
    assert runs.problems() == []


def check_registry(project: MlflowProject) -> None:
    registry = open_registry(project.uri, project.layout)
    assert isinstance(registry, ClientRegistry)
    run_id = project.log_run("model", metrics={"auc": 0.9})
    project.client.log_text(run_id, "flavors: {}\n", "model/MLmodel")
    with pytest.raises(NotFoundError, match="no registered model"):
        registry.model("cancer")
    for _ in range(3):
        registry.register("cancer", run_id=run_id, tags={"a": "b"})
    before = registry.fingerprint()
    registry.promote("cancer", 1)
    assert registry.fingerprint() != before
    registry.promote("cancer", 2)
    registry.promote("cancer", 3, to="challenger")
    model = registry.model("cancer")
    assert (model.champion, model.challenger) == (2, 3)
    assert {version.version: version.stage for version in model.versions} == {
        1: "Archived", 2: "Production", 3: "Staging",
    }  # fmt: skip
    assert model.versions[0].metrics == {"auc": 0.9}
    assert project.client.get_model_version_by_alias("cancer", "champion").version in ("2", 2)
    assert registry.rollback("cancer", reason="errors").to_version == 1
    with pytest.raises(NotFoundError, match="no earlier champion"):
        registry.rollback("cancer")
    project.client.set_registered_model_alias("cancer", "champion", "3")
    (challenger_gone, champion) = sorted(registry.settle(), key=lambda event: event.to or "")
    assert (champion.what, champion.from_, champion.to) == ("external", "1", "3")
    assert (challenger_gone.from_, challenger_gone.to) == ("3", None)
    assert registry.version("cancer", "Production").version == 3
    files = registry.version("cancer", "champion").model_dir
    assert files is not None
    assert (files / "MLmodel").read_text() == "flavors: {}\n"
    assert registry.settle() == []


def test_runs_in_a_database(database: MlflowProject) -> None:
    check_runs(database)
    run_id = database.log_run("files", models=["model"])
    runs = open_runs(database.uri)
    assert runs.artifacts(run_id) == ["model/MLmodel"]
    assert runs.artifact_path(run_id, "model/MLmodel").read_text() == "flavors: {}\n"


def test_models_in_a_database(database: MlflowProject) -> None:
    check_registry(database)
    logged = database.log_run("logged model", models=["model"])
    registry = open_registry(database.uri, database.layout)
    version = registry.register("other", run_id=logged)
    assert version.source.startswith("models:/m-")
    assert version.model_dir is not None
    with pytest.raises(NotFoundError, match="no model"):
        registry.register("other", run_id=database.log_run("empty"))
    assert [model.name for model in registry.models()] == ["cancer", "other"]


def test_a_store_is_opened_without_importing_mlflow(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from store.layout import Layout; from store import tracking\n"
        "uri = tracking.resolve_uri('sqlite:///a.db', Path(sys.argv[1]))\n"
        "tracking.open_runs(uri), tracking.open_registry(uri, Layout.of(Path(sys.argv[1])))\n"
        "assert 'mlflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)


@pytest.fixture
def server(
    tmp_path: Path, open_mlflow_project: OpenProject, migrated_database: bytes
) -> Iterator[MlflowProject]:
    """A project whose runs and models are on a real MLflow server."""
    (tmp_path / "mlflow.db").write_bytes(migrated_database)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    uri = f"http://127.0.0.1:{port}"
    project = open_mlflow_project(tmp_path, uri)
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(port)]
    command += [
        "--backend-store-uri",
        f"sqlite:///{tmp_path}/mlflow.db",
        "--artifacts-destination",
        str(tmp_path / "a"),
    ]
    import os

    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_TRACKING_URI": ""}
    with (tmp_path / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_for(uri, process, tmp_path / "server.log")
        yield project
    finally:
        os.killpg(process.pid, 15)
        process.wait(30)


def wait_for(uri: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"{uri}/health", timeout=5).close()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"the MLflow server did not start: {log.read_text()[-2000:]}")


def test_runs_and_models_on_a_tracking_server(server: MlflowProject) -> None:
    runs = open_runs(server.uri)
    run_id = server.client.create_run(server.experiment(), run_name="files").info.run_id
    server.client.log_text(run_id, "hello", "notes/a.txt")
    assert runs.artifacts(run_id) == ["notes/a.txt"]
    assert runs.artifact_path(run_id, "notes/a.txt").read_text() == "hello"
    check_registry(server)


def test_a_server_that_is_down_is_an_error_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(StorageError, match=uri):
        open_runs(uri).experiments()
    assert len(open_runs(uri).problems()) == 1
