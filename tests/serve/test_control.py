"""Starting, finding and stopping a server from other processes, and ports that are taken."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sklearn.linear_model import LogisticRegression

from serve.control import local_url, log_path, running_server, start_background, stop_server
from serve.ports import free_port, listen
from store.errors import BusyError, UsageError, WorkbenchError
from store.journal import read_events
from store.layout import Layout


def test_a_running_server_is_found_and_stopped(project: Any, flower_data: Any, running: Any) -> None:
    X, y = flower_data
    project.add("two", LogisticRegression().fit(X, y))
    with running(project) as server:
        info = running_server(project.layout)
        assert info is not None
        assert (info.url, info.pid) == (server.url, server.process.pid)
        assert stop_server(project.layout) is True
        assert server.process.wait(90) == 0
    assert running_server(project.layout) is None
    assert stop_server(project.layout) is False
    assert [event.what for event in read_events(project.layout)][-2:] == ["server_started", "server_stopped"]


def test_a_killed_server_is_not_running(project: Any, flower_data: Any, running: Any) -> None:
    X, y = flower_data
    project.add("two", LogisticRegression().fit(X, y))
    with running(project) as server:
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
        assert running_server(project.layout) is None


def test_a_background_server_lives_in_a_session_of_its_own_and_keeps_its_log_short(
    project: Any, flower_data: Any, wait_until: Any
) -> None:
    X, y = flower_data
    project.add("two", LogisticRegression().fit(X, y))
    (project.root / "workbench.toml").write_text('[project]\nname = "test"\n')
    for folder in ("store", "serve", "pipelines"):  # a user's own, which must not shadow ours
        (project.root / folder).mkdir()
        (project.root / folder / "__init__.py").write_text("raise RuntimeError('imported')\n")
    waits: list[float] = []
    info = start_background(project.root, options=["--port", "0"], on_wait=waits.append)
    try:
        assert os.getsid(info.pid) == info.pid
        assert waits
        assert start_background(project.root) == info
        with log_path(project.layout).open("ab") as log:
            log.write(b"told again and again\n" * 300_000)
        wait_until(lambda: log_path(project.layout).stat().st_size < 1_000, "a log that is short again")
    finally:
        assert stop_server(project.layout)


def test_a_background_server_that_ends_early_says_why(tmp_path: Path) -> None:
    (tmp_path / "workbench.toml").write_text('[project]\nname = "test"\n[serve]\nprt = 1\n')
    with pytest.raises(WorkbenchError, match="unknown key"):
        start_background(tmp_path)
    assert log_path(Layout.of(tmp_path)).exists()


def test_a_port_that_is_taken_names_the_holder_and_a_free_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(BusyError) as raised:
            listen("127.0.0.1", port)
    assert f"port {port} is taken" in raised.value.message
    if Path("/proc/net/tcp").exists():
        assert f"pid {os.getpid()}" in raised.value.message
    assert "--port" in str(raised.value.hint)


def test_a_taken_port_ends_the_server_before_it_loads_anything(project: Any) -> None:
    code = (
        "import sys\nfrom serve.main import *\nfrom store.errors import BusyError\n"
        "try:\n    serve(ServerConfig(ServeSettings(port=int(sys.argv[1])), StoreSettings(), sys.argv[2]))\n"
        "except BusyError as error:\n    print(error.message, 'sklearn' in sys.modules)\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        command = [sys.executable, "-c", code, str(port), project.uri]
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert shown.startswith(f"port {port} is taken")
    assert shown.strip().endswith("False")


@pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.7"])
def test_a_host_that_is_not_this_machine_is_wrong_usage(host: str) -> None:
    with pytest.raises(UsageError):
        listen(host, 0)


def test_free_ports_and_urls() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        assert free_port("127.0.0.1", port) != port
    assert local_url("0.0.0.0", 80) == "http://127.0.0.1:80"
    assert local_url("::", 80) == "http://[::1]:80"


def test_the_server_imports_no_mlflow_no_pandas_and_no_terminal_library(
    project: Any, flower_data: Any
) -> None:
    X, y = flower_data
    project.add("two", LogisticRegression().fit(X, y))
    code = """
import json, os, signal, sys
from pathlib import Path
from serve.main import *
def ready(info):
    wanted = ("mlflow", "pandas", "textual", "duckdb", "pyarrow")
    print(json.dumps([[name for name in wanted if name in sys.modules], os.environ["OMP_NUM_THREADS"]]))
    os.kill(os.getpid(), signal.SIGTERM)
root = Path(sys.argv[1])
config = ServerConfig(ServeSettings(port=0), StoreSettings(), (root / "mlruns").as_uri(), Layout.of(root))
serve(config, on_ready=ready)
"""
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    command = [sys.executable, "-c", code, str(project.root)]
    shown = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout) == [[], "1"]
