"""A promotion with several workers: loaded once, taken over by their successors, and nobody is cut off."""

from __future__ import annotations

import importlib.util
import socket
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from sklearn.dummy import DummyRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from store.alerts import LIVE, list_alerts
from store.journal import read_events
from store.trust import file_digest, trust

BODY = b"[1, 2, 3, 4]"
CRASHES = """
import os, sys
if "pytest" not in sys.modules:
    os.abort()
def same(X):
    return X
"""


def constant(value: float, X: Any) -> Any:
    return DummyRegressor(strategy="constant", constant=value).fit(X, X[:, 0])


def versions(url: str) -> set[int]:
    # A new connection each: the system shares them out among the workers.
    return {httpx.post(f"{url}/predict", json=[1, 2, 3, 4]).json()["version"] for _ in range(8)}


def family(pid: int) -> set[int]:
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def connected(url: str) -> socket.socket:
    address = urlsplit(url)
    return socket.create_connection((address.hostname, address.port), timeout=30)


def head(url: str) -> bytes:
    host = urlsplit(url).hostname or ""
    return f"POST /predict HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(BODY)}\r\n\r\n".encode()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are looked up in /proc")
def test_workers_give_way_to_successors_once_their_clients_are_answered(
    project: Any, flower_data: Any, running: Any, wait_until: Any
) -> None:
    X, _ = flower_data
    for value in (1.0, 2.0):
        project.add("steady", constant(value, X), promote=value == 1.0)
    with running(project, settings={"workers": 2}) as server:
        before = family(server.process.pid)
        with connected(server.url) as idle, connected(server.url) as sending:
            idle.sendall(head(server.url) + BODY)
            answer = b""
            while not answer.endswith(b"}"):
                answer += idle.recv(4096)
            assert b'"version":1' in answer
            sending.sendall(head(server.url) + BODY[:5])
            project.registry.promote("steady", 2)
            wait_until(lambda: versions(server.url) == {2}, "the successors")
            # Whoever keeps a connection without a use is let go; whoever is in the middle of a request isn't.
            assert idle.recv(4096) == b""
            sending.sendall(BODY[5:])
            answer = b"".join(iter(lambda: sending.recv(4096), b""))
            assert answer.startswith(b"HTTP/1.1 200")
            assert b'"version":1' in answer
            assert b"connection: close" in answer.lower()
        wait_until(
            lambda: len(family(server.process.pid)) == 3 and not before & family(server.process.pid),
            "the end of those before",
        )
        counted = server.metric('predictions_total{status="success"}')
        assert counted >= 10  # what the former workers counted is not forgotten
        assert "replaced" not in server.log.read_text()


@pytest.mark.slow
def test_a_version_that_crashes_whoever_loads_it_leaves_the_old_one_serving(
    project: Any, flower_data: Any, running: Any, wait_until: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    X, _ = flower_data
    source = tmp_path / "wb_crash_0001.py"
    source.write_text(CRASHES)
    spec = importlib.util.spec_from_file_location("wb_crash_0001", source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "wb_crash_0001", module)
    spec.loader.exec_module(module)
    crashing = make_pipeline(FunctionTransformer(module.same), DummyRegressor()).fit(X, X[:, 0])
    project.add("steady", constant(1.0, X))
    project.add("steady", crashing, code={"wb_crash_0001.py": CRASHES}, promote=False)
    project.add("steady", constant(3.0, X), promote=False)
    trust(project.layout.ensure(), "code", file_digest(source), reason="a test's own")
    with running(project, settings={"workers": 2}) as server:
        project.registry.promote("steady", 2)
        wait_until(lambda: server.get("/health/ready").json()["failures"], "the crash")
        assert versions(server.url) == {1}
        (alert,) = list_alerts(project.layout, states=LIVE)
        assert "version 2 is not served: loading it ended its process by signal 6" in alert.message
        project.registry.promote("steady", 3)
        wait_until(lambda: versions(server.url) == {3}, "the next version")
        wait_until(lambda: not list_alerts(project.layout, states=LIVE), "the end of the alert")
    (event,) = read_events(project.layout, what="load_failed")
    assert (event.from_, event.to) == ("1", "2")
