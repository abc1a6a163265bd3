"""A job's process as whoever started it sees it: followed, held to its limits, ended with all it made."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, TypeAlias

import store.errors
from pipelines.forked import ForkedChild
from pipelines.settings import LimitSettings
from pipelines.supervision import GRACE_S, Supervisor
from store.errors import StorageError, TrainingError, UserCodeError, WorkbenchError
from store.job_progress import LOG_FILE
from store.layout import Layout

ChildProcess: TypeAlias = "subprocess.Popen[str] | ForkedChild"
Starter: TypeAlias = Callable[[Path, Mapping[str, str], IO[bytes], Path], ChildProcess]
"""Makes the process of a job, leader of a session of its own: from its folder, environment, log and cwd."""
REQUEST_FILE, RESULT_FILE = "request.json", "result.json"


class JobProcess:
    """The process of one job; `what` it does, in the words of its errors."""

    def __init__(self, layout: Layout, job_id: str, limits: LimitSettings, what: str) -> None:
        self._layout, self._job_id, self._limits, self._what = layout, job_id, limits, what
        self._folder = layout.jobs / job_id
        self._child: ChildProcess | None = None
        self._supervisor: Supervisor | None = None
        self.has_answered = False
        """Whether it ended in its own time, with a result or an error."""

    @property
    def is_cancelled(self) -> bool:
        """Whether it was ended because somebody wished so."""
        return self._supervisor is not None and self._supervisor.is_cancelled

    def start(self, start: Starter, environment: Mapping[str, str]) -> int:
        """Start it; returns its process id."""
        with (self._folder / LOG_FILE).open("ab") as log:
            self._child = start(self._folder, environment, log, self._layout.root)
        return self._child.pid

    def follow(self, on_event: Callable[[Mapping[str, Any]], None]) -> dict[str, Any]:
        """Wait for its end; the result it answered. Raises the error that ended it, in the parent's words
        where it was ended from here or died."""
        child = self._child
        assert child is not None
        document: Mapping[str, Any] | None = None
        log = self._folder / LOG_FILE
        with Supervisor(self._layout, self._job_id, child, self._limits) as self._supervisor:
            for message in _messages(child):
                if "event" in message:
                    on_event(message["event"])
                else:
                    document = message
            child.wait()
        self.has_answered = document is not None
        if self._supervisor.reason is not None and (document is None or "error" in document):
            kind = "" if self._supervisor.is_cancelled else f"the {self._what} was ended: "
            raise TrainingError(kind + self._supervisor.reason, f"Its log: {log}.")
        if document is None:
            raise TrainingError(self._death(child.returncode or 0), f"Its log: {log}.")
        if "error" in document:
            raise _rebuild(document["error"])
        return dict(document["result"])

    def end(self) -> None:
        """Ask it to end, and see that it does, with everything it started."""
        child = self._child
        if child is None:
            return
        if child.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                child.terminate()
            deadline = time.monotonic() + GRACE_S
            while child.poll() is None and time.monotonic() < deadline:
                with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
                    child.wait(timeout=0.2)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()

    def close(self) -> None:
        if self._child is not None:
            for pipe in (self._child.stdin, self._child.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()

    def _death(self, returncode: int) -> str:
        if returncode < 0:
            name = signal.Signals(-returncode).name
            why = " (out of memory?)" if name == "SIGKILL" else ""
            return f"the {self._what} process was ended by {name}{why}"
        try:
            lines = (self._folder / LOG_FILE).read_text("utf-8", errors="replace").strip().splitlines()
        except OSError:
            lines = []
        last = f": {lines[-1]}" if lines else ""
        return f"the {self._what} process ended with code {returncode}{last}"


def starter(module: str) -> Starter:
    """Starts a new interpreter that runs `module` with the job's folder."""

    def start(folder: Path, environment: Mapping[str, str], log: IO[bytes], cwd: Path) -> ChildProcess:
        return subprocess.Popen(
            [sys.executable, "-m", module, str(folder)],
            stdin=subprocess.PIPE,  # its end tells the child that this process is gone
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=cwd,
            env=environment,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )

    return start


def job_folder(layout: Layout, job_id: str) -> Path:
    """The job's own folder, made where there is none; raises StorageError."""
    folder = layout.jobs / job_id
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"cannot make {folder}: {error.strerror}", "Free the disk or its folder."
        ) from error
    return folder


def words_of(error: BaseException) -> str:
    """An error as a job's row keeps it."""
    return error.message if isinstance(error, WorkbenchError) else str(error)


def _messages(child: ChildProcess) -> Iterator[dict[str, Any]]:
    assert child.stdout is not None
    for line in child.stdout:
        with contextlib.suppress(ValueError):
            yield json.loads(line)


def _rebuild(error: Mapping[str, Any]) -> WorkbenchError:
    kind = getattr(store.errors, str(error.get("class")), TrainingError)
    if not (isinstance(kind, type) and issubclass(kind, WorkbenchError)):
        kind = TrainingError
    message, hint = str(error.get("message")), error.get("hint")
    if issubclass(kind, UserCodeError):
        return kind(message, hint, str(error.get("report", "")))
    return kind(message, hint)
