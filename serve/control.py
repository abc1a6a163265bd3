"""Finds, starts and stops a project's server from other processes, with the standard library alone."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from store.errors import BusyError, WorkbenchError
from store.files import write_atomically
from store.layout import Layout
from store.locks import lock_holder, locked

_POLL_S = 0.05
# Servers this process started: kept, so that the ended ones can be waited for.
_children: dict[int, subprocess.Popen[bytes]] = {}
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


def info_path(layout: Layout) -> Path:
    return layout.run / "server.json"


def lock_path(layout: Layout) -> Path:
    return layout.run / "server.lock"


def log_path(layout: Layout) -> Path:
    return layout.run / "server.log"


@contextmanager
def registered(layout: Layout | None, info: ServerInfo) -> Iterator[bool]:
    """Make this process the project's server while the block runs; False when another one is already."""
    if layout is None:
        yield False
        return
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(lock_path(layout), what="serving", timeout_s=0))
        except BusyError:
            yield False
            return
        write_atomically(info_path(layout), json.dumps(info.as_json()))
        try:
            yield True
        finally:
            info_path(layout).unlink(missing_ok=True)


def running_server(layout: Layout) -> ServerInfo | None:
    """The project's server; None when no living process holds its lock."""
    if lock_holder(lock_path(layout)) is None:
        return None
    try:
        raw = json.loads(info_path(layout).read_text("utf-8"))
        return ServerInfo(
            url=raw["url"],
            host=raw["host"],
            port=raw["port"],
            pid=raw["pid"],
            started_at=datetime.fromisoformat(raw["started_at"]),
            admin_url=raw.get("admin_url"),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None  # it starts or ends at this moment


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
    present = running_server(layout)
    if present is not None:
        return present
    layout.ensure()
    with log_path(layout).open("ab") as log:
        # -P: a project's folder may hold packages with the names of ours.
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "workbench", "-C", str(root), "serve", *options],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=root,
        )
    started = time.monotonic()
    try:
        while (waited := time.monotonic() - started) < timeout_s:
            info = running_server(layout)
            if info is not None and info.pid == child.pid and _answers(info):
                _children[child.pid] = child
                return info
            if child.poll() is not None:
                raise WorkbenchError(
                    f"the server ended at once: {_last_line(log_path(layout))}",
                    f"Its log is {log_path(layout)}.",
                )
            if on_wait is not None:
                on_wait(waited)
            time.sleep(_POLL_S)
    except BaseException:
        _end(child.pid, child)
        raise
    _end(child.pid, child)
    raise WorkbenchError(
        f"the server was not ready within {timeout_s:g} s: {_last_line(log_path(layout))}",
        f"Its log is {log_path(layout)}.",
    )


def stop_server(layout: Layout, timeout_s: float = 30.0) -> bool:
    """End the project's server: it finishes what it is answering. False when none runs.

    Raises WorkbenchError when it belongs to another user or is still there after `timeout_s`.
    """
    info = running_server(layout)
    if info is None:
        return False
    try:
        os.kill(info.pid, signal.SIGTERM)
    except ProcessLookupError:
        # The lock is held, so it lives: in another container, where its pid means something else.
        raise WorkbenchError(
            f"the server at {info.url} runs where its pid {info.pid} can't be reached",
            "Stop it where it was started.",
        ) from None
    except PermissionError as error:
        raise WorkbenchError(
            f"the server at {info.url} (pid {info.pid}) belongs to another user", "Ask them, or use sudo."
        ) from error
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if lock_holder(lock_path(layout)) is None:
            child = _children.pop(info.pid, None)
            if child is not None:
                child.wait()
            return True
        time.sleep(_POLL_S)
    raise WorkbenchError(
        f"the server at {info.url} (pid {info.pid}) has not ended within {timeout_s:g} s",
        "It may still be answering; try again, or end it with: kill -9.",
    )


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


def _last_line(path: Path) -> str:
    try:
        with path.open("rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(0, log.tell() - 8192))
            lines = log.read().decode("utf-8", "replace").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1] if lines else "it said nothing"


def _end(pid: int, child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    try:
        child.wait(5)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
