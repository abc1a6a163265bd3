"""The child process that has MLflow's client: `python -m store.client_worker URI IDLE_S FOLDER`.

It is asked over its stdin and answers over its stdout, several calls at a time; what it fetches is in FOLDER.
It ends when its parent does or when nobody has asked for a while.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

from store.client_pipe import Call, Failure, Farewell, Message, Reply, receive, send
from store.client_reach import check_reachable

_THREADS = 4
_GLANCE_S = 2.0
"""How often the parent is looked for; its pipe may be open elsewhere, in a child of its own."""


class Worker:
    """Answers the calls that come in on `calls`, to `replies`."""

    def __init__(self, uri: str, calls: int, replies: int, *, idle_s: float, copies: str = "") -> None:
        self._uri = uri
        self._copies = copies
        self._idle_s = idle_s
        self._calls = calls
        self._replies = replies
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._opening = threading.Lock()
        self._answering = 0
        self._idle_since = time.monotonic()
        self._opened: dict[str, Any] = {}

    def run(self) -> None:
        parent = os.getppid()
        with ThreadPoolExecutor(_THREADS) as pool:
            while True:
                readable, _, _ = select.select([self._calls], [], [], min(_GLANCE_S, self._idle_s))
                if readable:
                    try:
                        call = receive(self._calls)
                    except (EOFError, OSError):
                        self._end()  # also where a call hangs
                    with self._lock:
                        self._answering += 1
                    pool.submit(self._answer, call)
                elif os.getppid() != parent:
                    self._end()
                elif self._is_idle():
                    self._send(Farewell())
                    os._exit(0)

    def _is_idle(self) -> bool:
        with self._lock:
            return not self._answering and time.monotonic() - self._idle_since > self._idle_s

    def _answer(self, call: Call) -> None:
        try:
            check_reachable(self._uri)
            method = getattr(self._part(call.part), call.method)
            reply = Reply(call.number, method(*call.arguments, **call.named))
        except Exception as error:
            reply = Reply(call.number, failure=Failure.of(error))
        with self._lock:
            self._answering -= 1
            self._idle_since = time.monotonic()
        self._send(reply)

    def _send(self, message: Message) -> None:
        with self._sending:
            try:
                send(self._replies, message)
            except OSError:
                self._end()

    def _end(self) -> NoReturn:
        """Nobody is there any more, so what was fetched for them may go."""
        if self._copies:
            shutil.rmtree(self._copies, ignore_errors=True)
        os._exit(0)

    def _part(self, name: str) -> Any:
        with self._opening:  # both share one client, made once
            if not self._opened:
                from store.client_backend import ClientBackend
                from store.client_runs import ClientRunStore

                runs = ClientRunStore(self._uri)
                runs.client  # noqa: B018
                self._opened = {"runs": runs, "models": ClientBackend(self._uri, runs)}
            return self._opened[name]


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    calls, replies = os.dup(0), os.dup(1)
    silence = os.open(os.devnull, os.O_RDONLY)
    os.dup2(silence, 0)
    os.dup2(2, 1)  # what a library prints is no answer
    Worker(sys.argv[1], calls, replies, idle_s=float(sys.argv[2]), copies=sys.argv[3]).run()


if __name__ == "__main__":
    main()
