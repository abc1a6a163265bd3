"""Our server beside `mlflow models serve` and the FastAPI app of common tutorials, measured in one run.

    python -m tests.benchmarks.server                        everything, about five minutes
    python -m tests.benchmarks.server --only rows --models linear --servers workbench tutorial
    python -m tests.benchmarks.server --rounds 1 --seconds 0.5       for a first look

Every server is a process of its own with one worker and one model, on this machine together with the client;
they answer in turn, round by round, and medians count. The models learn scikit-learn's breast_cancer (30
features): StandardScaler + LogisticRegression, gradient boosting and a random forest of 200 trees each.
workbench writes its prediction log meanwhile; the others log nothing. The peers' environment is made at the
first use, in the folder for temporary files, or where --peers says.

Parts: rows (single rows over 1 and 32 connections), batch (1,000 rows a request), start (to the first
prediction), memory (under load and at rest, and what further workers hold alone, before and after a
promotion), feedback (10,000 labels in one request), small (half a CPU and 512 MB: a cgroup; needs the right
to make one).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.http_load import load, post
from tests.benchmarks.process_group import Served, limited, served
from tests.benchmarks.rivals import MODELS, SERVERS, Rival, peers_python, rivals, train
from tests.benchmarks.server_memory import fetch, measure_rest, measure_workers

PARTS = ("rows", "batch", "start", "memory", "feedback", "small")
CONNECTIONS = (1, 32)
BATCH_ROWS = 1_000
LABELS = 10_000
SMALL_CPUS, SMALL_MB = 0.5, 512


@dataclass
class Figures:
    """Medians by what was measured; `limits` are the claims they are held to."""

    samples: dict[tuple[str, ...], list[float]] = field(default_factory=lambda: defaultdict(list))
    claims: list[tuple[str, float, str, float]] = field(default_factory=list)

    def add(self, *key: str, value: float) -> None:
        self.samples[key].append(value)

    def get(self, *key: str) -> float | None:
        values = self.samples.get(key)
        return statistics.median(values) if values else None

    def claim(self, words: str, value: float | None, relation: str, limit: float) -> None:
        if value is not None:
            self.claims.append((words, value, relation, limit))


def rows_of_data() -> list[list[float]]:
    from sklearn.datasets import load_breast_cancer

    rows: list[list[float]] = load_breast_cancer().data.tolist()
    return rows


def warm_up(servers: dict[str, Served], contenders: dict[str, Rival], rows: list[list[float]]) -> None:
    for name, server in servers.items():
        rival = contenders[name]
        load(server.url, [post(rival.path, rival.row_body(rows[0]))], 4, 0.3)


def measure_rows(
    figures: Figures,
    model: str,
    servers: dict[str, Served],
    contenders: dict[str, Rival],
    options: argparse.Namespace,
    *,
    connections: tuple[int, ...] = CONNECTIONS,
    part: str = "rows",
) -> None:
    rows = rows_of_data()[::7]
    requests = {n: [post(r.path, r.row_body(row)) for row in rows] for n, r in contenders.items()}
    for _ in range(options.rounds):
        for number in connections:
            for name, server in servers.items():
                cpu = server.cpu_s()
                latencies = load(server.url, requests[name], number, options.seconds)
                used = server.cpu_s() - cpu
                cuts = statistics.quantiles(latencies, n=100) if len(latencies) > 1 else latencies * 99
                key = (part, model, str(number), name)
                figures.add(*key, "rate", value=len(latencies) / options.seconds)
                figures.add(*key, "p50", value=cuts[49] * 1000)
                figures.add(*key, "p99", value=cuts[98] * 1000)
                figures.add(*key, "cpu", value=used / len(latencies) * 1e6)


def measure_batches(
    figures: Figures,
    model: str,
    servers: dict[str, Served],
    contenders: dict[str, Rival],
    folder: Path,
    options: argparse.Namespace,
) -> None:
    data = rows_of_data()
    rows = (data * (BATCH_ROWS // len(data) + 1))[:BATCH_ROWS]
    requests = {name: [post(r.batch_path, r.batch_body(rows))] for name, r in contenders.items()}
    # The tutorials' batch is a loop over its rows and takes seconds.
    asked = {name: (server, requests[name]) for name, server in servers.items() if name != "tutorial"}
    if {"workbench", "mlflow"} <= servers.keys():
        mlflows = post("/invocations", contenders["mlflow"].batch_body(rows))
        asked["workbench /invocations"] = (servers["workbench"], [mlflows])
    for _ in range(options.rounds):
        for name, (server, wire) in asked.items():
            latencies = load(server.url, wire, 1, options.seconds)
            figures.add("batch", model, name, value=statistics.median(latencies) * 1000)
        bare = [sys.executable, "-c", BARE, str(folder / "model.skops"), str(options.seconds)]
        answer = subprocess.run(bare, input=contenders["workbench"].batch_body(rows), capture_output=True)
        figures.add("batch", model, "predict_proba + JSON", value=float(answer.stdout))


BARE = """
import os, sys, time, statistics
os.environ["OMP_NUM_THREADS"] = "1"
import numpy, orjson, skops.io
model = skops.io.load(sys.argv[1], trusted=skops.io.get_untrusted_types(file=sys.argv[1]))
if hasattr(model, "feature_names_in_"):
    del (model[0] if hasattr(model, "steps") else model).feature_names_in_
body = sys.stdin.buffer.read()
taken, ends_at = [], time.perf_counter() + float(sys.argv[2])
while time.perf_counter() < ends_at:
    started = time.perf_counter()
    X = numpy.array(orjson.loads(body), dtype=numpy.float64)
    scores = model.predict_proba(X)[:, 1]
    orjson.dumps([{"prediction": int(p >= 0.5), "probability": p} for p in scores.tolist()])
    taken.append(time.perf_counter() - started)
print(statistics.median(taken) * 1000)
"""


def measure_feedback(figures: Figures, server: Served, rival: Rival, rounds: int) -> None:
    data = rows_of_data()
    rows = (data * (BATCH_ROWS // len(data) + 1))[:BATCH_ROWS]
    for _ in range(rounds):
        ids: list[str] = []
        while len(ids) < LABELS:
            answer = fetch(server.url + rival.batch_path, rival.batch_body(rows))
            ids += [item["prediction_id"] for item in answer["predictions"]]
        labels = json.dumps([{"prediction_id": key, "actual": 1} for key in ids[:LABELS]]).encode()
        started = time.perf_counter()
        answer = fetch(server.url + "/feedback", labels)
        figures.add("feedback", value=time.perf_counter() - started)
        if answer["accepted"] != LABELS:
            raise SystemExit(f"feedback was answered with {answer}")


def measure_model(
    figures: Figures, model: str, folder: Path, peers: str, options: argparse.Namespace
) -> None:
    every = rivals(folder, model, peers)
    contenders = {name: every[name] for name in options.servers}
    parts = set(options.only)
    first = rows_of_data()[0]
    with contextlib.ExitStack() as stack:
        servers: dict[str, Served] = {}
        for name, rival in contenders.items():
            server = served(rival.command, rival.folder, rival.environment, rival.path, rival.row_body(first))
            servers[name] = stack.enter_context(server)
            figures.add("start", name, value=servers[name].started_in_s)
        warm_up(servers, contenders, rows_of_data())
        if "rows" in parts:
            measure_rows(figures, model, servers, contenders, options)
        if "memory" in parts:
            for name, server in servers.items():
                for what, value in zip(("worker", "resident", "all"), server.memory(), strict=True):
                    figures.add("memory", model, name, what, value=value)
        if "batch" in parts:
            measure_batches(figures, model, servers, every, folder, options)
        if "feedback" in parts and "workbench" in servers and model == options.models[0]:
            measure_feedback(figures, servers["workbench"], every["workbench"], options.rounds)
        if "memory" in parts:
            measure_rest(figures.add, model, servers)
    if "memory" in parts and "workbench" in contenders:
        measure_workers(figures.add, model, every["workbench"], first)


def measure_small(figures: Figures, folder: Path, peers: str, options: argparse.Namespace) -> None:
    """Both in cgroups of their own, so that the client has the rest of the machine."""
    every = rivals(folder, "linear", peers)
    contenders = {name: every[name] for name in ("workbench", "mlflow") if name in options.servers}
    first = rows_of_data()[0]
    with contextlib.ExitStack() as stack:
        servers: dict[str, Served] = {}
        groups = {}
        for name, rival in contenders.items():
            group = stack.enter_context(limited(SMALL_CPUS, SMALL_MB, name))
            if group is None:
                print("small: no right to make a cgroup here; left out", file=sys.stderr)
                return
            server = served(
                rival.command,
                rival.folder,
                rival.environment,
                rival.path,
                rival.row_body(first),
                join=group.join,
            )
            groups[name], servers[name] = group, stack.enter_context(server)
            figures.add("small", "start", name, value=servers[name].started_in_s)
        warm_up(servers, contenders, rows_of_data())
        measure_rows(figures, "linear", servers, contenders, options, connections=(32,), part="small")
        for name, group in groups.items():
            figures.add("small", "peak", name, value=group.peak_mb())
            figures.add("small", "memory", name, value=servers[name].memory()[2])


def report(figures: Figures) -> None:
    """Tables of medians, and each claim with what was found."""
    get = figures.get
    rated = [(part, model, number) for part, model, number, name, what in _keys(figures, 5) if what == "rate"]
    if rated:
        heads = ("req/s", "p50 ms", "p99 ms", "CPU µs")
        print(f"\n{'model':16} {'conn.':>5} {'server':10} " + " ".join(f"{head:>8}" for head in heads))
        for part, model, number in dict.fromkeys(rated):
            for name in SERVERS:
                found = [get(part, model, number, name, what) for what in ("rate", "p50", "p99", "cpu")]
                if None in found:
                    continue
                rate, p50, p99, cpu = (value or 0.0 for value in found)
                label = model if part == "rows" else f"{model}, 0.5 CPU"
                print(f"{label:16} {number:>5} {name:10} {rate:8,.0f} {p50:8.2f} {p99:8.2f} {cpu:8,.0f}")
    batches = [(model, name) for part, model, name in _keys(figures, 3) if part == "batch"]
    if batches:
        print(f"\n{BATCH_ROWS:,} rows a request, ms")
        for model, name in dict.fromkeys(batches):
            print(f"{model:16} {name:24} {get('batch', model, name):8.2f}")
    for when, words in (("memory", "under load"), ("rest", "at rest")):
        measured = [key[1:3] for key in _keys(figures, 4) if key[0] == when and key[3] == "all"]
        if measured:
            heads = ("worker RSS", "all RSS", "all PSS")
            title = f"memory {words}, MB\n{'model':16} {'server':10} "
            print(f"\n{title}" + " ".join(f"{head:>10}" for head in heads))
            for model, name in measured:
                found = [get(when, model, name, what) for what in ("worker", "resident", "all")]
                print(f"{model:16} {name:10} " + " ".join(f"{value or 0.0:10.0f}" for value in found))
    print(f"\nstart to first prediction, s: {_by_server(figures, 'start')}")
    if get("small", "start", "workbench") is not None:
        print(f"  with {SMALL_CPUS} CPU and {SMALL_MB} MB: {_by_server(figures, 'small', 'start')}")
        print(f"  the most its cgroup held, MB: {_by_server(figures, 'small', 'peak')}")
        print(f"  all PSS, MB: {_by_server(figures, 'small', 'memory')}")
    _claims(figures)
    print()
    for words, value, relation, limit in figures.claims:
        holds = value >= limit if relation == "≥" else value <= limit
        print(f"{'✓' if holds else '✗'} {words:58} {value:8.2f}   ({relation} {limit:g})")


def _keys(figures: Figures, length: int) -> list[tuple[str, ...]]:
    return [key for key in figures.samples if len(key) == length]


def _by_server(figures: Figures, *key: str) -> str:
    found = ((name, figures.get(*key, name)) for name in SERVERS)
    return ", ".join(f"{name} {value:.1f}" for name, value in found if value is not None)


def _claims(figures: Figures) -> None:
    get = figures.get

    def ratio(above: tuple[str, ...], below: tuple[str, ...]) -> float | None:
        a, b = get(*above), get(*below)
        return a / b if a is not None and b else None

    for model in MODELS:
        for number, peer, limit in (("1", "mlflow", 15), ("1", "tutorial", 6), ("32", "mlflow", 60)):
            ours, theirs = (("rows", model, number, who, "rate") for who in ("workbench", peer))
            figures.claim(f"{model}, c={number}: times as many as {peer}", ratio(ours, theirs), "≥", limit)
        ours, theirs = (("rows", model, "32", who, "rate") for who in ("workbench", "tutorial"))
        limit = 100 if model == "forest" else 20
        figures.claim(f"{model}, c=32: times as many as tutorial", ratio(ours, theirs), "≥", limit)
        p99, p50 = (("rows", model, "32", "workbench", what) for what in ("p99", "p50"))
        figures.claim(f"{model}, c=32: p99 / p50", ratio(p99, p50), "≤", 3)
        batch, bare = ("batch", model, "workbench"), ("batch", model, "predict_proba + JSON")
        figures.claim(
            f"{model}, 1,000 rows: times as quick as mlflow", ratio(("batch", model, "mlflow"), batch), "≥", 6
        )
        figures.claim(f"{model}, 1,000 rows: of predict_proba + JSON", ratio(batch, bare), "≤", 2)
        worker = ("memory", model, "workbench", "worker")
        figures.claim(f"{model}: worker RSS, MB", get(*worker), "≤", 200)
        for what, label in (("resident", "RSS"), ("all", "PSS")):
            ours, theirs = (("rest", model, who, what) for who in ("workbench", "mlflow"))
            figures.claim(f"{model}: {label} of all at rest, of mlflow's", ratio(ours, theirs), "≤", 0.4)
    figures.claim("each further worker, MB", get("memory", "further worker"), "≤", 25)
    figures.claim("the same after a promotion", get("memory", "further worker", "promoted"), "≤", 25)
    figures.claim(
        "start to first prediction, of mlflow's",
        ratio(("start", "workbench"), ("start", "mlflow")),
        "≤",
        1 / 3,
    )
    figures.claim("feedback of 10,000 labels, s", get("feedback"), "≤", 1)
    small = (("small", "linear", "32", who, "rate") for who in ("workbench", "mlflow"))
    figures.claim("linear, c=32, 0.5 CPU, 512 MB: times as many as mlflow", ratio(*small), "≥", 50)


def measure(figures: Figures, peers: str, options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="workbench-benchmark-") as name:
        for model in options.models:
            folder = Path(name) / model
            print(f"{model} …", file=sys.stderr)
            train(folder, model)
            if set(options.only) - {"small"}:
                measure_model(figures, model, folder, peers, options)
        if "small" in options.only and "linear" in options.models:
            print(f"{SMALL_CPUS} CPU …", file=sys.stderr)
            measure_small(figures, Path(name) / "linear", peers, options)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.5, help="of load for each figure in each round")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--servers", nargs="+", choices=SERVERS, default=SERVERS)
    parser.add_argument(
        "--peers", type=Path, help="an environment with mlflow, scikit-learn, fastapi, uvicorn"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the medians there too")
    options = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    # However it ends, its servers end with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    started = time.perf_counter()
    figures = Figures()
    needs_peers = set(options.servers) != {"workbench"}
    peers = peers_python(options.peers) if needs_peers else sys.executable
    try:
        measure(figures, peers, options)
    except KeyboardInterrupt:
        print("interrupted: what was measured until then", file=sys.stderr)
    report(figures)
    print(f"\n{time.perf_counter() - started:.0f} s, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")
    if options.json is not None:
        medians = {" ".join(key): statistics.median(values) for key, values in figures.samples.items()}
        options.json.write_text(json.dumps(medians, indent=1))


if __name__ == "__main__":
    main()
