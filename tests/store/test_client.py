"""The same commands on a database and on a tracking server: MLflow's client answers, in a child process."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from store.client_process import close_clients
from store.errors import NotFoundError, StorageError, UsageError
from store.layout import Layout
from store.references import reference_path
from store.runs import PARENT_TAG
from store.tracking import open_registry, open_runs

if TYPE_CHECKING:
    from tests.conftest import MlflowProject

pytestmark = pytest.mark.slow
OpenProject = Callable[..., "MlflowProject"]


@pytest.fixture(scope="module")
def database(
    tmp_path_factory: pytest.TempPathFactory, open_shared_mlflow_project: OpenProject
) -> Iterator[MlflowProject]:
    """A project on SQLite, with the project's folder as the working directory, as MLflow's habits want it."""
    root = tmp_path_factory.mktemp("database")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        yield open_shared_mlflow_project(root, f"sqlite:///{root}/mlflow.db")
    close_clients()


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, open_shared_mlflow_project: OpenProject
) -> Iterator[MlflowProject]:
    """A project whose runs and models are on a real MLflow server."""
    root = tmp_path_factory.mktemp("server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    uri = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(port)]
    command += [
        "--backend-store-uri",
        f"sqlite:///{root}/mlflow.db",
        "--artifacts-destination",
        str(root / "a"),
    ]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_TRACKING_URI": ""}
    with (root / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=root, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_for(uri, process, root / "server.log")
        yield open_shared_mlflow_project(root, uri)
    finally:
        close_clients()
        os.killpg(process.pid, 15)
        process.wait(90)


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


def check_runs(project: MlflowProject) -> None:
    runs = open_runs(project.uri)
    first = project.log_run("forest", params={"depth": 5}, metrics={"auc": 0.9})
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
    below = [project.log_run(f"try {n}", tags={PARENT_TAG: first}) for n in range(2)]
    assert {run.run_id for run in runs.list("cancer", nested=False)} == {first, second}
    assert runs.children() == {first: 2}
    assert [run.run_id for run in runs.list("cancer", "metrics.auc < 0.92", nested=False)] == [first]
    assert {run.run_id for run in runs.list("cancer")} == {first, second, *below}
    assert runs.problems() == []


def check_registry(project: MlflowProject) -> None:
    registry = open_registry(project.uri, project.layout)
    run_id = project.log_run("model", experiment="models", metrics={"auc": 0.9})
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
    assert [*registry.models()] == [model]
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
    run_id = database.log_run("files", experiment="files", models=["model"])
    runs = open_runs(database.uri)
    assert runs.artifacts(run_id) == ["model/MLmodel"]
    assert runs.artifact_path(run_id, "model/MLmodel").read_text() == "flavors: {}\n"


def test_models_in_a_database(database: MlflowProject) -> None:
    check_registry(database)
    logged = database.log_run("logged model", experiment="models", models=["model"])
    registry = open_registry(database.uri, database.layout)
    version = registry.register("other", run_id=logged)
    assert version.source.startswith("models:/m-")
    assert version.model_dir is not None
    with pytest.raises(NotFoundError, match="no model"):
        registry.register("other", run_id=database.log_run("empty", experiment="models"))
    assert [model.name for model in registry.models()] == ["cancer", "other"]


def test_a_training_job_that_has_mlflow_asks_with_its_own_client(database: MlflowProject) -> None:
    registry = open_registry(database.uri, database.layout, in_process=True)
    run_id = database.log_run("own client", experiment="models", models=["model"])
    assert registry.register("own", run_id=run_id).version == 1
    assert registry.promote("own", 1).to_version == 1


def test_a_server_whose_language_is_older_still_tells_what_is_below_what(
    database: MlflowProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = database.log_run("parent", experiment="nested")
    child = database.log_run("child", experiment="nested", tags={PARENT_TAG: parent})
    runs = open_runs(database.uri, in_process=True)
    answers = []
    for word in ("IS NULL", "~ 'a word that nobody knows'"):
        monkeypatch.setattr("store.client_runs._ON_TOP", f"tags.`{PARENT_TAG}` {word}")
        monkeypatch.setattr("store.client_runs._BELOW", f"tags.`{PARENT_TAG}` {word.replace('IS', 'IS NOT')}")
        assert [run.run_id for run in runs.list("nested", nested=False)] == [parent]
        assert {run.run_id for run in runs.list("nested")} == {parent, child}
        answers.append(runs.children())
    assert answers[0] == answers[1]
    with pytest.raises(UsageError):
        runs.list(filter="nonsense = = 1", nested=False)


def test_runs_and_models_on_a_tracking_server(server: MlflowProject) -> None:
    check_runs(server)
    runs = open_runs(server.uri)
    run_id = server.client.create_run(server.experiment("files"), run_name="files").info.run_id
    server.client.log_text(run_id, "hello", "notes/a.txt")
    assert runs.artifacts(run_id) == ["notes/a.txt"]
    copy = runs.artifact_path(run_id, "notes/a.txt")
    assert copy.read_text() == "hello"
    server.client.set_terminated(run_id)
    assert runs.artifact_path(run_id, "notes").joinpath("a.txt").read_text() == "hello"
    ended = runs.artifact_path(run_id, "notes/a.txt")
    assert runs.artifact_path(run_id, "notes/a.txt") == ended != copy
    for wrong in ("notes/b.txt", "nothing", "nothing/a.txt"):
        with pytest.raises(NotFoundError, match="has no artifact"):
            runs.artifact_path(run_id, wrong)
    check_registry(server)


def test_a_server_that_is_away_is_an_error_that_says_so() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(StorageError, match=f"{uri} refuses connections") as raised:
        open_runs(uri).experiments()
    assert raised.value.hint == "See whether the server runs and [tracking] uri is right."
    close_clients()


SETTINGS = """
[project]
name = "shop"
[tracking]
uri = "{uri}"
[pipelines.shop]
data = "rows.csv"
target = "late"
module = "mine.py"
estimator = "logistic_regression"
[pipelines.shop.split]
cv_folds = 0
"""
MODULE = "import names\n\n\ndef features(frame):\n    return frame.assign(far=names.is_far(frame['zip']))\n"
BESIDE = "def is_far(zips):\n    return zips.str.startswith('0')\n"


def test_a_model_lives_its_whole_life_on_a_tracking_server(
    server: MlflowProject,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    forked: Any,
) -> None:
    from workbench.cli import execute

    monkeypatch.setattr("pipelines.launch.starter", lambda module: forked)

    def run(*arguments: str) -> Any:
        capsys.readouterr()
        code = execute([*arguments])
        out, err = capsys.readouterr()
        # doctor finds other tests' models without files.
        assert code == 0 or arguments[0] == "doctor", err
        return json.loads(out) if "--json" in arguments else out + err

    rows = "".join(f"{'0213' if n % 3 else '9021'}{n % 5},{n % 7},{'ny'[n % 3 > 0]}\n" for n in range(120))
    for name, content in {
        "workbench.toml": SETTINGS.format(uri=server.uri),
        "rows.csv": "zip,items,late\n" + rows,
        "mine.py": MODULE,
        "names.py": BESIDE,
    }.items():
        (tmp_path / name).write_text(content)
    monkeypatch.chdir(tmp_path)
    trained = run("train", "--json")
    assert (trained["version"], trained["promoted"]) == (1, True)
    (row,) = run("runs", "list", "-e", "shop", "--json")
    assert row["versions"] == [{"model": "shop", "version": 1, "aliases": ["champion"]}]
    assert row["tags"]["workbench.dataset"] == run("data", "versions", "--json")[0]["version"]
    inputs = server.client.get_run(row["run_id"]).inputs.dataset_inputs
    assert row["tags"]["workbench.dataset"].startswith(inputs[0].dataset.digest)
    assert "shop version 1 loads" in [item["message"] for item in run("doctor", "--json")]
    run("runs", "export", row["run_id"], "-O", "handed")
    assert (tmp_path / "handed" / "names.py").read_text() == BESIDE
    assert (tmp_path / "handed" / "data" / "expected.parquet").is_file()
    reference = reference_path(Layout.of(tmp_path), "shop", 1)
    kept = reference.read_text()
    reference.unlink()  # as on a machine that serves what another one has trained
    scored = run("predict", "shop", "rows.csv")
    assert reference.read_text() == kept
    assert scored.splitlines()[1].startswith("90210,0,n,n,")
    shutil.rmtree(tmp_path / ".workbench" / "models")
    assert [row["is_valid"] for row in run("models", "validate", "shop", "--json")] == [True]
    run("models", "archive", "shop", "1", "--yes")
    assert run("models", "promote", "shop", "1", "--yes", "--json")["to"] == 1

    monkeypatch.setenv("WORKBENCH_TRACKING__URI", "http://127.0.0.1:1")
    status = run("status", "--json")
    assert (status["models"], len(status["jobs"])) == ([], 1)
    assert "refuses connections" in status["problems"][0]
