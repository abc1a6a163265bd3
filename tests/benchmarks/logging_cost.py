"""What the prediction log costs a server: the same server with it and without, in turn.

    python tests/benchmarks/logging_cost.py [--rounds 40] [--seconds 0.5]

Two fresh servers with one worker on this machine together with the client, single rows of StandardScaler +
LogisticRegression on scikit-learn's breast_cancer (30 features), over 1 and over 32 connections. Each round
measures both, the first in turn, and the ratio is the median of the rounds' own, so that what else the
machine does hits both; that of all requests is beside it, as the median leaves out the rare and the slow.
CPU is that of the server's process; what its helper takes to fold is apart.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import orjson
import psutil
from http_load import load, post
from process_group import Served, served

CONNECTIONS = (1, 32)
MOST_LOSS = 0.05
MOST_P99 = 1.5

TRAIN = """
import mlflow
import mlflow.sklearn
from mlflow import MlflowClient
from mlflow.models import infer_signature
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
with mlflow.start_run():
    mlflow.sklearn.log_model(
        model, name="model", registered_model_name="cancer", signature=infer_signature(X, y),
        serialization_format="skops", pip_requirements=["scikit-learn"],
    )
MlflowClient().set_registered_model_alias("cancer", "champion", 1)
"""
SERVE = """
import sys
from pathlib import Path
from serve.main import ServerConfig, serve
from serve.settings import ServeSettings
from store.layout import Layout
from store.settings import StoreSettings

root = Path(sys.argv[1])
serve(ServerConfig(
    settings=ServeSettings(port=int(sys.argv[2])),
    store=StoreSettings(),
    tracking_uri=(root / "mlruns").as_uri(),
    layout=Layout.of(root) if sys.argv[3] == "logging" else None,
    model_order=("cancer",),
    uri=None,
))
"""


@dataclass(frozen=True)
class Slice:
    """What was measured of one server in one round."""

    rate: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    """CPU time of the server's own process, a request."""
    helper_us: float
    """And of its helper."""


def measure(server: Served, requests: list[bytes], connections: int, seconds: float) -> Slice:
    processes = server.processes()
    before = {process.pid: cpu_s(process) for process in processes}
    taken = load(server.url, requests, connections, seconds)
    own = cpu_s(processes[0]) - before[server.pid]
    helper = sum(cpu_s(one) - before.get(one.pid, 0.0) for one in server.processes()[1:])
    cuts = statistics.quantiles(taken, n=100)
    us = 1e6 / len(taken)
    return Slice(len(taken) / seconds, cuts[49] * 1000, cuts[98] * 1000, own * us, helper * us)


def cpu_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=0.5, help="of load for each figure in each round")
    options = parser.parse_args()
    from sklearn.datasets import load_breast_cancer

    from store.tracking import tracking_environment

    rows = load_breast_cancer().data.tolist()[::7]
    requests = [post("/predict", orjson.dumps({"features": row})) for row in rows]
    found: dict[tuple[str, int], list[Slice]] = {}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        environment = {**os.environ, **tracking_environment((folder / "mlruns").as_uri())}
        subprocess.run([sys.executable, "-W", "ignore", "-c", TRAIN], cwd=folder, env=environment, check=True)
        body = requests[0].partition(b"\r\n\r\n")[2]
        servers: dict[str, Served] = {}
        for kind in ("logging", "without"):
            command = [sys.executable, "-P", "-c", SERVE, name]
            servers[kind] = stack.enter_context(
                served(
                    lambda port, kind=kind, command=command: [*command, str(port), kind],  # type: ignore[misc]
                    folder,
                    os.environ,
                    "/predict",
                    body,
                )
            )
        for connections in CONNECTIONS:
            for server in servers.values():
                measure(server, requests, connections, 1.0)
            for number in range(options.rounds):
                for kind in sorted(servers, reverse=number % 2 == 1):
                    one = measure(servers[kind], requests, connections, options.seconds)
                    found.setdefault((kind, connections), []).append(one)
    show(found)


def show(found: dict[tuple[str, int], list[Slice]]) -> None:
    print(f"{'connections':>11} {'':9}{'req/s':>8}{'p50 ms':>9}{'p99 ms':>9}{'CPU µs':>9}{'helper µs':>11}")
    for connections in CONNECTIONS:
        for kind in ("without", "logging"):
            print(f"{connections:11} {kind:9}", end="")
            for name, width in (("rate", 8), ("p50_ms", 9), ("p99_ms", 9), ("cpu_us", 9), ("helper_us", 11)):
                # The helper folds every few seconds: of many rounds only the mean says what that costs.
                average = statistics.mean if name == "helper_us" else statistics.median
                value = average([getattr(one, name) for one in found[kind, connections]])
                print(f"{value:{width},.{0 if name == 'rate' else 2}f}", end="")
            print()
    for connections in CONNECTIONS:
        pairs = [*zip(found["logging", connections], found["without", connections], strict=True)]
        rate = statistics.median(a.rate / b.rate for a, b in pairs)
        cpu = statistics.median(a.cpu_us / b.cpu_us for a, b in pairs)
        p99 = statistics.median(a.p99_ms / b.p99_ms for a, b in pairs)
        whole = sum(a.rate for a, _ in pairs) / sum(b.rate for _, b in pairs)
        print(f"{connections} connections: throughput {rate - 1:+.1%}, in all {whole - 1:+.1%}", end=" ")
        print(f"(limit -{MOST_LOSS:.0%}),", end=" ")
        print(f"CPU a request {cpu - 1:+.1%}, p99 {p99:.2f}×", f"(limit {MOST_P99}×)" * (connections == 1))


if __name__ == "__main__":
    main()
