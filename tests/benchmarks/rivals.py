"""The servers that are compared: workbench, `mlflow models serve` and the FastAPI app of common tutorials.

The other two live in an environment of their own with the versions of constraints.txt, as their users have
them (and uvicorn's own extras, which make both a little quicker). Each server has one model and one worker.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

MODELS = ("linear", "boosting", "forest")
SERVERS = ("workbench", "mlflow", "tutorial")
_ROOT = Path(__file__).resolve().parents[2]
_PACKAGES = ("mlflow", "scikit-learn", "pandas", "skops", "fastapi", "uvicorn[standard]")

_TRAIN = """
import sys
import mlflow
import mlflow.sklearn
import skops.io
from mlflow import MlflowClient
from mlflow.models import infer_signature
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
name = sys.argv[1]
boosting = GradientBoostingClassifier(n_estimators=200, max_depth=5, learning_rate=0.05, random_state=0)
model = {
    "linear": make_pipeline(StandardScaler(), LogisticRegression()),
    "boosting": make_pipeline(StandardScaler(), boosting),
    "forest": RandomForestClassifier(200, random_state=0),
}[name]
model.fit(X, y)
skops.io.dump(model, "model.skops")
with mlflow.start_run():
    mlflow.sklearn.log_model(
        model,
        name="model",
        registered_model_name=name,
        signature=infer_signature(X, y),
        serialization_format="skops",
        skops_trusted_types=skops.io.get_untrusted_types(file="model.skops"),
        pip_requirements=["scikit-learn"],
    )
MlflowClient().set_registered_model_alias(name, "champion", 1)
"""

_TUTORIAL = """
import time
from contextlib import asynccontextmanager

import pandas as pd
import skops.io
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel
from sklearn.datasets import load_breast_cancer

model = None
names = list(load_breast_cancer().feature_names)


@asynccontextmanager
async def lifespan(app):
    global model
    model = skops.io.load("model.skops", trusted=skops.io.get_untrusted_types(file="model.skops"))
    yield


class PredictionRequest(BaseModel):
    features: list[float]


class PredictionResponse(BaseModel):
    prediction: int
    probability: float
    confidence: str
    latency_ms: float


app = FastAPI(lifespan=lifespan)


@app.post("/predict", response_model=PredictionResponse)
def predict(request: PredictionRequest):
    if model is None:
        raise HTTPException(503, "Model not loaded")
    started = time.time()
    frame = pd.DataFrame([request.features], columns=names)
    prediction = int(model.predict(frame)[0])
    probability = float(model.predict_proba(frame)[0][1])
    sure = max(probability, 1 - probability)
    return PredictionResponse(
        prediction=prediction,
        probability=probability,
        confidence="high" if sure > 0.8 else "medium" if sure > 0.6 else "low",
        latency_ms=(time.time() - started) * 1000,
    )


@app.post("/predict/batch", response_model=list[PredictionResponse])
def predict_batch(requests: list[PredictionRequest]):
    return [predict(request) for request in requests]
"""


@dataclass(frozen=True)
class Rival:
    """How to start a server for one model, and how a single row and a batch are asked of it."""

    name: str
    command: Callable[[int], list[str]]
    """From the port to the command."""
    folder: Path
    environment: dict[str, str]
    path: str
    batch_path: str
    row: Callable[[list[float]], object]
    batch: Callable[[list[list[float]]], object]

    def row_body(self, row: list[float]) -> bytes:
        return json.dumps(self.row(row)).encode()

    def batch_body(self, rows: list[list[float]]) -> bytes:
        return json.dumps(self.batch(rows)).encode()


def peers_python(folder: Path | None) -> str:
    """The Python of the peers' environment, which is made at the first use."""
    if folder is None:
        key = hashlib.sha256((_ROOT / "constraints.txt").read_bytes()).hexdigest()[:12]
        folder = Path(tempfile.gettempdir()) / f"workbench-benchmark-peers-{os.getuid()}-{key}"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists() and not (folder / "bin" / "mlflow").exists():
        print(f"making an environment for the peers in {folder} …", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        constraints = ["-c", str(_ROOT / "constraints.txt")]
        subprocess.run([python, "-m", "pip", "install", "-q", *constraints, *_PACKAGES], check=True)
        (folder / "complete").touch()
    return str(python)


def train(folder: Path, name: str) -> None:
    """A model with the alias champion in a file store of its own, with a project and the tutorial's app."""
    from store.tracking import tracking_environment

    folder.mkdir()
    (folder / "workbench.toml").write_text('[project]\nname = "benchmark"\n')
    (folder / "tutorial.py").write_text(_TUTORIAL)
    environment = {**os.environ, **tracking_environment((folder / "mlruns").as_uri())}
    command = [sys.executable, "-W", "ignore", "-c", _TRAIN, name]
    subprocess.run(command, cwd=folder, env=environment, check=True, stderr=subprocess.DEVNULL)


def rivals(folder: Path, model: str, peers: str) -> dict[str, Rival]:
    """The three servers for a model that `train` has made in the folder."""
    from sklearn.datasets import load_breast_cancer

    from store.tracking import tracking_environment

    columns = [str(name) for name in load_breast_cancer().feature_names]
    plain = {name: value for name, value in os.environ.items() if not name.startswith("WORKBENCH_")}
    plain.pop("PYTHONDONTWRITEBYTECODE", None)
    plain["PATH"] = f"{Path(peers).parent}{os.pathsep}{plain.get('PATH', os.defpath)}"
    tracking = {**plain, **tracking_environment((folder / "mlruns").as_uri())}
    tracking.pop("WORKBENCH_MLFLOW_PLUGIN", None)

    def split(rows: list[list[float]]) -> object:
        return {"dataframe_split": {"columns": columns, "data": rows}}

    def workbench(port: int) -> list[str]:
        options = ["-C", str(folder), "serve", "--port", str(port)]
        return [sys.executable, "-P", "-m", "workbench", *options]

    def mlflow(port: int) -> list[str]:
        options = ["-m", f"models:/{model}@champion", "--env-manager", "local", "--workers", "1"]
        return [peers, "-m", "mlflow", "models", "serve", *options, "--port", str(port)]

    def tutorial(port: int) -> list[str]:
        options = ["--port", str(port), "--log-level", "warning"]
        return [peers, "-m", "uvicorn", "tutorial:app", *options]

    return {
        "workbench": Rival(
            "workbench",
            workbench,
            folder,
            plain,
            "/predict",
            "/predict/batch",
            lambda row: {"features": row},
            lambda rows: rows,
        ),
        "mlflow": Rival(
            "mlflow",
            mlflow,
            folder,
            tracking,
            "/invocations",
            "/invocations",
            lambda row: split([row]),
            split,
        ),
        "tutorial": Rival(
            "tutorial",
            tutorial,
            folder,
            plain,
            "/predict",
            "/predict/batch",
            lambda row: {"features": row},
            lambda rows: [{"features": row} for row in rows],
        ),
    }
