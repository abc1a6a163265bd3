"""Models of mixed columns, which take a data frame: our server beside MLflow's and the tutorials' app.

    python -m tests.benchmarks.mixed_columns                    about three minutes
    python -m tests.benchmarks.mixed_columns --models linear --servers workbench tutorial --rounds 1
    python -m tests.benchmarks.mixed_columns --before FOLDER    with another checkout of workbench beside them

The data are the demo's bike rentals by the hour (9 numbers, 2 columns of text); the question is whether more
than a hundred bikes are out. The Pipeline is the usual one: a ColumnTransformer with SimpleImputer and
StandardScaler for numbers, SimpleImputer and OneHotEncoder for text; then LogisticRegression, a random forest
of 200 trees, histogram gradient boosting, or a support vector machine, which has no plan of its own. Single
rows as JSON objects, one worker each, in turn; medians of rounds count. workbench writes its prediction log
meanwhile. The last column: how many times our CPU time a request takes.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.benchmarks.http_load import load, post
from tests.benchmarks.process_group import Served, served
from tests.benchmarks.rivals import Rival, peers_python, rivals

MODELS = ("linear", "forest", "histogram", "svm")
SERVERS = ("workbench", "before", "mlflow", "tutorial")
CONNECTIONS = (1, 32)
_BIKES = Path(__file__).resolve().parents[2] / "workbench" / "demo" / "data" / "bikes"
_NUMBERS = ("day", "hr", "holiday", "weekday", "workingday", "temp", "atemp", "hum", "windspeed")
_TEXTS = ("mnth", "weathersit")

_TRAIN = f"""
import sys
import mlflow
import mlflow.sklearn
import pandas as pd
import skops.io
from mlflow import MlflowClient
from mlflow.models import infer_signature
from pathlib import Path
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

name, folder = sys.argv[1:]
data = pd.concat(pd.read_csv(path) for path in sorted(Path(folder).glob("*.csv")))
numbers, texts = list({_NUMBERS!r}), list({_TEXTS!r})
X, y = data[numbers + texts], (data["bikers"] > 100).astype(int)
last = {{
    "linear": LogisticRegression(max_iter=1000),
    "forest": RandomForestClassifier(200, max_depth=12, random_state=0),
    "histogram": HistGradientBoostingClassifier(random_state=0),
    "svm": SVC(),
}}[name]
dense = name == "histogram"
before = ColumnTransformer(
    [
        ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
        (
            "texts",
            make_pipeline(
                SimpleImputer(strategy="most_frequent"),
                OneHotEncoder(handle_unknown="ignore", sparse_output=not dense),
            ),
            texts,
        ),
    ]
)
model = make_pipeline(before, last).fit(X, y)
skops.io.dump(model, "model.skops")
with mlflow.start_run():
    mlflow.sklearn.log_model(
        model,
        name="model",
        registered_model_name=name,
        signature=infer_signature(X, y),
        input_example=X.head(2),
        serialization_format="skops",
        skops_trusted_types=skops.io.get_untrusted_types(file="model.skops"),
        pip_requirements=["scikit-learn"],
    )
MlflowClient().set_registered_model_alias(name, "champion", 1)
"""

_TUTORIAL = f"""
import time
from contextlib import asynccontextmanager

import pandas as pd
import skops.io
from fastapi import FastAPI
from pydantic import create_model

model = None
fields = {{name: (float, ...) for name in {_NUMBERS!r}}} | {{name: (str, ...) for name in {_TEXTS!r}}}
Row = create_model("Row", **fields)


@asynccontextmanager
async def lifespan(app):
    global model
    model = skops.io.load("model.skops", trusted=skops.io.get_untrusted_types(file="model.skops"))
    yield


app = FastAPI(lifespan=lifespan)


@app.post("/predict")
def predict(row: Row):
    started = time.time()
    frame = pd.DataFrame([row.model_dump()])
    answer = {{"prediction": int(model.predict(frame)[0])}}
    if hasattr(model, "predict_proba"):
        answer["probability"] = float(model.predict_proba(frame)[0][1])
    return {{**answer, "latency_ms": (time.time() - started) * 1000}}
"""


def rows_of_data() -> list[dict[str, Any]]:
    import csv

    lines: list[dict[str, str]] = []
    for path in sorted(_BIKES.glob("*.csv")):
        with path.open(newline="") as stream:
            lines += csv.DictReader(stream)
    wholes = _NUMBERS[:5]
    return [
        {name: int(line[name]) for name in wholes}
        | {name: float(line[name]) for name in _NUMBERS[5:]}
        | {name: line[name] for name in _TEXTS}
        for line in lines[::97]
    ]


def train(folder: Path, model: str) -> None:
    """A champion in a file store of its own, with a project and the tutorial's app."""
    from store.tracking import tracking_environment

    folder.mkdir()
    (folder / "workbench.toml").write_text('[project]\nname = "benchmark"\n')
    (folder / "tutorial.py").write_text(_TUTORIAL)
    environment = {**os.environ, **tracking_environment((folder / "mlruns").as_uri())}
    command = [sys.executable, "-W", "ignore", "-c", _TRAIN, model, str(_BIKES)]
    subprocess.run(command, cwd=folder, env=environment, check=True, stderr=subprocess.DEVNULL)


def contenders(folder: Path, model: str, peers: str, options: argparse.Namespace) -> dict[str, Rival]:
    names = [*_NUMBERS, *_TEXTS]
    found = rivals(folder, model, peers)
    ours = replace(found["workbench"], row=lambda row: row)
    found["workbench"] = ours
    found["tutorial"] = replace(found["tutorial"], row=lambda row: row)
    found["mlflow"] = replace(
        found["mlflow"],
        row=lambda row: {"dataframe_split": {"columns": names, "data": [[row[name] for name in names]]}},  # type: ignore[call-overload]
    )
    if options.before is not None:
        older = {**ours.environment, "PYTHONPATH": str(options.before.resolve())}
        found["before"] = replace(ours, environment=older)
    return {name: found[name] for name in options.servers if name in found}


def measure(model: str, folder: Path, peers: str, options: argparse.Namespace) -> None:
    every = contenders(folder, model, peers, options)
    rows: list[Any] = rows_of_data()
    requests = {name: [post(r.path, r.row_body(row)) for row in rows] for name, r in every.items()}
    samples: dict[tuple[str, int], list[tuple[float, ...]]] = {}
    with contextlib.ExitStack() as stack:
        servers: dict[str, Served] = {}
        for name, rival in every.items():
            first = rival.row_body(rows[0])
            server = served(rival.command, rival.folder, rival.environment, rival.path, first)
            servers[name] = stack.enter_context(server)
            load(servers[name].url, requests[name], 4, 0.5)
        for _ in range(options.rounds):
            for number in CONNECTIONS:
                for name, running in servers.items():
                    cpu = running.cpu_s()
                    latencies = load(running.url, requests[name], number, options.seconds)
                    used = (running.cpu_s() - cpu) / len(latencies) * 1e6
                    cuts = statistics.quantiles(latencies, n=100) if len(latencies) > 1 else latencies * 99
                    rate = len(latencies) / options.seconds
                    samples.setdefault((name, number), []).append(
                        (rate, cuts[49] * 1e3, cuts[98] * 1e3, used)
                    )
        for (name, number), found in samples.items():
            rate, p50, p99, used = (statistics.median(values) for values in zip(*found, strict=True))
            own, ours = statistics.median(f[3] for f in samples["workbench", number]), used
            times = f"{ours / own:6.1f} ×" if name != "workbench" else ""
            print(f"{model:10} {number:>5} {name:10} {rate:8,.0f} {p50:8.2f} {p99:8.2f} {used:8,.0f} {times}")
        for name, running in servers.items():
            worker, _, _ = running.memory()
            print(f"{model:10} {name:10} start {running.started_in_s:5.1f} s, worker {worker:4.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.5, help="of load for each figure in each round")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--servers", nargs="+", choices=SERVERS, default=SERVERS)
    parser.add_argument("--before", type=Path, metavar="FOLDER", help="another checkout of workbench")
    parser.add_argument(
        "--peers", type=Path, help="an environment with mlflow, scikit-learn, fastapi, uvicorn"
    )
    options = parser.parse_args()
    options.servers = list(dict.fromkeys(["workbench", *options.servers]))
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    needs_peers = {"mlflow", "tutorial"} & set(options.servers)
    peers = peers_python(options.peers) if needs_peers else sys.executable
    heads = ("req/s", "p50 ms", "p99 ms", "CPU µs")
    print(
        f"{'model':10} {'conn.':>5} {'server':10} " + " ".join(f"{head:>8}" for head in heads) + "  of ours"
    )
    with tempfile.TemporaryDirectory(prefix="workbench-benchmark-") as name:
        for model in options.models:
            train(Path(name) / model, model)
            measure(model, Path(name) / model, peers, options)


if __name__ == "__main__":
    main()
