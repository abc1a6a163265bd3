"""Threads that nobody waits for at the end: a model that never answers must not keep a server alive."""

from __future__ import annotations

import atexit
import contextlib
import os
import queue
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
_pools: weakref.WeakSet[DaemonThreads] = weakref.WeakSet()


class DaemonThreads(ThreadPoolExecutor):
    """A pool of daemon threads. asyncio takes nothing but a ThreadPoolExecutor, whose threads are waited
    for at the end of the interpreter, so this is one that starts threads of its own."""

    def __init__(self, most: int, thread_name_prefix: str) -> None:
        super().__init__(most, thread_name_prefix)
        self._most = most
        self._name = thread_name_prefix
        self._calls: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._guard = threading.Lock()
        self._n_threads = self._n_unfinished = 0
        self._is_over = False
        _pools.add(self)

    @property
    def is_busy(self) -> bool:
        return self._n_unfinished > 0

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have it called. Raises RuntimeError after the end."""
        with self._guard:
            if self._is_over:
                raise RuntimeError("cannot schedule new futures after shutdown")
            self._n_unfinished += 1
            is_short = self._n_unfinished > self._n_threads < self._most
            if is_short:
                self._n_threads += 1
            future: Future[T] = Future()
            self._calls.put((future, lambda: fn(*args, **kwargs)))
            name = f"{self._name}_{self._n_threads}"
        if is_short:
            threading.Thread(target=self._work, name=name, daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take nothing more; what is being done goes on, and is waited for nowhere."""
        with self._guard:
            if self._is_over:
                return
            self._is_over = True
            if cancel_futures:
                self._cancel_waiting()
            for _ in range(self._n_threads):
                self._calls.put(None)

    def _cancel_waiting(self) -> None:
        while True:
            try:
                call = self._calls.get_nowait()
            except queue.Empty:
                return
            if call is not None:
                call[0].cancel()
                self._n_unfinished -= 1

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            future, function = call
            if future.set_running_or_notify_cancel():
                try:
                    result = function()
                except BaseException as error:
                    future.set_exception(error)
                else:
                    future.set_result(result)
                    del result
            del call, future, function  # an idle thread keeps nothing alive
            with self._guard:
                self._n_unfinished -= 1


def leave_behind() -> None:
    """Where a thread never returned, have the interpreter's end be the process's, with 0: who is within a
    library's code may not survive the end of that library."""
    if any(pool.is_busy for pool in _pools):
        atexit.register(_leave)


def _leave() -> None:
    if any(pool.is_busy for pool in _pools):
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(0)
