"""What every job's own process does first: its output, and its end with whoever started it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sys
import threading
import time
from types import FrameType
from typing import Any, TextIO

_GRACE_S = 10.0
is_cancelled = threading.Event()
"""Set from the moment that somebody asked for the end of this process."""


class Cancelled(BaseException):
    """Somebody asked for the end of this job."""


class LogStream(io.TextIOBase):
    """Standard output and error of the job: a full disk costs the log its lines, not the job its end."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            os.write(self._descriptor, text.encode("utf-8", errors="replace"))
        return len(text)


class ParentPipe:
    """Standard output as it was: lines of JSON to the parent, from any thread."""

    def __init__(self, pipe: TextIO) -> None:
        self._pipe, self._lock = pipe, threading.Lock()

    def send(self, message: dict[str, Any]) -> None:
        """Tell the parent; one that is gone is told nothing."""
        with self._lock, contextlib.suppress(OSError):
            self._pipe.write(json.dumps(message, default=str) + "\n")
            self._pipe.flush()


def begin() -> ParentPipe:
    """Make this process a job: what is printed goes to its log, it ends with its parent, and SIGTERM or
    SIGINT raise `Cancelled` once."""
    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr = LogStream(2)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGTERM, _cancel)
    signal.signal(signal.SIGINT, _cancel)
    return ParentPipe(pipe)


def _end_with_parent() -> None:
    """Standard input ends with whoever holds its other end."""
    with contextlib.suppress(OSError):
        while os.read(0, 1):
            pass
    os.kill(os.getpid(), signal.SIGTERM)
    # Code that catches every exception, or never comes back from a library, must not outlive its parent.
    time.sleep(_GRACE_S)
    os.killpg(0, signal.SIGKILL)


def _cancel(signum: int, frame: FrameType | None) -> None:
    # A second signal would cut off the marking of the run.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    is_cancelled.set()
    raise Cancelled
