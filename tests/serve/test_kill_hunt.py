"""A server, who folds its log and who reads it, killed with SIGKILL at random moments, round after round.

Twenty rounds; more by one command: KILL_ROUNDS=500 pytest tests/serve/test_kill_hunt.py --timeout=7200 -s
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from sklearn.linear_model import LogisticRegression

from serve.control import running_server
from store.fold import fold
from store.layout import Layout
from store.predictions import PredictionReader

ROUNDS = int(os.environ.get("KILL_ROUNDS", "20"))
SEED = int(os.environ.get("KILL_SEED", "5"))

# Every round starts `workbench serve` anew. What takes its seconds is importing, so a process that has done
# that forks for each; it folds as soon as there is anything, that kills may meet folds.
NURSERY = """
import os, signal, sys, time
from pathlib import Path
root = sys.argv[1]
from serve.main import import_model_libraries
import_model_libraries()
import sklearn.linear_model, skops.io
import duckdb, numpy, pyarrow
import serve.app, serve.background, serve.main, serve.predicting, uvicorn, uvloop, httptools
import store.fold, store.log, store.predictions, workbench.cli
from store.layout import Layout
serve.background.FOLD_SECONDS = 0.05

def run_server():
    log = os.open(root + "/server.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 2)
    sys.argv = ["workbench", "-C", root, "serve", "--port", "0"]
    workbench.cli.run()

def run_fold():
    store.fold.MAX_BATCH_ROWS = 100
    while True:
        if not store.fold.fold(Layout.of(Path(root))).predictions:
            time.sleep(0.005)

def run_reader():
    reader, before = store.predictions.PredictionReader(Layout.of(Path(root)), timeout_s=30), 0
    while True:
        question = "SELECT count(*), count(DISTINCT prediction_id) FROM predictions"
        ((n, distinct),) = reader.query(question).rows
        if n != distinct or n < before or reader.note:
            with open(root + "/findings", "a") as findings:
                findings.write(f"{n} rows, {distinct} distinct, {before} before: {reader.note}\\n")
        before = n
        time.sleep(0.005)

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
roles = {"serve": run_server, "fold": run_fold, "read": run_reader}
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        with open(os.devnull) as nothing:
            os.dup2(nothing.fileno(), 0)
        os.dup2(2, 1)
        try:
            roles[line.strip()]()
        except BaseException as error:
            with open(root + "/findings", "a") as findings:
                findings.write(f"{line.strip()} ended with {error!r}\\n")
        os._exit(1)
    print(child, flush=True)
"""


@dataclass
class Witness:
    """What clients were told: ids of answered predictions, and of those whose label was accepted."""

    predicted: list[str] = field(default_factory=list)
    labelled: list[str] = field(default_factory=list)

    def ask(self, port: int) -> None:
        """Predict and label until the server is gone."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
            while True:
                rows = self._post(connection, "/predict", [[1, 2, 3, 4]] * 2)["predictions"]
                ids = [row["prediction_id"] for row in rows]
                assert None not in ids
                self.predicted += ids
                if len(self.predicted) % 3 == 0:
                    labels = [{"prediction_id": one, "actual": 1} for one in ids]
                    answer = self._post(connection, "/feedback", labels)
                    if answer.get("accepted") == 2:
                        self.labelled += ids
                    else:  # the helper that looks ids up was killed
                        assert answer["status"] == 503, answer

    def _post(self, connection: http.client.HTTPConnection, path: str, body: Any) -> Any:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        return json.loads(response.read())


@contextlib.contextmanager
def nursery(root: Path) -> Iterator[Any]:
    """Starts a process of a role; gives its id."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("WORKBENCH_")}
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", NURSERY, str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment | {"OMP_NUM_THREADS": "1"},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    stdin, stdout = process.stdin, process.stdout

    def start(role: str) -> psutil.Process:
        stdin.write(f"{role}\n")
        stdin.flush()
        return psutil.Process(int(stdout.readline()))

    with stdin, stdout:
        try:
            yield start
        finally:
            for child in psutil.Process(process.pid).children(recursive=True):
                kill(child)
            process.kill()
            process.wait(60)


def kill(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(signal.SIGKILL)


def hunt(root: Path, rounds: int, chance: random.Random) -> Witness:
    """Each round a server, its helper, another folding process and a reader die, in any order."""
    layout, witness = Layout.of(root), Witness()
    killed: Counter[str] = Counter()
    with nursery(root) as start:
        for number in range(rounds):
            server = start("serve")
            port = wait_for_server(layout, server)
            victims = {"serve": server, "fold": start("fold"), "read": start("read")}
            clients = [threading.Thread(target=witness.ask, args=(port,)) for _ in range(3)]
            for client in clients:
                client.start()
            time.sleep(chance.choice((0.0, 0.0, 0.0, 1.5)))  # the helper takes a second to fold at all
            order = ["serve", "fold", "read", "clerk"]
            chance.shuffle(order)
            for role in order:
                time.sleep(chance.uniform(0.0, 0.3))
                if role == "clerk":
                    with contextlib.suppress(psutil.NoSuchProcess):
                        for child in server.children(recursive=True):
                            kill(child)
                            killed[role] += 1
                else:
                    kill(victims[role])
                    killed[role] += 1
            for client in clients:
                client.join(60)
            if (number + 1) % 20 == 0:
                told = f"{len(witness.predicted)} predictions, {len(witness.labelled)} labels acknowledged"
                print(f"round {number + 1}: {told}; killed {dict(killed)}", flush=True)
    return witness


def wait_for_server(layout: Layout, process: psutil.Process) -> int:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        info = running_server(layout)
        if info is not None and info.pid == process.pid:
            with contextlib.suppress(OSError):
                connection = http.client.HTTPConnection("127.0.0.1", info.port, timeout=60)
                with contextlib.closing(connection):
                    connection.request("GET", "/health/live")
                    if connection.getresponse().status == 200:
                        return info.port
        time.sleep(0.01)
    raise AssertionError((layout.root / "server.log").read_text()[-2_000:])


@pytest.mark.slow
def test_rounds_of_kills_lose_and_double_nothing(project: Any, flower_data: Any, columns: Any) -> None:
    X, y = flower_data
    project.add(
        "two", LogisticRegression().fit(X, y), inputs=columns(a="double", b="double", c="double", d="double")
    )
    (project.root / "workbench.toml").write_text('[project]\nname = "hunted"\n')
    witness = hunt(project.root, ROUNDS, random.Random(SEED))

    findings = project.root / "findings"
    assert not findings.exists(), findings.read_text()
    while fold(project.layout).skipped:
        time.sleep(0.1)  # the last server's helper takes what it left
    reader = PredictionReader(project.layout)
    stored = Counter(row[0] for row in reader.query("SELECT prediction_id FROM log.predictions").rows)
    labels = Counter(row[0] for row in reader.query("SELECT prediction_id FROM log.feedback").rows)
    assert len(witness.predicted) > ROUNDS
    assert set(witness.predicted) - stored.keys() == set()
    assert max(stored.values()) == 1
    assert set(witness.labelled) - labels.keys() == set()
    assert max(labels.values(), default=1) == 1
