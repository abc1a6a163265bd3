"""A project in a folder of its own, runs in it as MLflow lays them out, and the command line on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from store.layout import Layout

SETTINGS = """\
[project]
name = "shop"

[pipelines.churn]
data = "data/customers.csv"
target = "churned"

[pipelines.spend]
data = "data/customers.csv"
target = "total"
"""
EXPERIMENT_IDS = {"churn": "101", "spend": "102", "scratch": "103"}
MLMODEL = """\
artifact_path: model
flavors:
  python_function:
    loader_module: mlflow.sklearn
    model_path: model.skops
    python_version: 3.11.0
  sklearn:
    pickled_model: model.skops
    serialization_format: skops
    sklearn_version: 1.6.0
run_id: {run_id}
"""


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Workbench = Callable[..., Result]


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings from outside, and nothing that a command sets stays."""
    for name in list(os.environ):
        if name.startswith(("WORKBENCH_", "MLFLOW_", "MODEL_")) or name in (
            "PORT",
            "NO_COLOR",
            "FORCE_COLOR",
        ):
            monkeypatch.delenv(name)
    for name in ("MLFLOW_ALLOW_FILE_STORE", "MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
        monkeypatch.setenv(name, "true")
    monkeypatch.setenv("WORKBENCH_DEBUG", "0")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def workbench(capsys: pytest.CaptureFixture[str]) -> Workbench:
    """Runs the command line in this process and returns its exit code, stdout and stderr."""
    from workbench.cli import execute

    def run(*args: str | Path) -> Result:
        capsys.readouterr()
        code = execute([str(arg) for arg in args])
        out, err = capsys.readouterr()
        return Result(code, out, err)

    return run


@pytest.fixture
def forked_trainings(forked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is trained in this process is forked, for tests of what is around a training."""
    monkeypatch.setattr("pipelines.launch.starter", lambda module: forked)


@pytest.fixture
def process() -> Workbench:
    """Runs the command line in a process of its own."""

    def run(*args: str | Path, **options: Any) -> Result:
        done = subprocess.run(
            [sys.executable, "-m", "workbench", *map(str, args)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            stdin=subprocess.DEVNULL,
            **options,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with two pipelines on one small file, and no runs; the current folder."""
    (tmp_path / "workbench.toml").write_text(SETTINGS)
    (tmp_path / "data").mkdir()
    rows = [f"{20 + i % 50},{i % 7},{i % 2},{i * 1.5}" for i in range(60)]
    (tmp_path / "data" / "customers.csv").write_text("\n".join(["age,orders,churned,total", *rows, ""]))
    return tmp_path


@pytest.fixture
def make_run(project: Path) -> Callable[..., str]:
    """Writes a finished run, with a model on request, as MLflow's file store lays it out; returns its id."""
    started = iter(range(1_767_225_600_000, 1_800_000_000_000, 60_000))

    def write(
        name: str,
        *,
        experiment: str = "churn",
        params: Mapping[str, object] | None = None,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
        has_model: bool = False,
        status: int = 3,
    ) -> str:
        experiment_folder = project / "mlruns" / EXPERIMENT_IDS[experiment]
        if not experiment_folder.exists():
            experiment_folder.mkdir(parents=True)
            (experiment_folder / "meta.yaml").write_text(
                f"artifact_location: {experiment_folder.as_uri()}\ncreation_time: 1767225600000\n"
                f"experiment_id: '{experiment_folder.name}'\nlast_update_time: 1767225600000\n"
                f"lifecycle_stage: active\nname: {experiment}\n"
            )
        run_id = uuid.uuid4().hex
        folder = experiment_folder / run_id
        for part in ("params", "metrics", "tags", "artifacts"):
            (folder / part).mkdir(parents=True)
        begin = next(started)
        for key, value in (params or {}).items():
            (folder / "params" / key).write_text(str(value))
        for key, value in (metrics or {}).items():
            (folder / "metrics" / key).write_text(f"{begin} {value} 0\n")
        for key, value in {"mlflow.runName": name, **(tags or {})}.items():
            (folder / "tags" / key).write_text(value)
        if has_model:
            model = folder / "artifacts" / "model"
            model.mkdir()
            (model / "MLmodel").write_text(MLMODEL.format(run_id=run_id))
        (folder / "meta.yaml").write_text(
            f"artifact_uri: {(folder / 'artifacts').as_uri()}\nend_time: {begin + 2000}\n"
            f"experiment_id: '{experiment_folder.name}'\nlifecycle_stage: active\nrun_id: {run_id}\n"
            f"run_name: {name}\nrun_uuid: {run_id}\nsource_name: ''\nsource_type: 4\nsource_version: ''\n"
            f"start_time: {begin}\nstatus: {status}\ntags: []\nuser_id: ann\n"
        )
        return run_id

    return write


@pytest.fixture
def versions(make_run: Callable[..., str], workbench: Workbench) -> list[str]:
    """Three registered versions of `churn`, roc_auc 0.90, 0.95 and 0.93; returns their runs' ids."""
    run_ids = [
        make_run(
            f"try-{i}", params={"max_depth": i}, metrics={"roc_auc": auc, "log_loss": 1 - auc}, has_model=True
        )
        for i, auc in enumerate((0.90, 0.95, 0.93), 1)
    ]
    for run_id in run_ids:
        registered = workbench("models", "register", run_id)
        assert registered.code == 0, registered.err
    return run_ids


@pytest.fixture
def add_model(project: Path, make_run: Callable[..., str], workbench: Workbench) -> Callable[..., str]:
    """Registers a version of `churn` that a server can load, as champion; returns its run's id.

    It predicts 1 where `orders` is above 3; `age` is 0 to 120 and has no influence.
    """
    import numpy as np
    import skops.io
    import yaml
    from sklearn.linear_model import LogisticRegression

    def add(name: str = "served", *, metrics: Mapping[str, float] | None = None, promote: bool = True) -> str:
        run_id = make_run(name, metrics=metrics or {"roc_auc": 0.9}, has_model=True)
        (folder,) = project.glob(f"mlruns/*/{run_id}/artifacts/model")
        X = np.array([[40.0, orders] for orders in range(8)])
        skops.io.dump(LogisticRegression(C=100.0).fit(X, (X[:, 1] > 3).astype(int)), folder / "model.skops")
        document = yaml.safe_load((folder / "MLmodel").read_text())
        inputs = [
            {"name": "age", "type": "double", "required": True},
            {"name": "orders", "type": "double", "required": True},
        ]
        document["signature"] = {"inputs": json.dumps(inputs), "outputs": None, "params": None}
        document["metadata"] = {"workbench": {"columns": {"age": {"min": 0, "max": 120}}}}
        document["saved_input_example_info"] = {"artifact_path": "input_example.json"}
        (folder / "MLmodel").write_text(yaml.safe_dump(document))
        (folder / "input_example.json").write_text(
            json.dumps({"columns": ["age", "orders"], "data": [[42.0, 5.0]]})
        )
        registered = workbench("models", "register", run_id, "--json")
        assert registered.code == 0, registered.err
        if promote:
            version = registered.json["version"]
            promoted = workbench("models", "promote", "churn", str(version), "--yes")
            assert promoted.code == 0, promoted.err
        return run_id

    return add


NOON = datetime(2026, 5, 2, 12, tzinfo=UTC)


@dataclass
class Drifting:
    """A project whose regression of bikes was trained on 2,000 rows and is asked as a test says."""

    root: Path
    layout: Layout
    seed: int = 6

    def train(self, version: int = 1) -> None:
        """Publish the reference of a version."""
        from store.profile import build_profile
        from store.references import publish_reference

        temp, season, hum = self._rows(2000, 0.0)
        columns = {"temp": temp, "season": season, "hum": hum}
        kinds: Any = {"temp": "numeric", "season": "categorical", "hum": "numeric"}
        profile = build_profile(columns, kinds, temp * 10, task="regression")
        publish_reference(self.layout, "bikes", version, profile)

    def ask(
        self,
        rows: int,
        at: datetime,
        *,
        shift: float = 0.0,
        labelled: bool = False,
        role: str = "champion",
    ) -> None:
        """Predictions of `temp`, moved by `shift`, one after the other; the truth differs by one or more."""
        import numpy as np

        from store.log import FeatureSchema, PredictionLog, new_prediction_ids
        from store.settings import StoreSettings

        temp, season, hum = self._rows(rows, shift)
        ids = new_prediction_ids(rows)
        log = PredictionLog(self.layout, StoreSettings())
        assert log.append(
            model="bikes",
            version=1,
            schema=FeatureSchema(("temp", "season", "hum"), ("numeric", "categorical", "numeric")),
            prediction_ids=ids,
            predicted_at=at,
            predictions=(temp * 10).tolist(),
            probability=None,
            probabilities=None,
            classes=None,
            numeric=np.column_stack([temp, hum]).tolist(),
            categorical=[[one] for one in season],
            latency_ms=0.3,
            role=role,
        )
        if labelled:
            truth = [value * 10 + 1 + place % 3 for place, value in enumerate(temp)]
            assert log.append_feedback([(one, true, None) for one, true in zip(ids, truth, strict=True)])
        log.close()

    def hours(self, *shifts: float, rows: int = 600, labelled: bool = False) -> None:
        """Rows in each of the hours before noon, and what the monitor makes of them at noon."""
        for place, shift in enumerate(shifts):
            at = NOON - timedelta(hours=len(shifts) - place, minutes=-20)
            self.ask(rows, at, shift=shift, labelled=labelled)
        self.look()

    def look(self) -> None:
        from store.fold import fold
        from store.settings import StoreSettings
        from workbench.monitoring import Monitor

        fold(self.layout, StoreSettings())
        assert Monitor(self.root).tick(NOON + timedelta(minutes=1)).problems == ()

    def _rows(self, rows: int, shift: float) -> tuple[Any, Any, Any]:
        import numpy as np

        rng = np.random.default_rng(self.seed)
        self.seed += 1
        seasons = ["spring", "fall"] if not shift else ["spring", "fall", "winter"]
        return rng.normal(20 + shift, 5, rows), rng.choice(seasons, rows), rng.uniform(0, 1, rows)


@pytest.fixture(scope="session")
def make_drifting() -> Callable[[Path], Drifting]:
    """Makes a project named shop in which predictions of one model may drift; its reference is published."""

    def make(root: Path) -> Drifting:
        (root / "mlruns").mkdir(parents=True)
        (root / "workbench.toml").write_text(
            '[project]\nname = "shop"\n\n[pipelines.bikes]\ndata = "d.csv"\ntarget = "n"\n'
            '[pipelines.bikes.monitor]\nsegments = ["season"]\n'
        )
        made = Drifting(root, Layout.of(root).ensure())
        made.train()
        return made

    return make


@pytest.fixture
def drifting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_drifting: Callable[[Path], Drifting]
) -> Drifting:
    """Such a project."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return make_drifting(tmp_path / "drifting")
