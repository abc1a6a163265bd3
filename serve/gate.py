"""What every request passes first: its id, its key, limits on how many and how large, one shape of errors."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Awaitable, Callable, Collection, Coroutine
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.access import Access
from serve.access_log import AccessLog, Record
from serve.body_room import BodyRoom, Holding
from serve.clients import Clients, network_of
from serve.host_header import check_host_header
from serve.outbox import PIECE_BYTES
from serve.problems import INTERNAL, Problem, problem_response
from serve.rate import RateLimit
from serve.telemetry import Telemetry
from serve.tracing import Tracing
from store.keys import Key

log = logging.getLogger("workbench.serve")

SANE_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_HEADER = b"x-request-id"
EXPOSED_HEADERS = ("X-Request-ID", "Retry-After")
"""What pages of other sites that may call the server are shown beside the answer."""


@dataclass(frozen=True)
class AdminSide:
    """The port of /admin and /metrics, where they have one of their own."""

    port: int
    access: Access


class Gate:
    """The outermost layer around the application."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        access: Access,
        concurrency: int,
        telemetry: Telemetry,
        clients: Clients,
        bodies: BodyRoom,
        rate: RateLimit | None = None,
        access_log: AccessLog | None = None,
        cors_origins: Collection[str] = (),
        admin_side: AdminSide | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        self._app = app
        self._access = access
        self._concurrency = concurrency
        self._telemetry = telemetry
        self._clients = clients
        self.bodies = bodies
        self._rate = rate
        self._access_log = access_log
        self._cors_origins = frozenset(cors_origins)
        self._admin_side = admin_side
        self._tracing = tracing
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        # HEAD, as health checks send it, is answered as GET would be; uvicorn leaves out the body.
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        # A redirect to the path without it would name whatever Host and scheme the client or its proxy said.
        path = scope["path"].rstrip("/") or "/"
        scope = {**scope, "method": method, "path": path, "request_id": request_id, "key": None}
        encoded = request_id.encode()
        has_started, status = False, 0

        async def send_with_id(message: Message) -> None:
            nonlocal has_started, status
            if message["type"] == "http.response.start":
                has_started, status = True, message["status"]
                message["headers"] = [*message.get("headers", ()), (_HEADER, encoded)]
            elif len(body := message.get("body", b"")) > PIECE_BYTES:
                # A request is in progress until its client has taken all of the answer but a piece.
                for start in range(0, len(body) - PIECE_BYTES, PIECE_BYTES):
                    piece = body[start : start + PIECE_BYTES]
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                message = {**message, "body": body[start + PIECE_BYTES :]}
            await send(message)

        if self._access_log is not None:
            record = Record(self._access_log, self._clients.address(scope), scope)
            receive, send = record.watching(receive, send)
        span = self._tracing.begin(scope) if self._tracing is not None else None
        try:
            try:
                check_host_header(scope)
                scope["key"] = scope["admitted"] if "admitted" in scope else self.admit(scope)
            except Problem as problem:
                self._telemetry.refused.labels(problem.reason).inc()
                await self._answer_problem(problem, scope, receive, send_with_id)
                return
            self._in_flight += 1
            self._telemetry.in_flight.inc()
            holding = scope["holding"] = Holding(self.bodies)
            try:
                await self._app(scope, receive, send_with_id)
            except Exception:
                # Nothing a client sends leads here: it is a fault of ours, told without its trace.
                log.exception("request %s failed", request_id)
                if has_started:
                    raise
                await self._answer_problem(Problem(500, INTERNAL), scope, receive, send_with_id)
            finally:
                holding.release()
                self._in_flight -= 1
                self._telemetry.in_flight.dec()
        finally:
            if self._access_log is not None:
                record.write()
            if self._tracing is not None and span is not None:
                self._tracing.end(span, scope, status)

    async def _answer_problem(self, problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer it so that a page that may call the server can read it: CORS is the application's else."""
        response = problem_response(problem, scope["request_id"], scope["path"])
        origin = next(
            (value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"), None
        )
        if self._cors_origins and origin is not None:
            is_any = "*" in self._cors_origins
            if is_any or origin in self._cors_origins:
                response.headers["Access-Control-Allow-Origin"] = "*" if is_any else origin
                response.headers["Access-Control-Expose-Headers"] = ", ".join(EXPOSED_HEADERS)
            if not is_any:
                response.headers["Vary"] = "Origin"
        await response(scope, receive, send)

    @property
    def notes_requests(self) -> bool:
        """Whether each request has to pass here to be noted."""
        return self._access_log is not None or self._tracing is not None

    def admit(self, scope: Scope) -> Key | None:
        """The request's key; Problem 503 and 429 for too many, 401 and 403 for those without leave."""
        is_health = scope["path"].startswith("/health")
        access, comes_by_admins = self._access, False
        if self._admin_side is not None:
            comes_by_admins = _port_of(scope) == self._admin_side.port
            if comes_by_admins:
                access = self._admin_side.access
            if not is_health and comes_by_admins != is_for_admins(scope["path"]):
                raise Problem(404, f"nothing is at {scope['path'][:100]}")
        in_progress = self._in_flight - self.bodies.n_coming
        if in_progress >= self._concurrency and not is_health and not comes_by_admins:
            raise Problem(
                503,
                f"{self._concurrency} requests are in progress already",
                headers={"Retry-After": "1"},
                reason="concurrency",
            )
        if self._rate is None or is_health:
            return access.check(scope)
        try:
            key = access.check(scope)
        except Problem:
            self._count(self._rate, None, scope)
            raise
        self._count(self._rate, key, scope)
        return key

    def _count(self, rate: RateLimit, key: Key | None, scope: Scope) -> None:
        who = f"key {key.name}" if key is not None else network_of(self._clients.address(scope))
        wait_s = rate.wait_s(who)
        if wait_s:
            raise Problem(
                429,
                f"too many requests of {who}; ask again in {wait_s} s",
                headers={"Retry-After": str(wait_s)},
                reason="rate",
            )


def _port_of(scope: Scope) -> int | None:
    """The port that the request came by: the system's word, not the client's."""
    server = scope.get("server")
    return server[1] if server else None


def is_for_admins(path: str) -> bool:
    return path.startswith(("/admin/", "/metrics/")) or path in ("/admin", "/metrics")


def _request_id(scope: Scope) -> str:
    """The client's X-Request-ID where it is a plain short word, else one of our own."""
    for name, value in scope["headers"]:
        if name == _HEADER:
            text: str = value.decode("latin-1")
            if SANE_ID.fullmatch(text):
                return text
            break
    return os.urandom(8).hex()


def request_id_of(request: Request) -> str:
    """The id the gate gave to a request."""
    request_id: str = request.scope.get("request_id", "")
    return request_id


def answering_problems(
    endpoint: Callable[[Request], Awaitable[Response]],
) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    """An endpoint whose problems become answers."""

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except Problem as problem:
            # A task knows its error, whose frames know the task: without them what they hold, such as all
            # that was parsed of a body, goes at once, not with the garbage.
            problem.__traceback__ = problem.__cause__ = problem.__context__ = None
            return problem_response(problem, request_id_of(request), request.scope["path"])

    return answer


async def answer_http_exception(request: Request, error: Exception) -> Response:
    """Starlette's own errors (no such path, wrong method) in the same shape as all others."""
    assert isinstance(error, HTTPException)
    path = request.url.path[:100]
    hint = "; what there is, /docs shows" if path == "/" else ""
    detail = {404: f"nothing is at {path}{hint}", 405: f"{request.method} is not allowed at {path}"}.get(
        error.status_code, str(error.detail)
    )
    problem = Problem(error.status_code, detail, headers=dict(error.headers or {}))
    return problem_response(problem, request_id_of(request), request.scope["path"])
