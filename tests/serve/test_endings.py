"""What the server is told to end by, at any time of its life."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from serve.endings import Ending
from store.journal import read_events
from store.layout import Layout


def test_the_first_signal_counts_and_a_second_one_during_it_does_not() -> None:
    told: list[str] = []

    def begin() -> None:
        told.append("told")
        ending.begin(signal.SIGINT)  # as one would that comes within the handler

    ending = Ending(begin)
    ending.begin(signal.SIGTERM)
    assert told == ["told"]
    assert not ending.was_interrupted


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_start_is_given_up_in_order_and_the_rest_is_let_come_to_its_end(number: signal.Signals) -> None:
    ending, steps = Ending(), []
    before = signal.getsignal(number)
    with ending.heeded():
        try:
            steps.append("loading")
            signal.raise_signal(number)
            steps.append("serving")
        finally:
            signal.raise_signal(number)
            steps.append("closed")
    assert steps == ["loading", "closed"]
    assert ending.was_interrupted == (number == signal.SIGINT)
    assert signal.getsignal(number) is before


def test_where_signals_never_arrive_nothing_is_done_about_them() -> None:
    ran: list[bool] = []

    def elsewhere() -> None:
        with Ending().heeded():
            ran.append(True)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert ran == [True]


def in_a_terminal(*command: str, hangup: Any = signal.SIG_DFL) -> tuple[int, int]:
    """A command as a terminal of its own runs it: its pid and the terminal's other end."""
    pid, terminal = pty.fork()
    if pid == 0:  # pragma: no cover - another process
        signal.signal(signal.SIGHUP, hangup)
        os.execv(sys.executable, [sys.executable, *command])
    return pid, terminal


def test_a_hangup_ends_what_has_a_terminal_unless_nohup_has_it_ignored() -> None:
    asks = ("-c", "from serve.endings import ends_on_hangup; print(ends_on_hangup())")
    alone = subprocess.run(
        [sys.executable, *asks], capture_output=True, text=True, start_new_session=True, check=True
    )
    assert alone.stdout == "False\n"
    for hangup, ends in ((signal.SIG_DFL, b"True"), (signal.SIG_IGN, b"False")):
        pid, terminal = in_a_terminal(*asks, hangup=hangup)
        with os.fdopen(terminal, "rb", buffering=0) as screen:
            assert screen.read(100).startswith(ends)
        os.waitpid(pid, 0)


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_it_ends_in_order_when_its_terminal_hangs_up(tmp_path: Path, wait_until: Any, workers: str) -> None:
    (tmp_path / "workbench.toml").write_text('[project]\nname = "test"\n')
    command = ("-m", "workbench", "-C", str(tmp_path), "serve", "--port", "0", "--workers", workers)
    pid, terminal = in_a_terminal(*command)
    with os.fdopen(terminal, "rb", buffering=0) as screen:
        shown = b""
        while b"Serving on" not in shown:
            shown += screen.read(10_000)
    _, status = wait_until(lambda: (ended := os.waitpid(pid, os.WNOHANG))[0] and ended, "its end", 20.0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert [event.what for event in read_events(Layout.of(tmp_path))] == ["server_started", "server_stopped"]
