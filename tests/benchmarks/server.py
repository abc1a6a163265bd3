"""Single-row predictions a second, and their latency, beside the FastAPI app of common tutorials.

    python tests/benchmarks/server.py [--rounds 5] [--seconds 3]

Both servers run as fresh processes with one worker on this machine, together with the client, and answer in
turn, round by round: StandardScaler + LogisticRegression and a random forest of 200 trees, on scikit-learn's
breast_cancer (30 features), over 1 and over 32 connections. workbench writes its prediction log meanwhile.
The other app makes a pandas frame of each request and calls predict and predict_proba, as tutorials do.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

MODELS = ("linear", "forest")
CONNECTIONS = (1, 32)

TRAIN = """
import mlflow
import mlflow.sklearn
import skops.io
from mlflow import MlflowClient
from mlflow.models import infer_signature
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
for name, model in (
    ("linear", make_pipeline(StandardScaler(), LogisticRegression())),
    ("forest", RandomForestClassifier(200, random_state=0)),
):
    model.fit(X, y)
    skops.io.dump(model, f"{name}.skops")
    with mlflow.start_run():
        mlflow.sklearn.log_model(
            model,
            name="model",
            registered_model_name=name,
            signature=infer_signature(X, y),
            serialization_format="skops",
            skops_trusted_types=skops.io.get_untrusted_types(file=f"{name}.skops"),
            pip_requirements=["scikit-learn"],
        )
    MlflowClient().set_registered_model_alias(name, "champion", 1)
"""

TUTORIAL = """
import time
from contextlib import asynccontextmanager

import pandas as pd
import skops.io
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel
from sklearn.datasets import load_breast_cancer

models = {}
names = list(load_breast_cancer().feature_names)


@asynccontextmanager
async def lifespan(app):
    for name in ("linear", "forest"):
        file = f"{name}.skops"
        models[name] = skops.io.load(file, trusted=skops.io.get_untrusted_types(file=file))
    yield


class PredictionRequest(BaseModel):
    features: list[float]


class PredictionResponse(BaseModel):
    prediction: int
    probability: float
    confidence: str
    latency_ms: float


app = FastAPI(lifespan=lifespan)


@app.get("/health/live")
def health():
    return {"status": "healthy"}


@app.post("/models/{name}/predict", response_model=PredictionResponse)
def predict(name: str, request: PredictionRequest):
    if name not in models:
        raise HTTPException(503, "Model not loaded")
    started = time.time()
    frame = pd.DataFrame([request.features], columns=names)
    prediction = int(models[name].predict(frame)[0])
    probability = float(models[name].predict_proba(frame)[0][1])
    sure = max(probability, 1 - probability)
    return PredictionResponse(
        prediction=prediction,
        probability=probability,
        confidence="high" if sure > 0.8 else "medium" if sure > 0.6 else "low",
        latency_ms=(time.time() - started) * 1000,
    )
"""


class Connection(asyncio.Protocol):
    """Sends one request after the other on a connection that stays open."""

    def __init__(self, requests: list[bytes], ends_at: float, latencies: list[float]) -> None:
        self._requests = requests
        self._ends_at = ends_at
        self._latencies = latencies
        self._buffer = b""
        self._sent_at = 0.0
        self._count = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        found = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        if found is None or len(body) < int(found[1]):
            return
        if not head.startswith(b"HTTP/1.1 200"):
            self.done.set_exception(RuntimeError(self._buffer.decode("utf-8", "replace")[:500]))
            self._transport.close()
            return
        now = time.perf_counter()
        self._latencies.append(now - self._sent_at)
        self._buffer = b""
        if now < self._ends_at:
            self._send()
        else:
            self.done.set_result(None)
            self._transport.close()

    def connection_lost(self, _error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(ConnectionError("the server closed the connection"))

    def _send(self) -> None:
        self._count += 1
        self._sent_at = time.perf_counter()
        self._transport.write(self._requests[self._count % len(self._requests)])


async def load(url: str, requests: list[bytes], connections: int, seconds: float) -> list[float]:
    """Latencies of all requests answered within the time, in seconds."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 80
    latencies: list[float] = []
    ends_at = time.perf_counter() + seconds
    loop = asyncio.get_running_loop()
    opened = [
        await loop.create_connection(lambda: Connection(requests, ends_at, latencies), host, port)
        for _ in range(connections)
    ]
    await asyncio.gather(*(protocol.done for _, protocol in opened))
    return latencies


def requests_for(name: str) -> list[bytes]:
    from sklearn.datasets import load_breast_cancer

    rows = load_breast_cancer().data.tolist()[::7]
    bodies = [json.dumps({"features": row}).encode() for row in rows]
    head = f"POST /models/{name}/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return [f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body for body in bodies]


@contextlib.contextmanager
def served(command: list[str], folder: Path, port: int) -> Iterator[str]:
    """A server in a process of its own, ended with the block."""
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 90
        while True:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/health/live", timeout=5):
                break
            if time.monotonic() > deadline or process.poll() is not None:
                raise SystemExit(f"did not start: {' '.join(command)}")
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def train(folder: Path) -> None:
    from store.tracking import tracking_environment

    (folder / "workbench.toml").write_text('[project]\nname = "benchmark"\n')
    (folder / "tutorial.py").write_text(TUTORIAL)
    environment = {**os.environ, **tracking_environment((folder / "mlruns").as_uri())}
    subprocess.run([sys.executable, "-W", "ignore", "-c", TRAIN], cwd=folder, env=environment, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of load for each figure in each round")
    options = parser.parse_args()
    import uvloop

    figures: dict[tuple[str, int, str], list[tuple[float, float, float]]] = {}
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        train(folder)
        ours, theirs = free_port(), free_port()
        workbench = [sys.executable, "-P", "-m", "workbench", "-C", name, "serve", "--port", str(ours)]
        tutorial = [sys.executable, "-m", "uvicorn", "tutorial:app", "--port", str(theirs), "--log-level"]
        urls = {
            "workbench": stack.enter_context(served(workbench, folder, ours)),
            "tutorial": stack.enter_context(served([*tutorial, "warning"], folder, theirs)),
        }
        for model in MODELS:
            requests = requests_for(model)
            for _ in range(options.rounds):
                for connections in CONNECTIONS:
                    for server, url in urls.items():
                        taken = uvloop.run(load(url, requests, connections, options.seconds))
                        cuts = statistics.quantiles(taken, n=100) if len(taken) > 1 else [taken[0]] * 99
                        figures.setdefault((model, connections, server), []).append(
                            (len(taken) / options.seconds, cuts[49] * 1000, cuts[98] * 1000)
                        )
    print(f"{'model':8} {'connections':>11} {'server':10} {'req/s':>8} {'p50 ms':>8} {'p99 ms':>8}   ratio")
    for model in MODELS:
        for connections in CONNECTIONS:
            peer = median(figures[model, connections, "tutorial"], 0)
            for server in ("workbench", "tutorial"):
                found = figures[model, connections, server]
                rate = median(found, 0)
                print(
                    f"{model:8} {connections:11} {server:10} {rate:8,.0f} {median(found, 1):8.2f} "
                    f"{median(found, 2):8.2f} {rate / peer:6.1f}×"
                )


def median(rows: list[tuple[float, float, float]], position: int) -> float:
    return statistics.median(row[position] for row in rows)


if __name__ == "__main__":
    main()
