"""A server under mixed load for minutes: does its memory stay where it is?

    python -m tests.benchmarks.server_soak --minutes 30
    python -m tests.benchmarks.server_soak --minutes 30 --rate 30         # beside other work
    python -m tests.benchmarks.server_soak --minutes 30 --memory-mb 512   # in a small container's memory

Single rows, batches, long CSV streams, the other protocols, feedback, all kinds of wrong requests and clients
that vanish come from several threads at once. The resident memory of the server and of its clerk is sampled;
its slope is that of a straight line through the second half of the time, when all was warm.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import random
import socket
import statistics
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.benchmarks.process_group import Served, limited, served
from tests.benchmarks.rivals import rivals, train

MODEL = "linear"
_SAMPLES = 60


class Visitors:
    """What clients do, and what they were answered."""

    def __init__(self, server: Served, rows: list[list[float]], names: list[str]) -> None:
        self._server = server
        self._rows = rows
        self._names = names
        self._csv = (",".join(names) + "\n" + "".join(",".join(map(str, r)) + "\n" for r in rows)).encode()
        self.answers: Counter[str] = Counter()
        self.lost = 0

    def all(self) -> list[Callable[[random.Random], None]]:
        return [self.row] * 12 + [
            self.batch,
            self.stream,
            self.mlflow,
            self.inference,
            self.wrong,
            self.vanish,
            self.look,
            self.feedback,
        ]

    def row(self, chance: random.Random) -> None:
        self._post("/predict", json.dumps(chance.choice(self._rows)).encode())

    def batch(self, chance: random.Random) -> None:
        self._post("/predict/batch", json.dumps(chance.choices(self._rows, k=500)).encode())

    def stream(self, chance: random.Random) -> None:
        rest = self._csv.partition(b"\n")[2]
        body = itertools.chain([self._csv], itertools.repeat(rest, chance.randint(1, 30)))
        self._post("/predict/batch", body, "text/csv")

    def mlflow(self, chance: random.Random) -> None:
        split = {"columns": self._names, "data": chance.choices(self._rows, k=20)}
        self._post("/invocations", json.dumps({"dataframe_split": split}).encode())

    def inference(self, chance: random.Random) -> None:
        rows = chance.choices(self._rows, k=20)
        tensor = {"name": "x", "shape": [20, len(self._names)], "datatype": "FP64", "data": rows}
        self._post(f"/v2/models/{MODEL}/infer", json.dumps({"inputs": [tensor]}).encode())

    def wrong(self, chance: random.Random) -> None:
        body = chance.choice(
            [
                b"{",
                b"[" * 50_000,
                b'{"x": 1}',
                b"\xff" * 100,
                b"[" + b"1," * 200_000 + b"1]",
                b" " * 11_000_000,
            ]
        )
        # A path that is not there is answered at once: a client that still sends may not see it.
        paths = ["/predict", "/predict/batch", "/feedback", *(["/nowhere"] if len(body) < 60_000 else [])]
        self._post(chance.choice(paths), body)

    def vanish(self, chance: random.Random) -> None:
        host, _, port = self._server.url.removeprefix("http://").partition(":")
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 10) as connection:
            head = b"POST /predict/batch HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\n"
            head += b"Content-Length: 90000000"
            connection.sendall(head[: chance.randint(1, len(head))])
            if chance.random() < 0.7:
                connection.sendall(head[len(head) :] + b"\r\n\r\n" + self._csv * 8)

    def look(self, chance: random.Random) -> None:
        with urllib.request.urlopen(
            self._server.url + chance.choice(["/metrics", "/openapi.json", "/models"])
        ) as answer:
            answer.read()

    def feedback(self, chance: random.Random) -> None:
        labels = [{"prediction_id": f"none-{chance.random()}", "actual": 1} for _ in range(100)]
        self._post("/feedback", json.dumps(labels).encode())

    def _post(self, path: str, body: bytes | Iterator[bytes], kind: str = "application/json") -> None:
        request = urllib.request.Request(self._server.url + path, body, {"Content-Type": kind})  # type: ignore[arg-type]
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                self.answers[str(answer.status)] += 1
                while answer.read(1 << 20):
                    pass
        except urllib.error.HTTPError as error:
            self.answers[str(error.code)] += 1
            error.read()
        except OSError:
            self.lost += 1


def soak(
    server: Served, visitors: Visitors, minutes: float, threads: int, rate: float
) -> list[tuple[float, list[float]]]:
    """Samples of (seconds, MB of each process, the server first)."""
    ends_at = time.monotonic() + minutes * 60

    def visit(seed: int) -> None:
        chance = random.Random(seed)
        ways = visitors.all()
        while time.monotonic() < ends_at:
            chance.choice(ways)(chance)
            if rate:
                time.sleep(chance.expovariate(rate / threads))

    crowd = [threading.Thread(target=visit, args=(seed,)) for seed in range(threads)]
    started = time.monotonic()
    for thread in crowd:
        thread.start()
    samples = []
    while any(thread.is_alive() for thread in crowd):
        memory = [process.memory_info().rss / 1e6 for process in server.processes()]
        samples.append((time.monotonic() - started, memory))
        time.sleep(minutes * 60 / _SAMPLES)
    return samples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--rate", type=float, default=0.0, help="requests a second; as many as go: 0")
    parser.add_argument("--memory-mb", type=int, default=0, help="memory of server and helper together")
    options = parser.parse_args()
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer()
    rows, names = data.data.tolist(), [str(name) for name in data.feature_names]
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / MODEL
        train(project, MODEL)
        rival = rivals(project, MODEL, "python")["workbench"]
        first = json.dumps(rows[0]).encode()
        with contextlib.ExitStack() as stack:
            group = (
                stack.enter_context(limited(2.0, options.memory_mb, "soak")) if options.memory_mb else None
            )
            join = group.join if group is not None else None
            server = stack.enter_context(
                served(rival.command, project, rival.environment, "/predict", first, join=join)
            )
            visitors = Visitors(server, rows, names)
            began_s = server.cpu_s()
            samples = soak(server, visitors, options.minutes, options.threads, options.rate)
            peak = f"; at most {group.peak_mb():.0f} MB, cached files included" if group is not None else ""
            busy = (server.cpu_s() - began_s) / (options.minutes * 60)
    warm = samples[len(samples) // 2 :]
    print(
        f"{options.minutes:g} minutes, {sum(visitors.answers.values()):,} answers: {dict(visitors.answers)}; "
        f"server busy {busy:.0%} of a core{peak}"
    )
    print(f"{visitors.lost} requests without an answer")
    for position, name in enumerate(("server", "clerk")):
        series = [(at, memory[position]) for at, memory in warm if position < len(memory)]
        if len(series) < 3:
            continue
        slope = statistics.linear_regression(*zip(*series, strict=True)).slope
        values = [value for _, value in series]
        print(
            f"{name}: {samples[0][1][min(position, len(samples[0][1]) - 1)]:.0f} MB at first, then "
            f"{min(values):.0f} to {max(values):.0f} MB, {slope * 60:+.2f} MB a minute"
        )
        print("  " + " ".join(f"{memory[position]:.0f}" for _, memory in samples if position < len(memory)))
    if visitors.answers["500"]:
        raise SystemExit("there were internal errors")


if __name__ == "__main__":
    main()
