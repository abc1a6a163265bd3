"""Limits: how many requests at once, how long one may take, how slowly a body may come."""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from store.journal import read_events
from store.predictions import PredictionReader
from store.trust import file_digest, trust

SLOW = """
import time
from pathlib import Path

def wait(X):
    gate = Path(__file__).with_name("gate")
    while gate.exists():
        time.sleep(0.01)
    return X
"""


@pytest.fixture
def gated(project: Any, flower_data: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A project whose model waits while a file called gate lies beside its code; returns that path too."""
    import importlib.util
    import sys

    source = tmp_path / "wb_slow_0001.py"
    source.write_text(SLOW)
    spec = importlib.util.spec_from_file_location("wb_slow_0001", source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "wb_slow_0001", module)
    spec.loader.exec_module(module)
    X, y = flower_data
    model = make_pipeline(FunctionTransformer(module.wait), LogisticRegression()).fit(X, y)
    project.add("slow", model, code={"wb_slow_0001.py": SLOW})
    project.layout.ensure()
    trust(project.layout, "code", file_digest(source), reason="a test's own")
    code = next(project.root.glob("mlruns/1/models/*/artifacts/code"))
    return project, code / "gate"


def post_in_thread(url: str, answers: list[httpx.Response]) -> threading.Thread:
    body = [[1, 2, 3, 4]] * 2000  # large enough for a thread of its own

    def ask() -> None:
        with contextlib.suppress(httpx.HTTPError):  # cut off
            answers.append(httpx.post(f"{url}/predict", json=body, timeout=60))

    thread = threading.Thread(target=ask)
    thread.start()
    return thread


@pytest.mark.slow
def test_too_many_requests_are_503_and_health_stays_open(gated: Any, running: Any, wait_until: Any) -> None:
    project, gate = gated
    answers: list[httpx.Response] = []
    with running(project, settings={"concurrency": 64}) as server:
        gate.touch()
        threads = [post_in_thread(server.url, answers) for _ in range(64)]
        try:
            wait_until(lambda: server.get("/models").status_code == 503, "64 requests in progress")
            assert server.get("/health/live").status_code == 200
            refused = server.post("/predict", [1, 2, 3, 4])
            assert refused.status_code == 503
            assert refused.headers["retry-after"] == "1"
            assert refused.headers["content-type"] == "application/problem+json"
        finally:
            gate.unlink()
            for thread in threads:
                thread.join()
        assert {answer.status_code for answer in answers} == {200}


def test_an_answer_that_takes_too_long_is_503_and_others_are_answered_meanwhile(
    gated: Any, running: Any
) -> None:
    project, gate = gated
    answers: list[httpx.Response] = []
    with running(project, settings={"timeout": 1.0}) as server:
        gate.touch()
        thread = post_in_thread(server.url, answers)
        try:
            assert server.get("/models").status_code == 200
            thread.join(90)
            assert answers[0].status_code == 503
            assert answers[0].headers["retry-after"]
        finally:
            gate.unlink()
            thread.join()


def test_a_body_that_comes_too_slowly_is_408(project: Any, flower_data: Any, running: Any) -> None:
    X, y = flower_data
    project.add("two", LogisticRegression().fit(X, y))
    with running(project, settings={"timeout": 0.5}) as server:
        address = urlsplit(server.url)
        with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
            connection.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n[1,")
            assert connection.recv(65536).startswith(b"HTTP/1.1 408")


def test_terminating_answers_what_is_in_progress_first(gated: Any, running: Any, wait_until: Any) -> None:
    project, gate = gated
    answers: list[httpx.Response] = []
    with running(project) as server:
        gate.touch()
        thread = post_in_thread(server.url, answers)
        wait_until(lambda: server.metric("workbench_requests_in_flight") >= 2, "the request")
        server.process.terminate()
        gate.unlink()
        thread.join()
        assert server.process.wait(90) == 0
    assert answers[0].status_code == 200


def test_a_model_that_never_answers_does_not_keep_the_server_alive(
    gated: Any, running: Any, wait_until: Any
) -> None:
    project, gate = gated
    answers: list[httpx.Response] = []
    with running(project, settings={"drain_seconds": 0.5}) as server:
        acknowledged = server.post("/predict", [1, 2, 3, 4]).json()["prediction_id"]
        gate.touch()
        with contextlib.suppress(httpx.HTTPError):
            thread = post_in_thread(server.url, answers)
            wait_until(lambda: server.metric("workbench_requests_in_flight") >= 2, "the request")
            server.process.terminate()
            assert server.process.wait(90) == 0
        thread.join()
        gate.unlink()
    assert not any(answer.status_code == 200 for answer in answers)
    assert PredictionReader(project.layout).known_ids([acknowledged]) == {acknowledged}
    assert [event.what for event in read_events(project.layout)][-1] == "server_stopped"


def test_cors_is_off_unless_an_origin_is_named(server: Any, several_models: Any, running: Any) -> None:
    headers = {"Origin": "https://shop.example"}
    assert "access-control-allow-origin" not in server.get("/health", headers=headers).headers
    with running(several_models, settings={"cors_origins": ["https://shop.example"]}) as open_server:
        allowed = open_server.get("/health", headers=headers)
        assert allowed.headers["access-control-allow-origin"] == "https://shop.example"
