"""Projects with logged models, written as MLflow writes them, and real servers for them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import yaml

from store.layout import Layout
from store.registry import Registry
from store.tracking import open_registry

START = 1_795_295_183_375
DEADLINE_S = 60.0

RUN_SERVER = """
import json, sys
from pathlib import Path
import serve.main
from serve.main import ServerConfig
from serve.main import serve as answer
from serve.settings import ServeSettings
from store.layout import Layout
from store.settings import StoreSettings
options = json.loads(sys.argv[1])
root = Path(options["root"])
imported = serve.main.import_model_libraries

def import_and_give_time():
    imported()
    import serve.worker  # which is imported next
    serve.worker.GRACE_S = 15.0  # before an end is cut off: on a busy machine one in order takes longer

serve.main.import_model_libraries = import_and_give_time
answer(
    ServerConfig(
        settings=ServeSettings.model_validate(options["settings"]),
        store=StoreSettings.model_validate(options["store"]),
        tracking_uri=options["tracking_uri"],
        layout=Layout.of(root) if options["logged"] else None,
        model_order=tuple(options["model_order"]),
        uri=options["uri"],
    ),
    on_ready=lambda info: print(json.dumps(info.as_json()), flush=True),
)
"""


@dataclass
class Project:
    """A project's folder with a file store in it."""

    root: Path
    models: list[str] = field(default_factory=list)

    @property
    def layout(self) -> Layout:
        return Layout.of(self.root)

    @property
    def uri(self) -> str:
        return (self.root / "mlruns").as_uri()

    @property
    def registry(self) -> Registry:
        return open_registry(self.uri, self.layout)

    def add(
        self,
        name: str,
        estimator: Any,
        *,
        inputs: Sequence[Mapping[str, Any]] | None = None,
        example: Sequence[Sequence[Any]] | None = None,
        metadata: Mapping[str, Any] | None = None,
        code: Mapping[str, str] | None = None,
        serialization: str = "skops",
        promote: bool = True,
    ) -> int:
        """Register a fitted estimator as the next version of a model, as champion unless told otherwise."""
        run_id, model_id = uuid.uuid4().hex, f"m-{uuid.uuid4().hex}"
        experiment = self.root / "mlruns" / "1"
        model_dir = experiment / "models" / model_id / "artifacts"
        _write_model(
            model_dir,
            estimator,
            inputs=inputs,
            example=example,
            metadata=metadata,
            code=code,
            serialization=serialization,
            run_id=run_id,
            model_id=model_id,
        )
        if not (experiment / "meta.yaml").exists():
            _write_yaml(
                experiment / "meta.yaml",
                artifact_location=experiment.as_uri(),
                creation_time=START,
                experiment_id="1",
                last_update_time=START,
                lifecycle_stage="active",
                name="tests",
            )
        _write_yaml(
            experiment / "models" / model_id / "meta.yaml",
            artifact_location=model_dir.as_uri(),
            creation_timestamp=START,
            experiment_id="1",
            last_updated_timestamp=START,
            model_id=model_id,
            model_type=None,
            name="model",
            source_run_id=run_id,
            status=2,
            status_message=None,
        )
        run = experiment / run_id
        for folder in ("params", "metrics", "tags", "artifacts"):
            (run / folder).mkdir(parents=True)
        (run / "metrics" / "roc_auc").write_text(f"{START} 0.99 0\n")
        _write_yaml(
            run / "meta.yaml",
            artifact_uri=(run / "artifacts").as_uri(),
            end_time=START + 1000,
            entry_point_name="",
            experiment_id="1",
            lifecycle_stage="active",
            run_id=run_id,
            run_name="test",
            source_name="",
            source_type=4,
            source_version="",
            start_time=START,
            status=3,
            tags=[],
            user_id="tester",
        )
        version = self.registry.register(name, run_id=run_id, source=f"models:/{model_id}").version
        if promote:
            self.registry.promote(name, version)
        if name not in self.models:
            self.models.append(name)
        return version


def _write_model(
    folder: Path,
    estimator: Any,
    *,
    inputs: Sequence[Mapping[str, Any]] | None = None,
    example: Sequence[Sequence[Any]] | None = None,
    metadata: Mapping[str, Any] | None = None,
    code: Mapping[str, str] | None = None,
    serialization: str = "skops",
    run_id: str = "0" * 32,
    model_id: str = "m-0",
) -> Path:
    """A model's folder as `mlflow.sklearn.log_model` leaves it."""
    import skops.io

    folder.mkdir(parents=True)
    file_name = "model.skops" if serialization == "skops" else "model.pkl"
    if serialization == "skops":
        skops.io.dump(estimator, folder / file_name)
    else:
        import pickle

        (folder / file_name).write_bytes(pickle.dumps(estimator))
    for path, text in (code or {}).items():
        target = folder / "code" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    document: dict[str, Any] = {
        "flavors": {
            "python_function": {
                "loader_module": "mlflow.sklearn",
                "model_path": file_name,
                "python_version": ".".join(map(str, sys.version_info[:3])),
            },
            "sklearn": {
                "code": "code" if code else None,
                "pickled_model": file_name,
                "serialization_format": serialization,
            },
        },
        "model_id": model_id,
        "run_id": run_id,
    }
    if inputs is not None:
        document["signature"] = {"inputs": json.dumps(list(inputs)), "outputs": None, "params": None}
    if metadata is not None:
        document["metadata"] = {"workbench": dict(metadata)}
    if example is not None:
        names = [entry["name"] for entry in inputs or () if "name" in entry]
        stored = {"columns": names, "data": list(example)} if names else list(example)
        (folder / "input_example.json").write_text(json.dumps(stored))
        document["saved_input_example_info"] = {"artifact_path": "input_example.json"}
    _write_yaml(folder / "MLmodel", **document)
    return folder


def _columns(**types: str) -> list[dict[str, Any]]:
    """Columns of a signature; a type that ends with ? may be missing."""
    return [
        {"name": name, "type": kind.rstrip("?"), "required": not kind.endswith("?")}
        for name, kind in types.items()
    ]


def _write_yaml(path: Path, **values: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(values))


@dataclass
class Server:
    """A server in a process of its own."""

    process: subprocess.Popen[str]
    url: str
    log: Path
    client: httpx.Client

    def post(self, path: str, json: Any = None, **options: Any) -> httpx.Response:
        return (
            self.client.post(path, json=json, **options)
            if json is not None
            else (self.client.post(path, **options))
        )

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.client.get(path, **options)

    def metric(self, line_start: str) -> float:
        """The value of the metric whose line starts so; 0 where it isn't there."""
        for line in self.get("/metrics").text.splitlines():
            if line.startswith(line_start):
                return float(line.rpartition(" ")[2])
        return 0.0


@contextmanager
def _running(
    project: Project,
    *,
    settings: Mapping[str, Any] | None = None,
    store: Mapping[str, Any] | None = None,
    uri: str | None = None,
    logged: bool = True,
    tracking_uri: str | None = None,
) -> Iterator[Server]:
    """A server for a project on a free port, ended with the block."""
    options = {
        "root": str(project.root),
        "settings": {"port": 0, "reload_seconds": 0.1, **(settings or {})},
        "store": dict(store or {}),
        "tracking_uri": tracking_uri or project.uri,
        "logged": logged,
        "model_order": project.models,
        "uri": uri,
    }
    log = project.root / f"server-{uuid.uuid4().hex[:6]}.log"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("WORKBENCH_")}
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-c", RUN_SERVER, json.dumps(options)],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env=environment,
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, f"the server did not start: {log.read_text()}"
        url = json.loads(line)["url"]
        with httpx.Client(base_url=url, timeout=30) as client:
            yield Server(process, url, log, client)
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(90)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()


def _wait_until(condition: Callable[[], Any], what: str, deadline_s: float = DEADLINE_S) -> Any:
    """Ask until the condition holds; fails with `what` after the deadline."""
    ends_at = time.monotonic() + deadline_s
    while time.monotonic() < ends_at:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"did not happen within {deadline_s} s: {what}")


@pytest.fixture(scope="session")
def running() -> Callable[..., Any]:
    """Runs a server for a project while a block lasts."""
    return _running


@pytest.fixture(scope="session")
def wait_until() -> Callable[..., Any]:
    """Asks until a condition holds, with a deadline."""
    return _wait_until


@pytest.fixture(scope="session")
def columns() -> Callable[..., list[dict[str, Any]]]:
    """Makes the columns of a signature."""
    return _columns


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture(scope="session")
def flower_data() -> tuple[np.ndarray, np.ndarray]:
    """Two clearly different groups in four columns; shape (120, 4) and labels 0 and 1."""
    random = np.random.default_rng(7)
    y = np.arange(120) % 2
    return random.normal(size=(120, 4)) + y[:, None] * [1.5, -1.0, 0.5, 0.0], y


@pytest.fixture(scope="session")
def several_models(tmp_path_factory: pytest.TempPathFactory, flower_data: Any) -> Project:
    """Models of every kind: two classes, three, regression, mixed columns, refused."""
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    project = Project(tmp_path_factory.mktemp("several"))
    X, y = flower_data
    named = pd.DataFrame(X, columns=["a", "b", "c d", "é"])
    scaled = Pipeline([("scaler", StandardScaler()), ("model", LogisticRegression())])
    project.add(
        "two",
        scaled.fit(named, y),
        inputs=_columns(**{"a": "double", "b": "double", "c d": "double", "é": "double"}),
        example=X[:2].tolist(),
        metadata={
            "format": 1,
            "columns": {"a": {"min": -50, "max": 50, "description": "first"}, "b": {"kind": "numeric"}},
        },
    )
    three = np.where(X[:, 0] > 1, "red", np.where(X[:, 1] > 0, "green", "blue"))
    tensor = [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 4]}}]
    project.add("three", RandomForestClassifier(5, random_state=0).fit(X, three), inputs=tensor)
    project.add("unsigned", RandomForestRegressor(5, random_state=0).fit(X, X[:, 0] * 3))
    mixed = pd.DataFrame(
        {
            "age": np.where(np.arange(120) % 10 == 0, np.nan, 20 + np.arange(120) % 50),
            "orders": np.arange(120) % 7,
            "plan": np.array(["free", "pro", "team"])[np.arange(120) % 3],
            "active": np.arange(120) % 4 == 0,
        }
    )
    transformer = ColumnTransformer(
        [
            ("numbers", SimpleImputer(), ["age", "orders", "active"]),
            ("words", OneHotEncoder(handle_unknown="ignore"), ["plan"]),
        ]
    )
    project.add(
        "mixed",
        Pipeline([("columns", transformer), ("model", LogisticRegression(max_iter=1000))]).fit(mixed, y),
        inputs=_columns(age="double?", orders="long", plan="string", active="boolean"),
        example=[[30.0, 2, "pro", True]],
        metadata={
            "format": 1,
            "columns": {
                "age": {"min": 0, "max": 120, "null": True},
                "plan": {"values": ["free", "pro", "team"]},
            },
        },
    )
    project.add("pickled", LogisticRegression().fit(X, y), serialization="pickle")
    return project


@pytest.fixture(scope="session")
def server(several_models: Project) -> Iterator[Server]:
    """One server for the tests that only ask it things."""
    with _running(several_models) as server:
        yield server
