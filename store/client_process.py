"""The child process that has MLflow's client, seen from the process that asks.

MLflow takes seconds and 170 MB to import and hangs as long as its server does; none of it is felt here. The
child is started by the first call, one for each URI, and ends with this process or when it is idle.
"""

from __future__ import annotations

import atexit
import itertools
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from functools import cache
from typing import IO, Any

from store.client_pipe import Call, Failure, Farewell, Part, Reply, receive, send
from store.errors import StorageError

ANSWER_TIMEOUT_S = 120.0
"""For a child that is stuck. Many pages take a while; that a server hangs is found out sooner."""

IDLE_S = 120.0
"""A child that nobody asks for so long ends; its memory is worth more than the seconds of the next start."""

_RETURNED = object()
"""Stands for an answer where the child has ended before it read the call."""

_children: dict[tuple[int, str], ClientProcess] = {}
_children_lock = threading.Lock()


def client_process(uri: str) -> ClientProcess:
    """The one child of this process for `uri`; a process that was forked off has one of its own."""
    with _children_lock:
        return _children.setdefault((os.getpid(), uri), ClientProcess(uri))


def close_clients() -> None:
    """End every child; calls that wait for an answer fail."""
    for (pid, _), child in [*_children.items()]:
        if pid == os.getpid():
            child.close()


@cache
def _folder_of_copies() -> str:
    """Where children put what they fetch: it lives, and goes, with this process, however often they end."""
    folder = tempfile.mkdtemp(prefix="workbench-")
    owner = os.getpid()

    def remove() -> None:
        if os.getpid() == owner:
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder


def _after_fork() -> None:
    global _children_lock
    _children_lock = threading.Lock()
    _folder_of_copies.cache_clear()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(close_clients)


class ClientProcess:
    """Calls methods in the child. Threads may share it, and don't wait for each other's answers."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._lock = threading.Lock()
        self._running: _Running | None = None
        self._numbers = itertools.count(1)

    @property
    def pid(self) -> int | None:
        """Of the child, where one runs."""
        return self._running.process.pid if self._running and self._running.is_alive else None

    def ask(self, part: Part, method: str, *arguments: Any, **named: Any) -> Any:
        """What the method returns there; raises what it raises, or StorageError where the child fails."""
        call = Call(next(self._numbers), part, method, arguments, named)
        while True:
            with self._lock:
                if self._running is None or not self._running.is_alive:
                    self._running = _Running(self.uri)
                running = self._running
                answers = running.send(call)
            try:
                reply = answers.get(timeout=ANSWER_TIMEOUT_S)
            except queue.Empty:
                running.end()
                raise StorageError(
                    f"{self.uri} gave no answer within {ANSWER_TIMEOUT_S:.0f} s", "Try again later."
                ) from None
            if reply is _RETURNED:
                continue
            if reply.failure is not None:
                raise reply.failure.as_error()
            return reply.value

    def close(self) -> None:
        """End the child; the next call starts another."""
        running = self._running
        if running is not None:
            running.end()


class _Running:
    """One child while it lives, and a thread that hands out its answers."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.is_alive = True
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the child
        files = _folder_of_copies()
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "store.client_worker", uri, str(IDLE_S), files],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            bufsize=0,
            start_new_session=True,
            env={**os.environ, "TMPDIR": files},
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._calls, self._replies = self.process.stdin, self.process.stdout
        self._waiting: dict[int, queue.SimpleQueue[Any]] = {}
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        threading.Thread(target=self._hand_out, name=f"client of {uri}", daemon=True).start()

    def send(self, call: Call) -> queue.SimpleQueue[Any]:
        answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        with self._lock:
            if not self.is_alive:
                answers.put(_RETURNED)
                return answers
            self._waiting[call.number] = answers
        with (
            self._sending,
            suppress(OSError, ValueError),
        ):  # it has ended: the thread that reads finds out why
            send(self._calls.fileno(), call)
        return answers

    def end(self) -> None:
        self.process.kill()

    def _hand_out(self) -> None:
        has_left = False
        while not has_left:
            try:
                message = receive(self._replies.fileno())
            except (EOFError, OSError, ValueError):
                break
            has_left = isinstance(message, Farewell)
            if isinstance(message, Reply):
                with self._lock:
                    waiting = self._waiting.pop(message.number, None)
                if waiting is not None:
                    waiting.put(message)
        with self._lock:
            self.is_alive = False
        with suppress(OSError):
            self._calls.close()
        self.process.wait()
        self._replies.close()
        for number, waiting in self._waiting.items():
            waiting.put(_RETURNED if has_left else Reply(number, failure=self._why()))
        self._errors.close()

    def _why(self) -> Failure:
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        code = self.process.returncode
        why = lines[-1][:300] if lines and code > 0 else f"signal {-code}" if code < 0 else "without a word"
        return Failure("StorageError", f"the process that talks to {self.uri} has ended: {why}", "Try again.")
