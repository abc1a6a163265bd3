"""Part of `tests.benchmarks.server`: memory at rest, and what further workers hold alone."""

from __future__ import annotations

import json
import time
import urllib.request
from typing import Any, Protocol

from store.layout import Layout
from store.tracking import open_registry
from tests.benchmarks.http_load import load, post
from tests.benchmarks.process_group import Served, served
from tests.benchmarks.rivals import Rival

REST_SECONDS = 75


class Add(Protocol):
    def __call__(self, *key: str, value: float) -> None: ...


def measure_workers(add: Add, model: str, rival: Rival, row: list[float]) -> None:
    """The memory that each of several workers of ours holds alone: what a further one takes."""
    registry = open_registry((rival.folder / "mlruns").as_uri(), Layout.of(rival.folder).ensure())
    first = registry.version(model, 1)
    second = registry.register(model, run_id=first.run_id, source=first.source)
    body = rival.row_body(row)
    with served(
        lambda port: [*rival.command(port), "--workers", "3"],
        rival.folder,
        rival.environment,
        rival.path,
        body,
    ) as server:
        load(server.url, [post(rival.path, body)], 32, 1.0)
        for value in server.private_memory():
            add("memory", "further worker", value=value)
        n_processes = len(server.private_memory())
        registry.promote(model, second.version)
        deadline = time.monotonic() + 60
        while {fetch(server.url + rival.path, body)["version"] for _ in range(12)} != {second.version}:
            if time.monotonic() > deadline:
                raise SystemExit("the promotion was not taken over")
        while len(server.private_memory()) > n_processes and time.monotonic() < deadline:
            time.sleep(0.2)
        load(server.url, [post(rival.path, body)], 32, 1.0)
        for value in server.private_memory():
            add("memory", "further worker", "promoted", value=value)
    registry.promote(model, 1)


def measure_rest(add: Add, model: str, servers: dict[str, Served]) -> None:
    """Memory once nobody asks any more and whoever helps has gone."""
    deadline = time.monotonic() + REST_SECONDS
    ours = servers.get("workbench")
    while ours is not None and len(ours.processes()) > 1 and time.monotonic() < deadline:
        time.sleep(0.5)
    for name, server in servers.items():
        for what, value in zip(("worker", "resident", "all"), server.memory(), strict=True):
            add("rest", model, name, what, value=value)


def fetch(url: str, body: bytes) -> Any:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)
