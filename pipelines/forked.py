"""Starts jobs from a process that has imported everything already; see `pipelines.forkserver`."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

from store.errors import TrainingError

_START_S = 120.0


class ForkedChild:
    """A job's process, as much like subprocess.Popen as is needed."""

    def __init__(self, server: ForkServer, pid: int, stdin: IO[str], stdout: IO[str]) -> None:
        self._server = server
        self.pid = pid
        self.stdin = stdin
        self.stdout = stdout

    @property
    def returncode(self) -> int | None:
        return self.poll()

    def poll(self) -> int | None:
        return self._server.code_of(self.pid)

    def wait(self, timeout: float | None = None) -> int:
        code = self._server.wait_for(self.pid, timeout)
        if code is None:
            raise subprocess.TimeoutExpired("job", timeout or 0.0)
        return code

    def terminate(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, 15)


class ForkServer:
    """The preloaded process; started with the first job, ended with `close`."""

    def __init__(self, environment: Mapping[str, str], cwd: Path, log: Path) -> None:
        self._socket, other = socket.socketpair()
        with other, log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "pipelines.forkserver", str(other.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=cwd,
                env=dict(environment),
                pass_fds=[other.fileno()],
                start_new_session=True,
            )
        self._changed = threading.Condition()
        self._codes: dict[int, int] = {}
        self._pids: list[int] = []
        self._is_gone = False
        threading.Thread(target=self._listen, name="forkserver", daemon=True).start()

    @property
    def is_alive(self) -> bool:
        return not self._is_gone and self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid

    def start(self, folder: Path, environment: Mapping[str, str], log: IO[bytes], cwd: Path) -> ForkedChild:
        """Fork a job; one at a time. Raises TrainingError where the server is gone."""
        child_in, own_in = os.pipe()
        own_out, child_out = os.pipe()
        stdin, stdout = os.fdopen(own_in, "w"), os.fdopen(own_out, encoding="utf-8")
        request = {"folder": str(folder), "environment": dict(environment), "cwd": str(cwd)}
        known = len(self._pids)
        try:
            content = json.dumps(request).encode()
            socket.send_fds(self._socket, [content], [child_in, child_out, log.fileno()])
            with self._changed:
                self._changed.wait_for(lambda: len(self._pids) > known or self._is_gone, _START_S)
                if len(self._pids) == known:
                    raise OSError("it is gone")
                return ForkedChild(self, self._pids[-1], stdin, stdout)
        except OSError as error:
            stdin.close()
            stdout.close()
            raise TrainingError(f"no job can be started: {error}", "Try again.") from error
        finally:
            os.close(child_in)
            os.close(child_out)

    def code_of(self, pid: int) -> int | None:
        """How the job's process ended; None while it runs."""
        with self._changed:
            if pid in self._codes:
                return self._codes[pid]
            if self._is_gone and not _lives(pid):
                return 1
            return None

    def wait_for(self, pid: int, timeout: float | None) -> int | None:
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.code_of(pid)) is None:
            left = 0.5 if deadline is None else min(0.5, deadline - time.monotonic())
            if left <= 0:
                return None
            with self._changed:
                self._changed.wait_for(lambda: pid in self._codes or self._is_gone, left)
            if self._is_gone:
                time.sleep(0.05)
        return code

    def close(self) -> None:
        """End the server; a job that runs goes on, and ends with its own standard input."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._socket.close()

    def _listen(self) -> None:
        with suppress(OSError, ValueError), self._socket.makefile("rb") as answers:
            for line in answers:
                answer = json.loads(line)
                with self._changed:
                    if "pid" in answer:
                        self._pids.append(answer["pid"])
                    else:
                        self._codes[answer["ended"]] = answer["code"]
                    self._changed.notify_all()
        with self._changed:
            self._is_gone = True
            self._changed.notify_all()


class Forks:
    """Starts jobs, each forked from one process, which is made with the first of them and goes with `close`.

    That saves each job but the first the seconds that its imports take.
    """

    def __init__(self, log: Path) -> None:
        self._log = log
        self._server: ForkServer | None = None

    def __call__(
        self, folder: Path, environment: Mapping[str, str], log: IO[bytes], cwd: Path
    ) -> ForkedChild:
        if self._server is None or not self._server.is_alive:
            self._server = ForkServer(environment, cwd, self._log)
        return self._server.start(folder, environment, log, cwd)

    @property
    def pid(self) -> int | None:
        """Of that process, while there is one."""
        return None if self._server is None else self._server.pid

    def close(self) -> None:
        """End it; a job that runs goes on, and ends with its own standard input."""
        if self._server is not None:
            self._server.close()
            self._server = None


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
