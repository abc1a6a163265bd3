"""Several questions over one connection to the prediction log: opened once, and all see the same rows."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from store.layout import Layout

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass
class Shared:
    """A connection that several questions of one thread are asked over."""

    layout: Layout
    connection: DuckDBPyConnection
    note: str | None
    """As `store.database.reading` gives it."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What was found out about it."""


class _OfThread(threading.local):
    shared: Shared | None = None


_of_thread = _OfThread()


@contextmanager
def shared_reading(layout: Layout, *, timeout_s: float = 2.0) -> Iterator[None]:
    """What this thread reads within it, it reads over one connection.

    Nobody can write meanwhile, this thread least of all. A file that can't be opened at first is not tried
    again.
    """
    from store.database import reading

    if shared_with(layout) is not None:
        yield
        return
    with reading(layout, timeout_s=timeout_s) as (connection, note):
        before, _of_thread.shared = _of_thread.shared, Shared(layout, connection, note)
        try:
            yield
        finally:
            _of_thread.shared = before


def shared_with(layout: Layout) -> Shared | None:
    """The connection to this log that the thread's questions share, within `shared_reading`."""
    shared = _of_thread.shared
    return shared if shared is not None and shared.layout == layout else None


def shared_facts(connection: DuckDBPyConnection) -> dict[str, Any] | None:
    """What is remembered of a shared connection, to be added to; None of any other."""
    shared = _of_thread.shared
    return shared.facts if shared is not None and shared.connection is connection else None
