"""Runs the server: opens the port, loads the champions, answers until it is told to stop."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serve.control import ServerInfo, local_url, registered
from serve.lean_imports import import_model_libraries, limit_threads
from serve.settings import ServeSettings
from store.errors import UsageError, WorkbenchError
from store.journal import append_event
from store.layout import Layout
from store.settings import StoreSettings

if TYPE_CHECKING:
    from serve.access import Access, KeyRing
    from serve.admin import AdminDesk
    from serve.hosting import ModelHost
    from store.registry import Registry

log = logging.getLogger("workbench.serve")

KEEP_ALIVE_S = 75


@dataclass(frozen=True)
class ServerConfig:
    """All a server needs to know."""

    settings: ServeSettings
    store: StoreSettings
    tracking_uri: str
    """Absolute (see `store.tracking.resolve_uri`)."""
    layout: Layout | None = None
    """Where predictions are logged; None: nowhere."""
    model_order: tuple[str, ...] = field(default=())
    """Registered names of the pipelines, in the order of the settings."""
    uri: str | None = None
    """Serve just `models:/NAME/STAGE`, `models:/NAME@ALIAS` or `models:/NAME/N`."""
    make_key: bool = False
    """Where no API key exists, make one (see `serve`)."""


def serve(
    config: ServerConfig,
    *,
    on_ready: Callable[[ServerInfo], None] | None = None,
    on_key: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; requests in progress are answered first.

    `on_ready` is called once predictions are answered, `on_key` with a key that was made because there was
    none. Raises BusyError when the port is taken, UsageError for an address beyond loopback without a key,
    WorkbenchError for what prevents a start; a model that can't be loaded doesn't.
    """
    limit_threads()
    _log_to_stderr()
    from serve.access import Access, is_loopback, open_keys
    from serve.admin import AdminDesk
    from store.tracking import open_registry

    layout = config.layout.ensure() if config.layout is not None else None
    listener = listen_on(config)
    with contextlib.closing(listener), _registry_layout(layout) as registry_layout:
        address, port = listener.getsockname()[:2]
        is_open = is_loopback(address) or config.settings.allow_public_without_keys
        keys = open_keys(layout, on_key=on_key if config.make_key else None)
        if not keys.keys and not is_open:
            raise UsageError(
                f"{config.settings.host} is open to the network, and no API key exists",
                "Make one: workbench keys create NAME; or set [serve] allow_public_without_keys = true.",
            )
        info = ServerInfo(
            url=local_url(config.settings.host, port),
            host=config.settings.host,
            port=port,
            pid=os.getpid(),
            started_at=datetime.now(UTC),
        )
        import_model_libraries()
        registry = open_registry(config.tracking_uri, registry_layout)
        host = _host(config, registry)
        access = Access(
            keys,
            is_local=is_loopback(address),
            is_open=is_open,
            cors_origins=config.settings.cors_origins,
            allowed_hosts=config.settings.allowed_hosts,
        )
        admin = AdminDesk(host, registry, config.settings, layout)
        _run(config, layout, listener, host, keys, access, admin, info, on_ready)


def listen_on(config: ServerConfig) -> socket.socket:
    """The listening socket; a port held by this project's own server is said to be."""
    from serve.ports import listen

    return listen(config.settings.host, config.settings.port)


@contextmanager
def _registry_layout(layout: Layout | None) -> Iterator[Layout]:
    """Without a project, a folder for the registry's locks that is gone afterwards."""
    if layout is not None:
        yield layout
        return
    with tempfile.TemporaryDirectory(prefix="workbench-serve-") as folder:
        yield Layout.of(Path(folder)).ensure()


def _host(config: ServerConfig, registry: Registry) -> ModelHost:
    from serve.hosting import ModelHost, ModelReference

    if config.layout is not None and config.uri is None:
        try:
            registry.settle()
        except (WorkbenchError, OSError) as error:
            log.warning("the registry could not be settled: %s", error)
    host = ModelHost(
        registry,
        layout=config.layout,
        model_order=config.model_order,
        default=config.settings.default,
        trusted_types=config.settings.trusted_types,
        only=ModelReference.parse(config.uri) if config.uri is not None else None,
    )
    host.refresh()
    missing = [failure.reason for failure in host.failures.values() if not failure.version]
    if missing:
        log.warning("%s is not in service: %s, at %s", config.uri, missing[0], config.tracking_uri)
    elif not host.models and not host.failures and host.registry_problem is None:
        log.warning("no model is in service yet: promote a version to champion")
    return host


def _run(
    config: ServerConfig,
    layout: Layout | None,
    listener: socket.socket,
    host: ModelHost,
    keys: KeyRing,
    access: Access,
    admin: AdminDesk,
    info: ServerInfo,
    on_ready: Callable[[ServerInfo], None] | None,
) -> None:
    import uvicorn

    from serve.access_log import open_access_log
    from serve.app import Services, create_app
    from serve.background import working_beside
    from serve.clerk import Clerk
    from serve.connection import connection_class
    from serve.http_protocol import HeadLimits, HttpProtocol, limited
    from serve.labels import FeedbackDesk
    from serve.predicting import Predictor
    from serve.quick_lane import QuickLane
    from serve.telemetry import Telemetry
    from store.log import PredictionLog

    prediction_log = PredictionLog(layout, config.store, writer="server") if layout is not None else None
    clerk = Clerk(layout, config.store, config.tracking_uri) if layout is not None else None
    telemetry = Telemetry()
    telemetry.watch(host.ordered, lambda: _spool_bytes(layout))
    predictor = Predictor(
        host,
        telemetry,
        config.settings,
        prediction_log,
        log_waits=config.store.durability == "fsync",
        spill_folder=layout.run if layout is not None else None,
    )
    feedback = FeedbackDesk(config.settings, telemetry, prediction_log, clerk)

    @asynccontextmanager
    async def lifespan(_app: Any) -> AsyncIterator[None]:
        beside = working_beside(
            host,
            telemetry,
            keys=keys,
            reload_seconds=config.settings.reload_seconds,
            clerk=clerk,
        )
        async with beside:
            yield

    access_log = open_access_log(config.settings, layout.root if layout is not None else Path.cwd())
    app = create_app(
        Services(config.settings, host, predictor, feedback, telemetry, access, admin, access_log), lifespan
    )

    protocol: type[HttpProtocol] = HttpProtocol
    if config.store.durability != "fsync":  # what waits for the disk is nothing for the event loop
        protocol = connection_class(QuickLane(host, telemetry, app, prediction_log))

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started and on_ready is not None:
                on_ready(info)

    head_limits = HeadLimits(config.settings.timeout, lambda reason: telemetry.refused.labels(reason).inc())
    server = Server(
        uvicorn.Config(
            app,
            loop="uvloop",
            http=limited(protocol, head_limits),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,  # see [serve] trusted_proxies
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=max(1, round(config.settings.timeout)),
        )
    )
    with registered(layout, info) as is_the_one, _quiet_signals():
        if layout is not None and not is_the_one:
            log.warning("another server of this project is running; `workbench status` shows that one")
        _journal(layout, "server_started", info)
        try:
            server.run(sockets=[listener])
        finally:
            predictor.close()
            if access_log is not None:
                access_log.close()
            if prediction_log is not None:
                prediction_log.close()
            _journal(layout, "server_stopped", info)
            if clerk is not None:
                clerk.close()


@contextmanager
def _quiet_signals() -> Iterator[None]:
    """Let the server's end by a signal be an ordinary one.

    uvicorn drains on SIGTERM and SIGINT and then raises the signal again for whoever had it before; by
    default that would end the process before the log is closed.
    """
    try:
        before = {number: signal.signal(number, _ignore) for number in (signal.SIGTERM, signal.SIGINT)}
    except ValueError:  # not the main thread, where signals never arrive
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ignore(_number: int, _frame: Any) -> None:
    """Signals during the last steps change nothing: they are short."""


def _spool_bytes(layout: Layout | None) -> int:
    """How much of the prediction log is still outside the DuckDB file."""
    total = 0
    if layout is not None:
        with contextlib.suppress(OSError):
            for entry in os.scandir(layout.spool):
                with contextlib.suppress(OSError):
                    total += entry.stat().st_size
    return total


def _journal(layout: Layout | None, what: str, info: ServerInfo) -> None:
    if layout is None:
        return
    try:
        append_event(layout, what, details={"url": info.url, "pid": info.pid})
    except WorkbenchError as error:
        log.warning("cannot journal %s: %s", what, error)


def _log_to_stderr() -> None:
    """Lines with a time on stderr, unless whoever called has set up logging."""
    logger = logging.getLogger("workbench")
    if logger.handlers or logging.getLogger().handlers:
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S%z"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    uvicorn_logger = logging.getLogger("uvicorn")
    uvicorn_logger.addHandler(handler)
    uvicorn_logger.setLevel(logging.WARNING)
