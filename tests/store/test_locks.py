from __future__ import annotations

import fcntl
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from store.errors import BusyError, StorageError
from store.locks import lock_holder, locked

HOLD = """
import signal
import sys
from pathlib import Path
from store.locks import locked
with locked(Path(sys.argv[1]), what="holding on"):
    print("held", flush=True)
    signal.pause()
"""
Start = Callable[..., "subprocess.Popen[str]"]


def held_by_child(start_python: Start, path: Path) -> subprocess.Popen[str]:
    child = start_python(HOLD, path)
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def end(child: subprocess.Popen[str]) -> None:
    child.send_signal(signal.SIGKILL)
    child.communicate()


def test_a_second_process_is_told_who_holds_the_lock(tmp_path: Path, start_python: Start) -> None:
    path = tmp_path / "a.lock"
    child = held_by_child(start_python, path)
    try:
        with pytest.raises(BusyError, match=rf"process {child.pid} holds a\.lock since .*: holding on"):  # noqa: SIM117
            with locked(path, what="waiting", timeout_s=0):
                pass
        holder = lock_holder(path)
        assert holder is not None
        assert (holder["pid"], holder["what"]) == (child.pid, "holding on")
    finally:
        end(child)


def test_a_killed_holder_leaves_the_lock_free_and_the_file_in_place(
    tmp_path: Path, start_python: Start
) -> None:
    path = tmp_path / "a.lock"
    end(held_by_child(start_python, path))
    assert lock_holder(path) is None
    with locked(path, what="next", timeout_s=0):
        holder = lock_holder(path)
        assert holder is not None
        assert holder["pid"] == os.getpid()
    assert path.exists()
    assert lock_holder(path) is None


def test_somebody_who_only_looks_is_not_taken_for_the_killed_holder(
    tmp_path: Path, start_python: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.lock"
    end(held_by_child(start_python, path))
    looking = os.open(path, os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)
    monkeypatch.setattr("store.locks.time.sleep", lambda _: os.close(looking))

    with locked(path, what="next", timeout_s=0):
        holder = lock_holder(path)

    assert holder is not None
    assert holder["pid"] == os.getpid()


def test_waiting_ends_when_the_holder_leaves(tmp_path: Path, start_python: Start) -> None:
    path = tmp_path / "a.lock"
    with locked(path, what="first"):
        child = start_python(
            """
            import sys
            from pathlib import Path
            from store.locks import locked
            print("waiting", flush=True)
            with locked(Path(sys.argv[1]), what="second", timeout_s=30):
                print("got it")
            """,
            path,
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "waiting\n"
    assert child.communicate(timeout=120)[0] == "got it\n"


def test_nobody_holds_a_lock_that_was_never_taken(tmp_path: Path) -> None:
    assert lock_holder(tmp_path / "none.lock") is None


def test_an_error_within_the_block_frees_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with pytest.raises(ZeroDivisionError), locked(path, what="failing"):
        raise ZeroDivisionError
    assert lock_holder(path) is None


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"file/a\.lock"), locked(tmp_path / "file" / "a.lock", what="x"):
        pass
