"""The project's server as a person watches it: on or off, how much, how fast, what goes wrong."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.desk.exposition import Counters, Histogram, ModelCounters, read_counters
from workbench.desk.loopback import UnreachableError, ask
from workbench.desk.meter import Meter, RateSeries

if TYPE_CHECKING:
    from serve.control import ServerInfo
    from workbench.desk.desk import Desk

LOG_LINES = 200
_LOG_TAIL_BYTES = 64 << 10


@dataclass(frozen=True)
class Latency:
    """Milliseconds below which half, 95 % and 99 % of `requests` were answered."""

    requests: int = 0
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    is_recent: bool = False
    """Of the last minute; otherwise since the server's start."""


@dataclass(frozen=True)
class ServedRow:
    """A model that the server answers for, or should; `problem` says why it doesn't."""

    name: str
    version: int
    status: str
    task: str = ""
    requests: int = 0
    rows: int = 0
    errors: int = 0
    p95_ms: float | None = None
    problem: str = ""
    warnings: tuple[str, ...] = ()
    is_default: bool = False

    @property
    def id(self) -> str:
        return self.name


@dataclass(frozen=True)
class ServingState:
    """The server at one moment. Without one, everything else is empty."""

    server: ServerInfo | None = None
    can_start: bool = True
    """Whether there is a project to serve."""
    is_ours: bool = False
    """Whether quitting this UI asks what becomes of it."""
    problem: str = ""
    """Why it can't be asked, while it runs."""
    models: tuple[ServedRow, ...] = ()
    requests_per_s: float | None = None
    """Over the last minute; None until there is something to compare with."""
    recent_errors: int | None = None
    latency: Latency = field(default_factory=Latency)
    counters: Counters = field(default_factory=Counters)
    series: RateSeries = field(default_factory=RateSeries)
    last_request_at: datetime | None = None


class ServingDesk:
    """Watches and switches the server of one project; remembers samples from one look to the next."""

    def __init__(self, desk: Desk, *, clock: Callable[[], float] = time.time) -> None:
        self._desk = desk
        self._clock = clock
        self._meter = Meter()
        self._lock = threading.Lock()
        self._watched: tuple[int, datetime] | None = None
        self._before = ServingState()

    def look(self) -> ServingState:
        """The state now, from the server's own numbers; never raises for a server that is ending."""
        from serve.control import running_server

        with self._lock:
            project = self._desk.project
            server = running_server(self._desk.layout) if project is not None else None
            identity = (server.pid, server.started_at) if server is not None else None
            if identity != self._watched:
                self._meter.clear()
                self._watched = identity
                self._before = ServingState()
            if server is None:
                return ServingState(can_start=project is not None)
            is_ours = self._desk.owns_server
            try:
                counters = read_counters(ask(server.admin_url or server.url, "/metrics").body)
                listed = ask(server.url, "/models").json()
            except UnreachableError as error:
                return replace(self._before, server=server, is_ours=is_ours, problem=str(error))
            self._meter.add(self._clock(), counters)
            self._before = self._state(server, is_ours, counters, listed)
            return self._before

    def switching(self, *, on: bool) -> tuple[tuple[str, str, str], ...]:
        """What starting or stopping would change: (what, before, after)."""
        state = self.look()
        if on:
            settings = self._desk.require_project("serving").settings.serve
            port = f"port {settings.port}" if settings.port else "a free port"
            where = f"socket {settings.socket}" if settings.socket else f"{settings.host} {port}"
            rows = [("server", "off", f"on, {where}")]
            for model in self._desk.registry.models():
                if model.champion is not None:
                    rows.append((model.name, "not answered", f"v{model.champion} answers"))
            return tuple(rows)
        if state.server is None:
            return ()
        rows = [("server", f"on, {state.server.url} (pid {state.server.pid})", "off")]
        rows += [(row.name, f"v{row.version} answers", "not answered") for row in state.models]
        return tuple(rows)

    def key(self) -> str | None:
        """The key that the project's server takes from this machine's own user."""
        from serve.local_key import read_local_key

        return read_local_key(self._desk.layout)

    def start(self) -> ServerInfo:
        """Start the project's server in a session of its own; the one that runs already, where one does.

        Raises WorkbenchError with what its log says when it ends at once.
        """
        from serve.control import running_server, start_background

        root = self._desk.require_project("serving").root
        was_running = running_server(self._desk.layout) is not None
        server = start_background(root)
        if not was_running:
            self._desk.owns_server = True
        return server

    def stop(self) -> bool:
        """End the server, whoever started it; False when none runs any more."""
        from serve.control import stop_server

        stopped = stop_server(self._desk.layout)
        self._desk.owns_server = False
        return stopped

    def detach(self) -> None:
        """Leave the server running whatever becomes of this UI: quitting doesn't ask about it."""
        self._desk.owns_server = False

    def log(self, lines: int = LOG_LINES) -> tuple[str, ...]:
        """The last lines that a server started in the background has written."""
        from serve.control import log_path

        return last_lines(log_path(self._desk.layout), lines)

    def _state(self, server: ServerInfo, is_ours: bool, counters: Counters, listed: Any) -> ServingState:
        recent = self._meter.recent()
        latency = _latency(recent.counters.latency, is_recent=True)
        if latency.requests == 0:
            latency = _latency(counters.total.latency, is_recent=False)
        last = self._meter.last_request_at
        return ServingState(
            server=server,
            is_ours=is_ours,
            models=_served(listed, counters),
            requests_per_s=recent.requests_per_s,
            recent_errors=round(recent.errors) if recent.seconds > 0 else None,
            latency=latency,
            counters=counters,
            series=self._meter.series(),
            last_request_at=datetime.fromtimestamp(last, UTC) if last is not None else None,
        )


def last_lines(path: Path, lines: int) -> tuple[str, ...]:
    """The last lines of a text file; none where there is no such file."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            size = file.tell()
            file.seek(max(0, size - _LOG_TAIL_BYTES))
            found = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ()
    if size > _LOG_TAIL_BYTES:
        found = found[1:]
    return tuple(found[-lines:])


def _latency(histogram: Histogram, *, is_recent: bool) -> Latency:
    p50, p95, p99 = (_ms(histogram.quantile(share)) for share in (0.5, 0.95, 0.99))
    return Latency(round(histogram.count), p50, p95, p99, is_recent)


def _served(listed: Any, counters: Counters) -> tuple[ServedRow, ...]:
    """The rows of /models: those in service first, each once, with the reason a newer version isn't."""
    rows: dict[str, ServedRow] = {}
    default = listed.get("default") if isinstance(listed, dict) else None
    for item in listed.get("models", ()) if isinstance(listed, dict) else ():
        name, version = str(item.get("name", "")), int(item.get("version") or 0)
        if item.get("status") == "failed":
            reason = str(item.get("reason", ""))
            if name in rows:
                rows[name] = replace(rows[name], status="old", problem=f"v{version}: {reason}")
            else:
                rows[name] = ServedRow(name, version, "failed", problem=reason, is_default=name == default)
            continue
        counted = counters.models.get((name, version), ModelCounters())
        rows[name] = ServedRow(
            name,
            version,
            str(item.get("status", "serving")),
            task=str(item.get("task", "")),
            requests=round(counted.requests),
            rows=round(counted.rows),
            errors=round(counted.errors),
            p95_ms=_ms(counted.latency.quantile(0.95)),
            warnings=tuple(map(str, item.get("warnings", ()))),
            is_default=name == default,
        )
    return tuple(rows.values())


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000
