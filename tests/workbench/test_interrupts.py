"""A ctrl-C ends what it was meant to end, wherever it happened to arrive."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from workbench.interrupts import remembered_interrupts


class Finalizer:
    """Gets a ctrl-C where Python drops what is raised."""

    def __del__(self) -> None:
        press_ctrl_c()


@pytest.fixture(autouse=True)
def _as_in_a_terminal() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def press_ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(100):  # it is raised between two instructions of this thread
        pass


def drop_one_in_a_finalizer() -> None:
    Finalizer()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_ctrl_c_that_a_finalizer_dropped_is_raised_at_the_next_look() -> None:
    done = []

    def work() -> None:
        with remembered_interrupts() as heed:
            heed()
            drop_one_in_a_finalizer()
            done.append("what was under way")
            heed()
            done.append("the rest")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["what was under way"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_or_at_the_end_at_the_latest() -> None:
    with pytest.raises(KeyboardInterrupt), remembered_interrupts():
        drop_one_in_a_finalizer()


def test_one_that_arrives_is_raised_at_once_and_the_handler_of_before_is_back() -> None:
    def work() -> None:
        with remembered_interrupts():
            press_ctrl_c()
            pytest.fail("it went on")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("module", ["workbench.cli", "click", "workbench.cli.status"])
def test_one_while_modules_are_loaded_ends_a_command_in_silence(module: str) -> None:
    code = (
        "import sys\n"
        "class CtrlC:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}: raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, CtrlC())\n"
        "sys.argv = ['workbench', 'status']\n"
        "from workbench.__main__ import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert done.stderr.strip() == ""


def test_an_ignored_ctrl_c_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with remembered_interrupts() as heed:
        press_ctrl_c()
        heed()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
