"""Works something out in a forked process, for what it imports on the way to be gone with that."""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import signal
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_MOST_S = 60.0


class NoAnswerError(Exception):
    """The process ended, or took too long, before it had an answer."""


def in_a_fork(work: Callable[[], T]) -> T:
    """What `work` returns, which must be picklable; NoAnswerError for whatever came between."""
    reading, writing = os.pipe()
    try:
        pid = os.fork()
    except OSError as error:
        os.close(reading)
        os.close(writing)
        raise NoAnswerError(str(error)) from error
    if pid == 0:
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            os.close(reading)
            answer = memoryview(pickle.dumps(work()))
            while answer:
                answer = answer[os.write(writing, answer) :]
        finally:
            # Nothing of the parent's is tidied up here: its files and threads are its own.
            os._exit(0)
    os.close(writing)
    try:
        found: T = pickle.loads(_all_of(reading))
    except (EOFError, pickle.UnpicklingError) as error:
        raise NoAnswerError("it ended without an answer") from error
    finally:
        os.close(reading)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)
    return found


def _all_of(reading: int) -> bytes:
    found = bytearray()
    ends_at = time.monotonic() + _MOST_S
    while True:
        ready, _, _ = select.select([reading], [], [], max(0.0, ends_at - time.monotonic()))
        if not ready:
            raise NoAnswerError(f"no answer within {_MOST_S:g} s")
        part = os.read(reading, 65_536)
        if not part:
            return bytes(found)
        found += part
