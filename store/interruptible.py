"""Long statements of DuckDB that ctrl-C ends: on the main thread Python hears of it only between them."""

from __future__ import annotations

import _thread
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

T = TypeVar("T")
_POLL_S = 0.05


def interruptible(connection: DuckDBPyConnection, action: Callable[[], T]) -> T:
    """What `action` returns; it uses the connection in another thread while this one waits for signals."""
    if threading.current_thread() is not threading.main_thread():
        return action()
    outcome: Future[T] = Future()
    # Bare locks and a bare thread: `Thread.start`, `join` and `Event.wait` are Python code, and an interrupt
    # can leave that half-way: with a lock that nobody releases, or one that is released twice.
    turn, ended = _thread.allocate_lock(), _thread.allocate_lock()
    ended.acquire()

    def run() -> None:
        if not turn.acquire(blocking=False):
            return  # interrupted before it began
        try:
            outcome.set_result(action())
        except BaseException as error:
            outcome.set_exception(error)
        finally:
            ended.release()

    try:
        _thread.start_new_thread(run, ())
        ended.acquire()
    except BaseException:
        if not turn.acquire(blocking=False):
            while not ended.acquire(timeout=_POLL_S):
                connection.interrupt()  # more than once: between two statements nothing hears it
        raise
    return outcome.result()
