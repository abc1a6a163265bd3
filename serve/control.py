"""Finds, starts and stops a project's server from other processes, with the standard library alone."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from store.background import Background
from store.bounded_logs import empty_when_full
from store.errors import BusyError
from store.layout import Layout

LOG_SECONDS = 5.0
"""How often a running server looks whether its log is too long (see `bound_log`)."""
_SOCKET = "unix://"
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


@dataclass(frozen=True)
class ServerInfo:
    """A running server. `host` is what it listens on, `url` where to reach it from this machine.

    On a Unix socket, `host` is its path, `port` 0 and the URL `unix://` and the path.
    """

    url: str
    host: str
    port: int
    pid: int
    started_at: datetime
    admin_url: str | None = None
    """Where /admin and /metrics are, if not at `url`."""

    @property
    def place(self) -> str:
        """Where it listens, in few letters."""
        return f":{self.port}" if self.port else Path(self.host).name

    def as_json(self) -> dict[str, object]:
        return {**asdict(self), "started_at": self.started_at.isoformat()}


def local_url(host: str, port: int) -> str:
    """Where this machine reaches a server that listens on `host`."""
    host = _ANYWHERE.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _SocketConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def socket_url(path: Path) -> str:
    """The URL of a server on a Unix socket."""
    return f"{_SOCKET}{quote(str(path))}"


def connect(url: str, timeout_s: float) -> http.client.HTTPConnection:
    """A connection to a server of this machine, by the URL of a `ServerInfo`."""
    if url.startswith(_SOCKET):
        return _SocketConnection(unquote(url.removeprefix(_SOCKET)), timeout_s)
    parts = urlsplit(url)
    return http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=timeout_s)


def log_path(layout: Layout) -> Path:
    return _background(layout).log_path


def bound_log(layout: Layout) -> None:
    """In a server that was started in the background: keep its log from filling the disk."""
    path = log_path(layout)
    with contextlib.suppress(OSError):
        if os.path.samestat(os.fstat(2), path.stat()):
            empty_when_full(path)


@contextmanager
def registered(layout: Layout | None, info: ServerInfo) -> Iterator[bool]:
    """Make this process the project's server while the block runs; False when another one is already."""
    if layout is None:
        yield False
        return
    background = _background(layout)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(background.registered("serving"))
        except BusyError:
            yield False
            return
        background.describe(info.as_json())
        yield True


def running_server(layout: Layout) -> ServerInfo | None:
    """The project's server; None when no living process holds its lock."""
    raw = _background(layout).description()
    if raw is None:
        return None
    try:
        return ServerInfo(
            url=raw["url"],
            host=raw["host"],
            port=raw["port"],
            pid=raw["pid"],
            started_at=datetime.fromisoformat(raw["started_at"]),
            admin_url=raw.get("admin_url"),
        )
    except (ValueError, KeyError, TypeError):
        return None


def start_background(
    root: Path,
    *,
    options: Sequence[str] = (),
    timeout_s: float = 60.0,
    on_wait: Callable[[float], None] | None = None,
) -> ServerInfo:
    """Start `workbench serve` for the project at `root` in a session of its own, and wait until it answers.

    The server survives the end of this process. `on_wait` is called with the seconds waited so far. Returns
    the server that runs already, where there is one. Raises WorkbenchError with the last line of its log
    when it ends early or isn't ready in time.
    """
    layout = _layout_of(root)

    def ready(pid: int) -> ServerInfo | None:
        info = running_server(layout)
        return info if info is not None and info.pid == pid and _answers(info) else None

    present = running_server(layout)
    if present is not None:
        return present
    return _background(layout).start(root, ["serve", *options], ready, timeout_s=timeout_s, on_wait=on_wait)


def stop_server(layout: Layout, timeout_s: float = 30.0) -> bool:
    """End the project's server: it finishes what it is answering. False when none runs.

    Raises WorkbenchError when it belongs to another user or is still there after `timeout_s`.
    """
    info = running_server(layout)
    if info is None:
        return False
    return _background(layout).stop(
        called=f"the server at {info.url}",
        timeout_s=timeout_s,
        if_slow="It may still be answering; try again, or end it with: kill -9.",
    )


def _background(layout: Layout) -> Background:
    return Background(layout, "server", "server")


def _layout_of(root: Path) -> Layout:
    """The layout of a project, by its settings file; this room doesn't read the other rooms' settings."""
    import tomllib

    from store.layout import SETTINGS_FILE

    try:
        document = tomllib.loads((root / SETTINGS_FILE).read_text("utf-8-sig"))
    except (OSError, ValueError):
        document = {}
    store = document.get("store")
    path = store.get("path") if isinstance(store, dict) else None
    return Layout.of(root, os.environ.get("WORKBENCH_STORE__PATH") or str(path or ".workbench"))


def _answers(info: ServerInfo) -> bool:
    connection = connect(info.url, timeout_s=2)
    try:
        connection.request("GET", "/health/live")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
