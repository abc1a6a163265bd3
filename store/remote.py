"""Runs and models of a database or a tracking server, as the child process with MLflow's client answers."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial
from pathlib import Path
from typing import Any, cast

from store.client_pipe import Part
from store.client_process import client_process
from store.client_registry import FetchingBackend
from store.runs import RunStore


def remote_runs(uri: str) -> RunStore:
    """The RunStore that `store.client_runs` is in the child process for `uri`."""
    return cast("RunStore", _Remote(uri, "runs", RunStore))


def remote_backend(uri: str) -> FetchingBackend:
    """The registry's backend that `store.client_backend` is there."""
    return cast("FetchingBackend", _RemoteBackend(uri, "models", FetchingBackend))


class _Remote:
    """Has the methods of a protocol, each of which is called in the child process."""

    def __init__(self, uri: str, part: Part, protocol: type) -> None:
        self.uri = uri
        self._part = part
        self._methods = frozenset(name for name in dir(protocol) if not name.startswith("_"))

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_") or name not in self._methods:
            raise AttributeError(f"{type(self).__name__} has no {name!r}")
        return partial(client_process(self.uri).ask, self._part, name)


class _RemoteBackend(_Remote):
    def fingerprint(self) -> Hashable:
        """Of a SQLite file without a question to anybody."""
        found: Hashable = _database_fingerprint(self.uri) or self.__getattr__("fingerprint")()
        return found


def _database_fingerprint(uri: str) -> Hashable:
    """What changes with every write to a SQLite file; None for any other URI."""
    if not uri.startswith("sqlite:///"):
        return None
    file = uri.removeprefix("sqlite:///").partition("?")[0]
    return tuple(_stat(Path(f"{file}{suffix}")) for suffix in ("", "-wal"))


def _stat(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
