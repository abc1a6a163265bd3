"""`workbench serve` from the command line: with a project, with a URI alone, and with a taken port."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager

import pytest

from store.layout import Layout
from workbench.watching import running_watcher


@contextmanager
def serving(*args, cwd, **variables):
    """A server in a process of its own: yields its URL and process, and ends it."""
    command = subprocess.Popen(
        [sys.executable, "-m", "workbench", "serve", *args],
        cwd=cwd,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        lines = []
        for line in command.stderr:
            lines.append(line)
            if found := re.search(r"Serving on (\S+)", line):
                break
        else:
            raise AssertionError("".join(lines))
        yield found[1], command
    finally:
        command.send_signal(signal.SIGTERM)
        command.communicate(timeout=120)


def get(url):
    with urllib.request.urlopen(url, timeout=10) as response:
        return json.load(response)


def test_it_says_where_it_serves_and_status_sees_it(workbench, project):
    with serving("--port", "0", cwd=project) as (url, command):
        assert get(f"{url}/health/live")
        server = workbench("status", "--json").json["server"]
        assert server["url"] == url
        assert server["pid"] == command.pid
        assert {"host", "port", "started_at"} <= server.keys()
        assert url in workbench("status").out
        command.send_signal(signal.SIGINT)
        assert command.wait(90) == 130
    assert workbench("status", "--json").json["server"] is None
    assert [event["what"] for event in workbench("events", "--json").json] == [
        "server_started",
        "server_stopped",
    ]


def test_a_taken_port_says_so_and_offers_another(workbench, project):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = workbench("serve", "--port", str(port))
    assert result.code == 1
    assert str(port) in result.err
    assert "--port" in result.err.replace(str(port), "", 1)
    assert result.err.count("\n") == 1


def test_its_watcher_ends_with_it_even_where_it_is_stuck(project):
    # Enough for a server on a busy machine to end in order, and all that the watcher is given.
    variables = {"WORKBENCH_SERVE__DRAIN_SECONDS": "5"}
    with serving("--port", "0", "--watch", cwd=project, **variables) as (_, command):
        layout = Layout.of(project)
        deadline = time.monotonic() + 60
        while (watcher := running_watcher(layout)) is None and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(watcher.pid, signal.SIGSTOP)
        command.send_signal(signal.SIGTERM)
        assert command.wait(90) == 0
        assert running_watcher(layout) is None


@pytest.mark.slow
@pytest.mark.usefixtures("forked_trainings")
def test_a_uri_needs_no_project(workbench, project, tmp_path_factory):
    rows = [f"{20 + i % 50},{i % 7},{int(i % 7 > 3)},{i * 1.5}" for i in range(200)]
    (project / "data" / "customers.csv").write_text("\n".join(["age,orders,churned,total", *rows, ""]))
    settings = ("--set", "estimator=logistic_regression", "--set", "split.cv_folds=0")
    assert workbench("train", "churn", *settings, "--json").code == 0
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    common = {"MLFLOW_TRACKING_URI": (project / "mlruns").as_uri(), "PORT": "0"}
    for args, variables in (
        (("--uri", "models:/churn/1"), {}),
        ((), {"MODEL_URI": "models:/churn@champion"}),
        ((), {"MODEL_NAME": "churn", "MODEL_STAGE": "Production"}),
    ):
        with serving(*args, cwd=elsewhere, **common, **variables) as (url, _):
            health = get(f"{url}/health")
        assert health["model_loaded"] is True
        assert health["model_version"] == 1
    assert list(elsewhere.iterdir()) == []
