"""Runs the server: opens the port, loads the champions, answers until it is told to stop."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from serve.control import ServerInfo, local_url, registered, socket_url
from serve.lean_imports import import_model_libraries, limit_threads
from serve.settings import ServeSettings
from store.errors import StorageError, UsageError, WorkbenchError
from store.journal import append_event
from store.layout import Layout
from store.settings import StoreSettings

if TYPE_CHECKING:
    from serve.access import Access, KeyRing
    from serve.endings import Ending
    from serve.hosting import ModelHost
    from serve.worker import Workplace
    from store.registry import Registry

log = logging.getLogger("workbench.serve")


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
    beside: str | None = None
    """`module:function` that the log's helper calls with the project's folder every few seconds."""


def serve(
    config: ServerConfig,
    *,
    on_ready: Callable[[ServerInfo], None] | None = None,
    on_key: Callable[[str], None] | None = None,
    on_told: Callable[[], None] = lambda: None,
) -> None:
    """Serve until SIGTERM, ctrl-C or the end of the terminal; requests in progress are answered first.

    `on_ready` is called once predictions are answered, `on_key` with a key that was made because there was
    none, `on_told` as soon as a signal says to end, within its handler. Raises KeyboardInterrupt after all
    has ended by ctrl-C; BusyError when the port is taken, UsageError for an address beyond loopback without a
    key, WorkbenchError for what prevents a start; a model that can't be loaded doesn't.
    """
    from serve.endings import Ending

    limit_threads()
    _log_to_stderr()
    ending = Ending(on_told)
    with ending.heeded():
        _serve(config, ending, on_ready, on_key)
    if ending.was_interrupted:
        raise KeyboardInterrupt


def _serve(
    config: ServerConfig,
    ending: Ending,
    on_ready: Callable[[ServerInfo], None] | None,
    on_key: Callable[[str], None] | None,
) -> None:
    from serve.access import is_loopback, open_keys
    from serve.board import Board
    from serve.local_key import local_key
    from serve.ports import identity, remove_socket
    from serve.rate import RateLimit
    from serve.systemd import notify
    from serve.tracing import is_wanted
    from store.tracking import open_registry

    is_wanted(config.settings)
    layout, log_problem = _written_layout(config.layout)
    listeners = listen_on(config)
    with contextlib.ExitStack() as stack:
        for listener in listeners:
            stack.enter_context(contextlib.closing(listener))
        registry_layout = stack.enter_context(_registry_layout(layout))
        admin_listener = _listen_for_admins(config.settings, listeners[0])
        if admin_listener is not None:
            stack.enter_context(contextlib.closing(admin_listener))
        is_on_socket = listeners[0].family == socket.AF_UNIX
        if is_on_socket:
            stack.callback(remove_socket, Path(listeners[0].getsockname()), identity(listeners[0]))
        is_local = is_on_socket or is_loopback(listeners[0].getsockname()[0])
        is_admin_local = admin_listener is None or is_loopback(admin_listener.getsockname()[0])
        allows_all = config.settings.allow_public_without_keys
        # Of a project that can't be written the keys, and what is trusted, can still be read.
        keys = open_keys(
            config.layout if layout is None else layout, on_key=on_key if config.make_key else None
        )
        if not keys.keys and not (is_local and is_admin_local) and not allows_all:
            where = config.settings.admin_host if is_local else config.settings.host
            raise UsageError(
                f"{where} is open to the network, and no API key exists",
                "Make one: workbench keys create NAME; or set [serve] allow_public_without_keys = true.",
            )
        info = _info(config.settings, listeners[0], admin_listener)
        import_model_libraries()
        # With scikit-learn's imports done, so that theirs don't bring pandas along.
        from serve.worker import Workplace
        from serve.workers import Supervisor, slots_for

        registry = open_registry(config.tracking_uri, registry_layout)
        place = Workplace(
            config,
            layout,
            registry,
            _host(config, registry, is_written=layout is not None),
            keys,
            _access(config.settings, keys, is_local=is_local),
            Board(slots_for(config.settings.workers)),
            log_problem,
            RateLimit(config.settings.rate) if config.settings.rate else None,
            admin_listener,
            _access(config.settings, keys, is_local=is_admin_local),
        )

        def ready() -> None:
            notify("READY=1", f"STATUS=Serving on {info.url}")
            if on_ready is not None:
                on_ready(info)

        with registered(layout, info) as is_the_one:
            if layout is not None and not is_the_one:
                log.warning("another server of this project is running; `workbench status` shows that one")
            if layout is not None and is_the_one:
                keys.local = stack.enter_context(local_key(layout))
            _journal(layout, "server_started", info)
            try:
                if config.settings.workers > 1:
                    Supervisor(place, listeners, registry_layout, ready, ending).run()
                else:
                    _answer_alone(place, listeners[0], ready, ending)
            finally:
                _journal(layout, "server_stopped", info)


def listen_on(config: ServerConfig) -> list[socket.socket]:
    """The listening sockets: one for each worker where the system shares connections out among them."""
    from serve.ports import listen, listen_on_socket, listen_together

    settings = config.settings
    if settings.socket is not None:
        root = config.layout.root if config.layout is not None else Path.cwd()
        path = root / settings.socket
        state = config.layout.state.resolve() if config.layout is not None else None
        if state is not None and path.resolve().is_relative_to(state):
            raise UsageError(
                f"the socket {path} would be inside {state.name}/, which is copied, moved and backed up: "
                "no socket belongs there",
                f"Put it beside: --socket {root / Path(settings.socket).name}, or into /run.",
            )
        return [listen_on_socket(path)]
    if settings.workers > 1:
        return listen_together(settings.host, settings.port, settings.workers)
    return [listen(settings.host, settings.port)]


def _listen_for_admins(settings: ServeSettings, public: socket.socket) -> socket.socket | None:
    """The listening socket for /admin and /metrics, where they have one; all workers share it."""
    from serve.ports import listen

    if settings.admin_port is None:
        return None
    listener = listen(settings.admin_host, settings.admin_port)
    # Which of the two a request came by is told by the port.
    if public.family != socket.AF_UNIX and public.getsockname()[1] == listener.getsockname()[1]:
        listener.close()
        raise UsageError(f"[serve] admin_port is the server's own port {settings.admin_port}", "Change it.")
    return listener


def _access(settings: ServeSettings, keys: KeyRing, *, is_local: bool) -> Access:
    from serve.access import Access

    return Access(
        keys,
        is_local=is_local,
        is_open=is_local or settings.allow_public_without_keys,
        cors_origins=settings.cors_origins,
        allowed_hosts=settings.allowed_hosts,
    )


def _info(settings: ServeSettings, listener: socket.socket, admin: socket.socket | None) -> ServerInfo:
    admin_url = local_url(settings.admin_host, admin.getsockname()[1]) if admin is not None else None
    host, port = settings.host, 0
    if listener.family == socket.AF_UNIX:
        host = listener.getsockname()
        url = socket_url(Path(host))
    else:
        port = listener.getsockname()[1]
        url = local_url(host, port)
    return ServerInfo(url, host, port, os.getpid(), datetime.now(UTC), admin_url)


def _written_layout(layout: Layout | None) -> tuple[Layout | None, str | None]:
    """Where to write, and why nowhere: a project that can only be read is served, too, without a log."""
    if layout is None:
        return None, None
    try:
        layout.ensure()
        with tempfile.TemporaryFile(dir=layout.run):
            return layout, None
    except (StorageError, OSError) as error:
        cause = error if isinstance(error, OSError) else error.__cause__
        if getattr(cause, "errno", None) not in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise
    log.warning("%s can't be written: predictions are answered and NOT LOGGED", layout.state)
    return None, f"{layout.state} can't be written"


@contextmanager
def _registry_layout(layout: Layout | None) -> Iterator[Layout]:
    """Without a project, a folder for the registry's locks that is gone afterwards."""
    if layout is not None:
        yield layout
        return
    with tempfile.TemporaryDirectory(prefix="workbench-serve-") as folder:
        yield Layout.of(Path(folder)).ensure()


def _host(config: ServerConfig, registry: Registry, *, is_written: bool) -> ModelHost:
    from serve.hosting import ModelHost
    from serve.model_reference import ModelReference

    if is_written and config.uri is None:
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
        is_lazy=config.settings.lazy,
        max_loaded_bytes=config.settings.max_loaded_mb * 1_000_000,
        engine=config.settings.engine,
    )
    host.refresh()
    missing = [failure.reason for failure in host.failures.values() if not failure.version]
    if missing:
        log.warning("%s is not in service: %s, at %s", config.uri, missing[0], config.tracking_uri)
    elif not host.models and not host.failures and host.registry_problem is None:
        log.warning("no model is in service yet: promote a version to champion")
    return host


def _answer_alone(
    place: Workplace, listener: socket.socket, ready: Callable[[], None], ending: Ending
) -> None:
    """Be the one worker, with a clerk of its own."""
    from serve.clerk import CLOSE_SECONDS, Clerk
    from serve.endings import ends_on_hangup, heed_no_hangup
    from serve.systemd import notify, watchdog_interval_s
    from serve.worker import Duties, answer_until_told

    clerk = None
    if place.layout is not None:
        clerk = Clerk(place.layout, place.config.store, place.config.tracking_uri, beside=place.config.beside)
    duties = Duties(
        clerk=clerk,
        folding=clerk,
        on_started=ready,
        on_told=ending.begin,
        reloads_on_hangup=not ends_on_hangup(),
        watchdog_s=watchdog_interval_s(),
    )
    try:
        answer_until_told(place, listener, duties)
    finally:
        heed_no_hangup()
        notify("STOPPING=1")
        if clerk is not None:
            clerk.close(min(CLOSE_SECONDS, duties.deadline.left_s() / 2))
        duties.deadline.over()


def _journal(layout: Layout | None, what: str, info: ServerInfo) -> None:
    if layout is None:
        return
    try:
        append_event(layout, what, details={"url": info.url, "pid": info.pid})
    except WorkbenchError as error:
        log.warning("cannot journal %s: %s", what, error)


class _OneLine(logging.Formatter):
    """A message on one line, without what a terminal would act on: what is named in it may be anybody's."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        record.message = "".join(
            c if c.isprintable() else c.encode("unicode_escape").decode() for c in record.message
        )
        return super().formatMessage(record)


def _log_to_stderr() -> None:
    """Lines with a time on stderr, unless whoever called has set up logging."""
    logger = logging.getLogger("workbench")
    if logger.handlers or logging.getLogger().handlers:
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S%z"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    uvicorn_logger = logging.getLogger("uvicorn")
    uvicorn_logger.addHandler(handler)
    uvicorn_logger.setLevel(logging.WARNING)
    # An answer without an end is meant to have none (see serve.answer_parts); the reason was logged.
    logging.getLogger("uvicorn.error").addFilter(
        lambda record: "without completing response" not in record.getMessage()
    )
