"""Many clients that each send a body just below the limit, all at once: is the server's memory enough?

    python -m tests.benchmarks.server_crowd                        # 48 clients, 512 MB
    python -m tests.benchmarks.server_crowd --kind lists           # what would take most memory once parsed
    python -m tests.benchmarks.server_crowd --path /predict/batch

Each client sends all of its body but the last byte; when all are there, the last bytes follow. Single rows
are asked for all the while. Every client must get an answer, and the server must live on.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

from tests.benchmarks.process_group import Served, limited, served
from tests.benchmarks.rivals import rivals, train

MODEL = "linear"


class Crowd:
    """Clients that send together, and what each was answered."""

    def __init__(self, server: Served, body: bytes, path: str, count: int) -> None:
        self._server = server
        self._body = body
        self._path = path
        self._together = threading.Barrier(count + 1)
        self.answers: Counter[str] = Counter()
        self.single: Counter[str] = Counter()
        self.slowest_s = 0.0
        self.largest_mb = 0.0
        self._done = threading.Event()

    def send(self) -> None:
        connection = http.client.HTTPConnection(urlsplit(self._server.url).netloc, timeout=300)
        what = "nothing"
        try:
            try:
                connection.putrequest("POST", self._path)
                connection.putheader("Content-Type", "application/json")
                connection.putheader("Content-Length", str(len(self._body)))
                connection.endheaders()
                connection.send(memoryview(self._body)[:-1])
            finally:
                with contextlib.suppress(threading.BrokenBarrierError):
                    self._together.wait(120)
            connection.send(self._body[-1:])
            answer = connection.getresponse()
            answer.read()
            what = f"{answer.status}" + (" Retry-After" if answer.headers["Retry-After"] else "")
        except OSError as error:
            what = type(error).__name__
        self.answers[what] += 1

    def ask_singly(self, row: bytes) -> None:
        request = urllib.request.Request(
            self._server.url + "/predict", row, {"Content-Type": "application/json"}
        )
        while not self._done.wait(0.05):
            started = time.monotonic()
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    self.single[str(answer.status)] += 1
            except OSError as error:
                self.single[str(error)] += 1
            self.slowest_s = max(self.slowest_s, time.monotonic() - started)

    def watch(self) -> None:
        while not self._done.wait(0.02):
            self.largest_mb = max(self.largest_mb, self._server.memory()[0])

    def run(self, count: int, row: bytes) -> float:
        """The largest resident memory in MB while the bodies are held, then all answers."""
        beside = [threading.Thread(target=self.ask_singly, args=(row,)), threading.Thread(target=self.watch)]
        clients = [threading.Thread(target=self.send) for _ in range(count)]
        for thread in (*beside, *clients):
            thread.start()
        with contextlib.suppress(threading.BrokenBarrierError):
            self._together.wait(120)
        held_mb = self.largest_mb
        for thread in clients:
            thread.join()
        self._done.set()
        for thread in beside:
            thread.join()
        return held_mb


def body_of(kind: str, rows: list[list[float]], size: int) -> bytes:
    piece = b"[]," if kind == "lists" else b"".join(json.dumps(row).encode() + b"," for row in rows)
    return b"[" + (piece * (size // len(piece)))[:-1] + b"]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=48)
    parser.add_argument("--memory-mb", type=int, default=512)
    parser.add_argument("--kind", choices=("rows", "lists"), default="rows")
    parser.add_argument("--path", default="/predict")
    options = parser.parse_args()
    from sklearn.datasets import load_breast_cancer

    rows = load_breast_cancer().data.tolist()
    body = body_of(options.kind, rows, 9_900_000)
    row = json.dumps(rows[0]).encode()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        project = Path(folder) / MODEL
        train(project, MODEL)
        rival = rivals(project, MODEL, "python")["workbench"]
        group = stack.enter_context(limited(2.0, options.memory_mb, "crowd")) if options.memory_mb else None
        join = group.join if group is not None else None
        server = stack.enter_context(
            served(rival.command, project, rival.environment, "/predict", row, join=join)
        )
        first_mb = server.memory()[0]
        crowd = Crowd(server, body, options.path, options.clients)
        held_mb = crowd.run(options.clients, row)
        print(
            f"{options.clients} clients with {len(body) / 1e6:.1f} MB each of {options.kind}: {options.path}"
        )
        held = f"{held_mb:.0f} with all bodies sent, {crowd.largest_mb:.0f} at most"
        print(f"resident: {first_mb:.0f} MB at first, {held}")
        if group is not None:
            print(f"limit {options.memory_mb} MB, peak of the cgroup {group.peak_mb():.0f} MB")
        print(f"answers: {dict(crowd.answers)}")
        print(f"single rows meanwhile: {dict(crowd.single)}, the slowest took {crowd.slowest_s:.2f} s")
        ends = [what for what in crowd.answers if what[:3] not in ("200", "413", "422", "503")]
        if ends or set(crowd.single) != {"200"}:
            raise SystemExit("somebody got no answer")


if __name__ == "__main__":
    main()
