"""What table and chart send to a terminal: an app of their own, in a pseudo-terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

APP = """
from dataclasses import dataclass
from textual.app import App
from workbench.tui.widgets.chart import Chart, ChartData, Series
from workbench.tui.widgets.table import Column, VirtualTable

@dataclass(frozen=True)
class Run:
    id: str
    name: str
    rmse: float

class Wire(App):
    CSS = "VirtualTable, Chart { height: 1fr; }"

    def compose(self):
        self.table = VirtualTable([Column("name", "name"), Column("rmse", "rmse", align="right")])
        self.chart = Chart()
        yield self.table
        yield self.chart

    def on_mount(self):
        self.key_a()
        self.table.focus()

    def show_rows(self, rmse):
        self.table.set_rows([Run(str(n), f"run {n}", rmse if n == 2 else n / 7) for n in range(5000)])

    def show_points(self, last):
        y = [n % 50 / 50 for n in range(2000)]
        self.chart.set_data(ChartData(series=[Series("rmse", range(2000), [*y[:-1], last])]))

    def key_a(self):
        self.show_rows(1.0)
        self.show_points(1.0)

    def key_b(self):
        self.show_rows(0.5)

    def key_c(self):
        self.show_points(0.5)

    def key_q(self):
        self.exit()

Wire().run()
"""
QUIET_S = 0.7
DEADLINE_S = 90.0


class Terminal:
    """A program in a pseudo-terminal of 100 × 30."""

    def __init__(self, program: Path) -> None:
        self.fd, child = pty.openpty()
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        command = [sys.executable, str(program)]
        self.process = subprocess.Popen(
            command, stdin=child, stdout=child, stderr=child, env=environment, start_new_session=True
        )
        os.close(child)

    def until_quiet(self) -> bytes:
        """What it sends until it has sent nothing for a while."""
        sent = b""
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            ready, _, _ = select.select([self.fd], [], [], QUIET_S)
            if not ready:
                return sent
            sent += os.read(self.fd, 65536)
        raise AssertionError("it never comes to rest")

    def until(self, text: str) -> bytes:
        """What it sends until some text was among it, of which the empty one is in anything."""
        sent = b""
        deadline = time.monotonic() + DEADLINE_S
        while not sent or text.encode() not in sent:
            assert time.monotonic() < deadline, sent[-500:]
            ready, _, _ = select.select([self.fd], [], [], 1.0)
            sent += os.read(self.fd, 65536) if ready else b""
        return sent

    def press(self, key: str, text: str = "") -> bytes:
        """What it sends for a key that makes it write something, and that text."""
        os.write(self.fd, key.encode())
        return self.until(text) + self.until_quiet()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(DEADLINE_S)
        os.close(self.fd)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    program = tmp_path / "wire.py"
    program.write_text(APP)
    terminal = Terminal(program)
    try:
        terminal.until("run 2")
        while terminal.until_quiet():
            pass  # on a busy machine the first picture comes in pieces
        yield terminal
    finally:
        terminal.close()


def test_the_wire_carries_what_changed_and_nothing_else(terminal: Terminal) -> None:
    os.write(terminal.fd, b"a")
    assert terminal.until_quiet() == b""  # equal rows and points; what came late would be counted below
    assert len(terminal.press("b", "0.5")) < 200  # one cell
    assert 0 < len(terminal.press("c")) < 3000  # one point: some lines as far as they changed, not a frame
    assert 0 < len(terminal.press("\x1b[B")) < 1000  # the cursor leaves a line and comes to another
