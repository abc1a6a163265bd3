"""One worker: the application on an event loop of its own, from its first request to its last."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import uvicorn

from serve.access_log import open_access_log
from serve.admin import AdminDesk
from serve.app import Services, create_app
from serve.background import working_beside
from serve.connection import connection_class
from serve.control import bound_log
from serve.daemon_threads import DaemonThreads, leave_behind
from serve.drift_view import DriftView
from serve.gate import AdminSide
from serve.http_protocol import HeadLimits, HttpProtocol, limited
from serve.labels import FeedbackDesk
from serve.losses import LossWatch
from serve.ports import room_for_sockets
from serve.predicting import Predictor
from serve.quick_lane import QuickLane
from serve.telemetry import Telemetry
from serve.tracing import open_tracing
from store.log import PredictionLog

if TYPE_CHECKING:
    from serve.access import Access, KeyRing
    from serve.board import Board
    from serve.clerk import Clerk
    from serve.clerk_desk import RemoteClerk
    from serve.gate import Gate
    from serve.hosting import ModelHost
    from serve.main import ServerConfig
    from serve.rate import RateLimit
    from serve.settings import ServeSettings
    from store.layout import Layout
    from store.registry import Registry

log = logging.getLogger("workbench.serve")

KEEP_ALIVE_S = 75
GRACE_S = 0.9
"""What a worker takes beyond the deadline of draining, at most."""
_CONNECTIONS_FOR_EACH = 4
"""How many connections there may be for each request that may be in progress."""
RETIRE_SECONDS = 2.0
"""How long a worker whose successor is there waits for the next request of clients that keep connections."""
_BESIDE_THREADS = 16


@dataclass(frozen=True)
class Workplace:
    """What a worker works with; all but the registry is made once, before workers are forked."""

    config: ServerConfig
    layout: Layout | None
    registry: Registry
    host: ModelHost
    keys: KeyRing
    access: Access
    board: Board
    log_problem: str | None = None
    """Why predictions are not logged although they should be."""
    rate: RateLimit | None = None
    """How often a client may ask all workers together."""
    admin_listener: socket.socket | None = None
    """Where /admin and /metrics are asked for, if not where predictions are."""
    admin_access: Access | None = None
    """Who may ask there."""


class Deadline:
    """When a worker that was told to stop has ended, whatever stands in the way."""

    def __init__(self) -> None:
        self._ends_at: float | None = None
        self._end: threading.Timer | None = None

    def begin(self, drain_seconds: float) -> None:
        """From now on; only the first time counts."""
        if self._ends_at is None:
            self._ends_at = time.monotonic() + drain_seconds + GRACE_S
            self._end = threading.Timer(drain_seconds + GRACE_S, self._give_up)
            self._end.daemon = True
            self._end.start()

    def over(self) -> None:
        """It has ended."""
        if self._end is not None:
            self._end.cancel()

    def left_s(self) -> float:
        """Seconds until then; plenty where nobody was told."""
        return math.inf if self._ends_at is None else self._ends_at - time.monotonic()

    def _give_up(self) -> None:
        log.error("not everything has ended within the time to drain: what is left is cut off")
        os._exit(1)


@dataclass(frozen=True)
class Duties:
    """What is this worker's own."""

    slot: int = 0
    """Its place on the board."""
    clerk: Clerk | RemoteClerk | None = None
    folding: Clerk | None = None
    """The clerk, where this worker has it fold the log."""
    on_started: Callable[[], None] = lambda: None
    on_changed: Callable[[], None] = lambda: None
    """Told when the models in service were changed here: other workers should look, too."""
    parent: socket.socket | None = None
    """The end of this connection is the end of the worker; a word on it says that a successor is there."""
    follows_registry: bool = True
    """Whether this worker looks for promotions itself."""
    is_successor: bool = False
    """Whether it began with other models than the worker before it."""
    ignores_interrupt: bool = False
    """Whether ctrl-C is the parent's to handle."""
    on_told: Callable[[int], None] = lambda _number: None
    """Called with the signal that says to end; within its handler."""
    reloads_on_hangup: bool = True
    """Whether SIGHUP asks for a look at the registry; else it says to end."""
    watchdog_s: float | None = None
    deadline: Deadline = field(default_factory=Deadline)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, duties: Duties, drain_seconds: float) -> None:
        super().__init__(config)
        self._duties = duties
        self._drain_seconds = drain_seconds
        self._is_retiring = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._duties.on_started()

    def retire(self) -> None:
        """Leave new connections to a successor, answer once more on those that are there, and end."""
        if self._is_retiring:
            return
        self._is_retiring = True
        for server in self.servers:
            server.close()
        cast("Any", self.config.http_protocol_class).is_retiring = True
        for connection in self.server_state.connections:
            cast("HttpProtocol", connection).answer_for_the_last_time()

        def close_idle() -> None:
            for connection in list(self.server_state.connections):
                cast("HttpProtocol", connection).retire()

        asyncio.get_running_loop().call_later(RETIRE_SECONDS, close_idle)

    async def on_tick(self, counter: int) -> bool:
        is_over = await super().on_tick(counter)
        return is_over or (self._is_retiring and not self.server_state.connections)

    def handle_exit(self, sig: int, frame: Any) -> None:
        # uvicorn's own would raise the signal again at the end, when there is still something to close.
        if self._duties.ignores_interrupt and sig == signal.SIGINT:
            return
        self._duties.on_told(sig)
        self._duties.deadline.begin(self._drain_seconds)
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        self.should_exit = True


def answer_until_told(place: Workplace, listener: socket.socket, duties: Duties) -> None:
    """Answer on a listening socket until a signal says to end; what is in progress is answered first."""
    settings, layout, host = place.config.settings, place.layout, place.host
    telemetry = Telemetry(place.board, duties.slot)
    telemetry.watch(host.ordered, lambda: _spool_bytes(layout))
    if duties.is_successor:
        telemetry.swaps.inc()
    waits_for_disk = place.config.store.durability == "fsync"
    with contextlib.ExitStack() as stack:
        prediction_log = None
        if layout is not None:
            prediction_log = PredictionLog(layout, place.config.store, writer="server")
            stack.callback(prediction_log.close)
        predictor = Predictor(
            host,
            telemetry,
            settings,
            prediction_log,
            log_waits=waits_for_disk,
            spill_folder=layout.run if layout is not None else None,
        )
        stack.callback(predictor.close)
        access_log = open_access_log(settings, layout.root if layout is not None else Path.cwd())
        if access_log is not None:
            stack.callback(access_log.close)
        tracing = open_tracing(settings)
        if tracing is not None:
            stack.callback(tracing.close)
        services = Services(
            settings,
            host,
            predictor,
            FeedbackDesk(settings, telemetry, prediction_log, duties.clerk, host, layout),
            telemetry,
            place.access,
            AdminDesk(host, place.registry, settings, layout, on_changed=duties.on_changed),
            access_log,
            DriftView(layout),
            place.log_problem,
            place.rate,
            _admin_side(place),
            tracing,
        )

        @asynccontextmanager
        async def lifespan(_app: Any) -> AsyncIterator[None]:
            loop = asyncio.get_running_loop()
            loop.set_default_executor(DaemonThreads(_BESIDE_THREADS, "beside"))
            _listen_to_others(host, telemetry, duties, server)
            beside = working_beside(
                host if duties.follows_registry else None,
                telemetry,
                keys=place.keys,
                reload_seconds=settings.reload_seconds,
                clerk=duties.folding,
                watchdog_s=duties.watchdog_s,
                losses=_loss_watch(layout, telemetry, prediction_log),
                keep_log_small=None if layout is None or duties.parent else partial(bound_log, layout),
            )
            async with beside:
                yield

        app = create_app(services, lifespan)
        protocol: type[HttpProtocol] = HttpProtocol
        if not waits_for_disk:  # the event loop must not
            protocol = connection_class(QuickLane(host, telemetry, app, prediction_log))
        server = _Server(
            uvicorn.Config(
                app,
                loop="uvloop",
                http=limited(protocol, _head_limits(settings, telemetry, app)),
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                proxy_headers=False,  # see [serve] trusted_proxies
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=cast("int", settings.drain_seconds),  # any number will do
            ),
            duties,
            settings.drain_seconds,
        )
        admin = [place.admin_listener] if place.admin_listener is not None else []
        server.run(sockets=[listener, *admin])
    leave_behind()


def _head_limits(settings: ServeSettings, telemetry: Telemetry, app: Gate) -> HeadLimits:
    most = _CONNECTIONS_FOR_EACH * settings.concurrency
    return HeadLimits(settings.timeout, telemetry.count_refused, app.bodies, room_for_sockets(most))


def _admin_side(place: Workplace) -> AdminSide | None:
    if place.admin_listener is None or place.admin_access is None:
        return None
    return AdminSide(place.admin_listener.getsockname()[1], place.admin_access)


def _loss_watch(
    layout: Layout | None, telemetry: Telemetry, prediction_log: PredictionLog | None
) -> Callable[[], None] | None:
    if layout is None or prediction_log is None:
        return None
    watch = LossWatch(layout, telemetry.lost)
    return lambda: watch.look(prediction_log.problem)


def _listen_to_others(host: ModelHost, telemetry: Telemetry, duties: Duties, server: _Server) -> None:
    """Heed the parent's word and its end, and SIGHUP."""
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()

    async def reload() -> None:
        if await asyncio.to_thread(host.refresh, force=True):
            telemetry.swaps.inc()

    def start_reload() -> None:
        task = asyncio.create_task(reload())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def parent_said() -> None:
        assert duties.parent is not None
        try:
            said = duties.parent.recv(64)
        except OSError:
            said = b""
        if said:
            server.retire()
            return
        loop.remove_reader(duties.parent)
        log.warning("the server's parent process is gone: this worker ends, too")
        server.should_exit = True

    with contextlib.suppress(ValueError, RuntimeError):  # not in the main thread
        if duties.reloads_on_hangup:
            loop.add_signal_handler(signal.SIGHUP, start_reload)
        else:
            loop.add_signal_handler(signal.SIGHUP, server.handle_exit, signal.SIGHUP, None)
    if duties.parent is not None:
        loop.add_reader(duties.parent, parent_said)


def _spool_bytes(layout: Layout | None) -> int:
    """How much of the prediction log is still outside the DuckDB file."""
    total = 0
    if layout is not None:
        with contextlib.suppress(OSError):
            for entry in os.scandir(layout.spool):
                with contextlib.suppress(OSError):
                    total += entry.stat().st_size
    return total
