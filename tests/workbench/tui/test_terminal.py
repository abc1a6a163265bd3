"""The UI in a real terminal: whatever ends it, the terminal is as it was before."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

ESCAPES = re.compile(rb"\x1b\[[0-9;?<>=]*[A-Za-z]|\x1b[()].|\x1b[=>]")
CRASH = """
import sys
from pathlib import Path
from workbench.desk import runs
from workbench.cli.ui import open_ui

def crash(*_, **__):
    raise ZeroDivisionError("in a worker")

import workbench.tui.screens.runs
workbench.tui.screens.runs.list_runs = crash
open_ui(Path(sys.argv[1]))
"""


class Terminal:
    """A pty with a program in it, as a session of its own that the pty controls."""

    def __init__(self, command: list[str], size: tuple[int, int] = (100, 30)) -> None:
        self.ours, self.theirs = pty.openpty()
        self.resize(*size)
        self.before = termios.tcgetattr(self.theirs)
        self.output = b""
        environment = {**os.environ, "TERM": "xterm-256color", "WORKBENCH_UI__WATCH": "false"}
        for name in ("COLUMNS", "LINES"):  # they would win over the pty's own size
            environment.pop(name, None)
        self.process = subprocess.Popen(
            command,
            stdin=self.theirs,
            stdout=self.theirs,
            stderr=self.theirs,
            env=environment,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def read(self, seconds: float = 0.1) -> bytes:
        """What arrives within some time."""
        ready, _, _ = select.select([self.ours], [], [], seconds)
        chunk = os.read(self.ours, 65536) if ready else b""
        self.output += chunk
        return chunk

    def until(self, text: str, seconds: float = 60) -> None:
        """Wait until a text was written; escape sequences between its letters don't count."""
        deadline = time.monotonic() + seconds
        while text.encode() not in ESCAPES.sub(b"", self.output):
            assert time.monotonic() < deadline, f"no {text!r} in {ESCAPES.sub(b'', self.output)[-2000:]!r}"
            self.read()

    def press(self, keys: str) -> None:
        os.write(self.ours, keys.encode())

    def forget(self) -> None:
        """Count what is written from here on."""
        while self.read(0.2):
            pass
        self.output = b""

    def exit_code(self, seconds: float = 60) -> int:
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < deadline, "it did not end"
            self.read()
        while self.read(0.05):
            pass
        return self.process.returncode

    def is_as_before(self) -> bool:
        """The line discipline restored, the main screen back, the cursor shown, the mouse left alone."""
        off = [b"\x1b[?1049l", b"\x1b[?25h", b"\x1b[?1000l", b"\x1b[?2004l"]
        on = [b"\x1b[?1049h", b"\x1b[?25l", b"\x1b[?1000h", b"\x1b[?2004h"]
        ended = all(
            self.output.rfind(stop) > self.output.rfind(start) for stop, start in zip(off, on, strict=True)
        )
        return ended and termios.tcgetattr(self.theirs) == self.before

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for end in (self.ours, self.theirs):
            try:
                os.close(end)
            except OSError:
                continue


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    """Starts `workbench` with arguments in a terminal of its own."""
    opened: list[Terminal] = []

    def start(*args: str | Path, code: str | None = None) -> Terminal:
        program = ["-m", "workbench"] if code is None else ["-c", code]
        opened.append(Terminal([sys.executable, *program, *map(str, args)]))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


@pytest.fixture
def opened(terminal: Callable[..., Terminal], shop: Path) -> Terminal:
    """The shop's runs on the screen."""
    session = terminal("-C", shop)
    session.until("boosting")
    return session


@pytest.mark.parametrize("key", ["q", "\x03", "\x11"])
def test_a_key_ends_it(opened: Terminal, key: str) -> None:
    opened.press(key)
    assert opened.exit_code() == 0
    assert opened.is_as_before()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 0)]
)
def test_a_signal_ends_it(opened: Terminal, number: signal.Signals, code: int) -> None:
    opened.process.send_signal(number)
    assert opened.exit_code() == code
    assert opened.is_as_before()


def test_a_lost_terminal_ends_it(opened: Terminal) -> None:
    os.close(opened.ours)
    os.close(opened.theirs)
    assert opened.process.wait(90) == 129


def test_pictures_for_a_terminal_that_is_gone_hold_nothing_up() -> None:
    from textual.drivers._writer_thread import MAX_QUEUED_WRITES, WriterThread

    from workbench.tui.driver import Lasting

    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        os.close(ours)
        writer = WriterThread(Lasting(terminal))  # type: ignore[arg-type]
        writer.start()
        for number in range(3 * MAX_QUEUED_WRITES):
            writer.write(f"picture {number}\n")
        writer.stop()
        assert not writer.is_alive()
        with suppress(OSError):
            terminal.close()


def test_it_follows_the_terminals_size(opened: Terminal) -> None:
    opened.resize(50, 10)
    opened.process.send_signal(signal.SIGWINCH)
    opened.until("60 × 15")
    opened.forget()
    opened.resize(120, 36)
    opened.process.send_signal(signal.SIGWINCH)
    opened.until("boosting")
    opened.press("q")
    assert opened.exit_code() == 0
    assert opened.is_as_before()


def test_a_crash_in_a_worker_is_told_and_it_goes_on(terminal: Callable[..., Terminal], shop: Path) -> None:
    session = terminal(shop, code=CRASH)
    session.until("ZeroDivisionError")
    session.press("\x03")
    assert session.exit_code() == 0
    assert session.is_as_before()


def test_wrong_settings_are_one_line(terminal: Callable[..., Terminal], shop: Path) -> None:
    (shop / "workbench.toml").write_text('[project]\nname = "shop"\nnom = 1\n')
    session = terminal("-C", shop)
    assert session.exit_code() == 2
    assert session.is_as_before()
    last = ESCAPES.sub(b"", session.output).decode().strip().splitlines()[-1]
    assert "unknown key 'project.nom'" in last
    assert "Traceback" not in last


def test_at_rest_it_writes_nothing(opened: Terminal) -> None:
    opened.until("experiment")
    # What a busy machine is late with may still come; at rest is where nothing does for five seconds.
    deadline = time.monotonic() + 60
    while opened.read(5.0):
        assert time.monotonic() < deadline, "it never comes to rest"


def test_a_folder_of_runs_is_opened_by_its_path(terminal: Callable[..., Terminal], shop: Path) -> None:
    (shop / "workbench.toml").unlink()
    session = terminal(shop / "mlruns")
    session.until("boosting")
    session.press("q")
    assert session.exit_code() == 0


def test_the_first_picture_comes_before_anything_heavy_is_imported(shop: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from workbench.desk.place import find_place\n"
        "from workbench.tui.app import WorkbenchApp\n"
        "class Ours(WorkbenchApp):\n"
        "    def _open(self):\n"
        "        heavy = {'mlflow', 'sklearn', 'pandas', 'numpy', 'duckdb', 'pyarrow', 'scipy', 'pydantic'}\n"
        "        self.exit(message=f'heavy: {sorted(heavy & set(sys.modules))}')\n"
        "Ours(find_place(Path(sys.argv[1]))).run(headless=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(shop)], capture_output=True, text=True, check=True)
    assert "heavy: []" in done.stderr


def test_a_handler_that_crashes_ends_it_with_one_line(terminal: Callable[..., Terminal], shop: Path) -> None:
    code = CRASH.replace("screens.runs.list_runs = crash", "screens.runs.RunsScreen.action_deleted = crash")
    session = terminal(shop, code=code)
    session.until("boosting")
    session.press("D")
    assert session.exit_code() == 1
    assert session.is_as_before()
    assert "unexpected ZeroDivisionError: in a worker" in ESCAPES.sub(b"", session.output).decode()
    assert "Traceback" not in session.output.decode()
