"""Long statements of DuckDB that ctrl-C ends: on the main thread Python hears of it only between them."""

from __future__ import annotations

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
    ended = threading.Event()  # an interrupted join would take the thread for ended

    def run() -> None:
        try:
            outcome.set_result(action())
        except BaseException as error:
            outcome.set_exception(error)
        finally:
            ended.set()

    thread = threading.Thread(target=run, name="interruptible", daemon=True)
    try:
        thread.start()
        ended.wait()
    except BaseException:
        while thread.ident is not None and not ended.is_set():
            connection.interrupt()  # more than once: between two statements nothing hears it
            ended.wait(_POLL_S)
        raise
    return outcome.result()
