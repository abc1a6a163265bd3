"""A process of the project that runs in the background, such as its server: found, started, stopped.

While it lives it holds a lock, which the kernel gives back whatever becomes of it, and describes itself in a
file beside that lock. Its pid is in there for signals, and proves nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from store.bounded_logs import rotate
from store.errors import WorkbenchError
from store.files import write_atomically
from store.layout import Layout
from store.locks import lock_holder, locked

T = TypeVar("T")
_POLL_S = 0.05
# Those this process started: kept, so that the ended ones can be waited for.
_children: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True)
class Background:
    """One kind of such a process; `name` is that of its files, `noun` what people call it."""

    layout: Layout
    name: str
    noun: str

    @property
    def info_path(self) -> Path:
        return self.layout.run / f"{self.name}.json"

    @property
    def lock_path(self) -> Path:
        return self.layout.run / f"{self.name}.lock"

    @property
    def log_path(self) -> Path:
        return self.layout.run / f"{self.name}.log"

    # Within the process itself.

    @contextmanager
    def registered(self, what: str) -> Iterator[None]:
        """Be it while the block runs; raises BusyError naming the process that is it already."""
        with locked(self.lock_path, what=what, timeout_s=0):
            self.info_path.unlink(missing_ok=True)  # of one that was killed
            try:
                yield
            finally:
                self.info_path.unlink(missing_ok=True)

    def describe(self, info: Mapping[str, Any]) -> None:
        """Let others read what it is doing. Raises StorageError."""
        write_atomically(self.info_path, json.dumps(info))

    # From elsewhere.

    @property
    def is_running(self) -> bool:
        if lock_holder(self.lock_path) is not None:
            return True
        for pid, child in list(_children.items()):
            if child.poll() is not None:  # ended from elsewhere: no zombie is to stay
                _children.pop(pid, None)
        return False

    def description(self) -> dict[str, Any] | None:
        """What it last said about itself; None when no living process holds its lock, or it starts or ends at
        this moment."""
        if not self.is_running:
            return None
        try:
            found = json.loads(self.info_path.read_bytes())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def spawn(
        self, root: Path, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start `workbench COMMAND…` for the project at `root` in a session of its own, and don't wait."""
        self.layout.ensure()
        rotate(self.log_path)
        with self.log_path.open("ab") as log:
            # -P: a project's folder may hold packages with the names of ours.
            return subprocess.Popen(
                [sys.executable, "-P", "-m", "workbench", "-C", str(root), *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=root,
                env=None if environment is None else {**os.environ, **environment},
            )

    def start(
        self,
        root: Path,
        command: Sequence[str],
        is_ready: Callable[[int], T | None],
        *,
        timeout_s: float,
        on_wait: Callable[[float], None] | None = None,
    ) -> T:
        """Start it and wait until `is_ready`, asked with its pid, answers; it outlives this process.

        `on_wait` is called with the seconds waited so far. Raises WorkbenchError with the last line of its
        log when it ends early or isn't ready in time; then it does not go on.
        """
        child = self.spawn(root, command)
        started = time.monotonic()
        try:
            while (waited := time.monotonic() - started) < timeout_s:
                found = is_ready(child.pid)
                if found is not None:
                    _children[child.pid] = child
                    return found
                if child.poll() is not None:
                    raise WorkbenchError(
                        f"the {self.noun} ended at once: {self.last_line()}", f"Its log is {self.log_path}."
                    )
                if on_wait is not None:
                    on_wait(waited)
                time.sleep(_POLL_S)
            raise WorkbenchError(
                f"the {self.noun} was not ready within {timeout_s:g} s: {self.last_line()}",
                f"Its log is {self.log_path}.",
            )
        except BaseException:
            end(child)
            raise

    def stop(self, *, called: str | None = None, timeout_s: float, if_slow: str) -> bool:
        """Ask it to end and wait for that; False when none runs. `called` is what messages call it.

        Raises WorkbenchError when it can't be reached, belongs to another user or is still there after
        `timeout_s`; `if_slow` is the hint then.
        """
        found = self.description()
        pid = None if found is None else found.get("pid")
        if not isinstance(pid, int):
            return False
        called = called or f"the {self.noun}"
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            # The lock is held, so it lives: in another container, where its pid means something else.
            raise WorkbenchError(
                f"{called} runs where its pid {pid} can't be reached", "Stop it where it was started."
            ) from None
        except PermissionError as error:
            raise WorkbenchError(
                f"{called} (pid {pid}) belongs to another user", "Ask them, or use sudo."
            ) from error
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if not self.is_running:
                child = _children.pop(pid, None)
                if child is not None:
                    child.wait()
                return True
            time.sleep(_POLL_S)
        raise WorkbenchError(f"{called} (pid {pid}) has not ended within {timeout_s:g} s", if_slow)

    def last_line(self) -> str:
        """The last that it wrote to its log."""
        try:
            with self.log_path.open("rb") as log:
                log.seek(0, os.SEEK_END)
                log.seek(max(0, log.tell() - 8192))
                lines = log.read().decode("utf-8", "replace").strip().splitlines()
        except OSError:
            lines = []
        return lines[-1] if lines else "it said nothing"


def end(child: subprocess.Popen[bytes], timeout_s: float = 10.0) -> None:
    """End a process that was started here, and wait for it."""
    if child.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            child.terminate()
    try:
        child.wait(timeout_s)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
