"""The child process that has MLflow's client: what it keeps away, and how it ends."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from store import client_process as client
from store.client_pipe import Call, Failure, Reply, receive, send
from store.client_process import ClientProcess, client_process
from store.errors import NotFoundError, StorageError, UsageError, WorkbenchError
from store.layout import Layout
from store.tracking import close_clients, open_registry, open_runs

StartPython = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def silent_server() -> Iterator[str]:
    """A port that takes connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture
def child(silent_server: str) -> Iterator[ClientProcess]:
    """One whose calls hang for 5 s, without MLflow being imported."""
    yield client_process(silent_server)
    client.close_clients()


def wait_until(condition: Callable[[], bool], within_s: float = 90) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    "error",
    [NotFoundError("no run 'x'", "Did you mean 'y'?"), UsageError("wrong"), WorkbenchError("plain", "Try.")],
)
def test_an_error_passes_the_pipe_with_its_message_and_hint(error: WorkbenchError) -> None:
    failure = pickle.loads(pickle.dumps(Failure.of(error)))
    passed = failure.as_error()
    assert (type(passed), passed.message, passed.hint) == (type(error), error.message, error.hint)


def test_an_error_nobody_foresaw_is_told_in_one_line() -> None:
    passed = Failure.of(RuntimeError("first\nsecond")).as_error()
    assert (type(passed), passed.message) == (StorageError, "RuntimeError: first")


def test_a_message_longer_than_the_pipe_holds_arrives_whole() -> None:
    reading, writing = os.pipe()
    call = Call(1, "runs", "set_tag", ("x" * 1_000_000,), {})
    thread = threading.Thread(target=send, args=(writing, call))
    thread.start()
    assert receive(reading) == call
    thread.join()
    send(writing, Reply(1, float("inf")))
    assert receive(reading) == Reply(1, float("inf"))
    os.close(writing)
    with pytest.raises(EOFError):
        receive(reading)
    os.close(reading)


def test_a_server_that_hangs_is_an_error_within_seconds(silent_server: str, child: ClientProcess) -> None:
    started = time.monotonic()
    with pytest.raises(StorageError, match=r"doesn't answer within 5 s\. See whether the server runs"):
        open_runs(silent_server).list()
    assert time.monotonic() - started < 60, "an answer is waited for twice as long"


def test_whoever_waits_is_released_when_the_ui_ends(silent_server: str, child: ClientProcess) -> None:
    raised: list[BaseException] = []

    def ask() -> None:
        try:
            child.ask("runs", "experiments")
        except StorageError as error:
            raised.append(error)

    waiting = threading.Thread(target=ask)
    waiting.start()
    wait_until(lambda: child.pid is not None)
    pid = child.pid
    assert pid is not None
    close_clients(silent_server)
    waiting.join(90)
    assert "has ended: signal 9" in str(raised[0])
    wait_until(lambda: not is_alive(pid))


def test_a_child_that_is_stuck_is_ended(child: ClientProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "ANSWER_TIMEOUT_S", 0.5)
    with pytest.raises(StorageError, match="gave no answer within"):
        child.ask("runs", "experiments")
    wait_until(lambda: child.pid is None)


def test_an_idle_child_ends_and_the_next_call_starts_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "IDLE_S", 0.2)
    child = ClientProcess("http://127.0.0.1:1")  # a port that nobody listens on
    pids = []
    for _ in range(2):
        with pytest.raises(StorageError, match="refuses connections"):
            child.ask("runs", "experiments")
        assert child._running is not None
        pids.append(child._running.process.pid)  # `child.pid` may be over by now
        wait_until(lambda: child.pid is None)
    assert pids[0] != pids[1]


def test_the_child_of_a_killed_process_ends(start_python: StartPython, silent_server: str) -> None:
    code = """
    import sys, threading, time
    from store.client_process import client_process
    child = client_process(sys.argv[1])
    threading.Thread(target=child.ask, args=("runs", "experiments")).start()
    while child.pid is None:
        time.sleep(0.01)
    print(child.pid, flush=True)
    time.sleep(60)
    """
    parent = start_python(code, silent_server)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert is_alive(pid)
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    wait_until(lambda: not is_alive(pid))


def test_a_store_is_opened_without_a_child_and_asked_without_importing_mlflow(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from store.layout import Layout; from store import tracking\n"
        "from store.client_process import client_process\n"
        "root = Path(sys.argv[1]); uri = tracking.resolve_uri('sqlite:///a.db', root)\n"
        "runs, registry = tracking.open_runs(uri), tracking.open_registry(uri, Layout.of(root))\n"
        "assert client_process(uri).pid is None\n"
        "assert [item.name for item in runs.experiments()] == ['Default'] and registry.models() == []\n"
        "assert 'mlflow' not in sys.modules and 'pandas' not in sys.modules\n"
        "peak = [line for line in open('/proc/self/status') if line.startswith('VmHWM')]\n"
        "print(peak[0].split()[1] if peak else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True, text=True, cwd=tmp_path
    )
    assert int(done.stdout) < 60_000


def test_opening_asks_nobody(tmp_path: Path, silent_server: str) -> None:
    open_runs(silent_server)
    open_registry(silent_server, Layout.of(tmp_path))
    assert client_process(silent_server).pid is None
