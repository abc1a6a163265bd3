"""`workbench mlflow ui`: MLflow's own interface on the project, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def wait_for(condition, deadline_s=90.0):
    deadline = time.monotonic() + deadline_s
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.1)
    raise AssertionError("it did not happen in time")


def answer(url, body=None):
    """The parsed JSON of an answer, None while there is none."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)
    except (urllib.error.URLError, OSError):
        return None


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130)])
def test_the_ui_shows_the_projects_runs_and_ends_with_all_its_processes(project, make_run, number, code):
    run_id = make_run("seen", metrics={"roc_auc": 0.9})
    port = free_port()
    command = subprocess.Popen(
        [sys.executable, "-m", "workbench", "mlflow", "ui", "--port", str(port)],
        cwd=project,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        url = f"http://127.0.0.1:{port}/api/2.0/mlflow/runs/search"
        found = wait_for(lambda: answer(url, {"experiment_ids": ["101"]}))
        assert [run["info"]["run_id"] for run in found["runs"]] == [run_id]
        children = descendants(command.pid)
        assert children
        command.send_signal(number)
        assert command.wait(90) == code
        wait_for(lambda: not any(map(is_running, children)))
    finally:
        if command.poll() is None:
            command.terminate()
            command.wait(90)
    assert not (project / "mlflow.db").exists()


def descendants(pid):
    """Ids of the processes that a process started, and those that they started."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(child): int(parent) for child, parent in map(str.split, listed.splitlines())}
    found, todo = set(), {pid}
    while todo:
        todo = {child for child, parent in parents.items() if parent in todo}
        found |= todo
    return found


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_taken_port_is_one_line(workbench, project):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = workbench("mlflow", "ui", "--port", taken.getsockname()[1])
    assert result.code == 1
    assert "--port" in result.err
    assert result.err.count("\n") == 1


def test_a_server_as_tracking_uri_needs_no_second_one(workbench, project, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking.example:5000")
    result = workbench("mlflow", "server")
    assert result.code == 2
    assert "http://tracking.example:5000" in result.err
