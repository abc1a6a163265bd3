"""Several workers behind one port: they survive each other's deaths, and answer as one."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LogisticRegression

from store.journal import read_events
from store.predictions import PredictionReader


def children(pid: int) -> list[int]:
    """Its child processes, oldest first."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def metric(server: Any, line_start: str) -> dict[str, float]:
    """The metrics whose lines start so, by the rest of the line; none while a worker's death cuts it off."""
    try:
        text = httpx.get(f"{server.url}/metrics", timeout=60).text
    except httpx.HTTPError:
        return {}
    lines = [line.removeprefix(line_start) for line in text.splitlines() if line.startswith(line_start)]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def workers(server: Any) -> dict[str, float]:
    """When each worker that answers began."""
    return metric(server, "workbench_worker_start_time_seconds")


class Load:
    """Clients that ask without a pause and note what was acknowledged."""

    def __init__(self, url: str, n_clients: int = 4) -> None:
        self.ids: list[str] = []
        self.refused: list[str] = []
        self.n_cut = 0
        self._url = url
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(n_clients)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def wait_for_answers(self, wait_until: Any) -> None:
        before = len(self.ids)
        wait_until(lambda: len(self.ids) > before + 50, "answers")

    def _ask(self) -> None:
        while not self._done.is_set():
            try:
                with httpx.Client(base_url=self._url, timeout=60) as client:
                    while not self._done.is_set():
                        answer = client.post("/predict", json={"features": [1, 2, 3, 4]})
                        if answer.status_code == 200:
                            self.ids.append(answer.json()["prediction_id"])
                        else:
                            self.refused.append(answer.text)
            except httpx.HTTPError:
                self.n_cut += 1


@pytest.fixture
def logged_project(project: Any, flower_data: Any, columns: Any) -> Any:
    X, y = flower_data
    project.add("two", LogisticRegression().fit(X, y), inputs=columns(**dict.fromkeys("abcd", "double")))
    return project


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are looked up in /proc")
def test_killed_workers_lose_no_acknowledged_prediction_and_are_replaced(
    logged_project: Any, running: Any, wait_until: Any
) -> None:
    n_kills = int(os.environ.get("WORKBENCH_TEST_WORKER_KILLS", "2"))
    with running(logged_project, settings={"workers": 2}) as server:
        assert sorted(workers(server)) == ['{worker="0"}', '{worker="1"}']
        helper = children(server.process.pid)[2]
        with Load(server.url) as load:
            for _ in range(n_kills):
                load.wait_for_answers(wait_until)
                started = workers(server)
                victim = next(pid for pid in children(server.process.pid) if pid != helper)
                os.kill(victim, signal.SIGKILL)
                wait_until(
                    lambda old=started: len(workers(server)) == 2 and workers(server) != old,
                    "the worker's successor",
                )
            load.wait_for_answers(wait_until)
        assert not load.refused
        counted = metric(server, "predictions_total")['{status="success"}']
        # Every acknowledged one is counted, and at most those whose answer a death cut off besides.
        assert len(load.ids) <= counted <= len(load.ids) + load.n_cut
        label = {"prediction_id": load.ids[0], "actual": 1}
        feedback = httpx.post(f"{server.url}/feedback", json=label, timeout=60)
        assert feedback.json() == {"accepted": 1, "unknown": 0}
    assert PredictionReader(logged_project.layout).known_ids(load.ids) == set(load.ids)
    replaced = read_events(logged_project.layout, what="worker_replaced")
    assert [event.reason for event in replaced] == ["it ended by signal SIGKILL"] * n_kills


@pytest.mark.slow
def test_promotions_reach_every_worker_without_an_error(
    project: Any, flower_data: Any, running: Any, wait_until: Any
) -> None:
    """A promotion a second, WORKBENCH_TEST_PROMOTIONS times."""
    X, _ = flower_data
    for value in (1.0, 2.0):
        model = DummyRegressor(strategy="constant", constant=value).fit(X, X[:, 0])
        project.add("steady", model, promote=value == 1.0)

    def versions() -> set[int]:
        # A new connection each: the system shares them out among the workers.
        return {httpx.post(f"{server.url}/predict", json=[1, 2, 3, 4]).json()["version"] for _ in range(8)}

    with running(project, settings={"workers": 2}) as server, Load(server.url) as load:
        for turn in range(int(os.environ.get("WORKBENCH_TEST_PROMOTIONS", "3"))):
            version = 2 - turn % 2
            project.registry.promote("steady", version)
            wait_until(lambda v=version: versions() == {v}, f"version {version} from all workers")
    assert load.ids
    assert not load.refused
    assert load.n_cut == 0


@pytest.mark.slow
def test_the_end_is_told_to_systemd_and_requests_in_progress_are_answered(
    logged_project: Any, running: Any, wait_until: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "200000")
        with running(logged_project, settings={"workers": 2, "access_log": "access.log"}) as server:
            told = {manager.recv(1000) for _ in range(3)}
            assert f"READY=1\nSTATUS=Serving on {server.url}".encode() in told
            assert b"WATCHDOG=1" in told
            # The body is still coming when the server is told to stop.
            body = b'{"features": [1, 2, 3, 4]}'
            host, port = server.url.removeprefix("http://").split(":")
            with socket.create_connection((host, int(port)), timeout=60) as client:
                head = f"POST /predict HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n"
                client.sendall(head.encode() + body[:5])
                wait_until(
                    lambda: metric(server, "workbench_requests_in_flight") == {"": 2.0},
                    "the request in progress",
                )
                server.process.terminate()
                while manager.recv(1000) != b"STOPPING=1":
                    pass
                client.sendall(body[5:])
                assert client.recv(1000).startswith(b"HTTP/1.1 200 OK")
            assert server.process.wait(90) == 0
    # What each worker still had to write is written.
    lines = (logged_project.root / "access.log").read_text().splitlines()
    assert sum('"path":"/predict"' in line for line in lines) == 1


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are looked up in /proc")
def test_nobody_is_left_behind_when_the_parent_is_killed(logged_project: Any, running: Any) -> None:
    with running(logged_project, settings={"workers": 2}) as server:
        family = children(server.process.pid)
        assert len(family) == 3  # with the one that keeps the log's helper
        server.process.kill()
        server.process.wait()
        for pid in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                psutil.Process(pid).wait(90)
