"""What every request passes first: its id, its key, limits on how many and how large, one shape of errors."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.access import Access
from serve.problems import INTERNAL, Problem, problem_response
from serve.telemetry import Telemetry

log = logging.getLogger("workbench.serve")

_SANE_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_HEADER = b"x-request-id"


class Gate:
    """The outermost layer around the application."""

    def __init__(self, app: ASGIApp, *, access: Access, concurrency: int, telemetry: Telemetry) -> None:
        self._app = app
        self._access = access
        self._concurrency = concurrency
        self._telemetry = telemetry
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        # HEAD, as health checks send it, is answered as GET would be; uvicorn leaves out the body.
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        scope = {**scope, "method": method, "request_id": request_id}
        encoded = request_id.encode()
        has_started = False

        async def send_with_id(message: Message) -> None:
            nonlocal has_started
            if message["type"] == "http.response.start":
                has_started = True
                message["headers"] = [*message.get("headers", ()), (_HEADER, encoded)]
            await send(message)

        if self._in_flight >= self._concurrency and not scope["path"].startswith("/health"):
            self._telemetry.refused.labels("concurrency").inc()
            busy = Problem(
                503, f"{self._concurrency} requests are in progress already", headers={"Retry-After": "1"}
            )
            await problem_response(busy, request_id, scope["path"])(scope, receive, send_with_id)
            return
        try:
            scope["key"] = self._access.check(scope)
        except Problem as problem:
            self._telemetry.refused.labels(problem.reason).inc()
            await problem_response(problem, request_id, scope["path"])(scope, receive, send_with_id)
            return
        self._in_flight += 1
        self._telemetry.in_flight.inc()
        try:
            await self._app(scope, receive, send_with_id)
        except Exception:
            # Nothing a client sends leads here: it is a fault of ours, told without its trace.
            log.exception("request %s failed", request_id)
            if has_started:
                raise
            fault = Problem(500, INTERNAL)
            await problem_response(fault, request_id, scope["path"])(scope, receive, send_with_id)
        finally:
            self._in_flight -= 1
            self._telemetry.in_flight.dec()


def _request_id(scope: Scope) -> str:
    """The client's X-Request-ID where it is a plain short word, else one of our own."""
    for name, value in scope["headers"]:
        if name == _HEADER:
            text: str = value.decode("latin-1")
            if _SANE_ID.fullmatch(text):
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
            return problem_response(problem, request_id_of(request), request.scope["path"])

    return answer


async def answer_http_exception(request: Request, error: Exception) -> Response:
    """Starlette's own errors (no such path, wrong method) in the same shape as all others."""
    assert isinstance(error, HTTPException)
    path = request.url.path[:100]
    detail = {404: f"nothing is at {path}", 405: f"{request.method} is not allowed at {path}"}.get(
        error.status_code, str(error.detail)
    )
    problem = Problem(error.status_code, detail, headers=dict(error.headers or {}))
    return problem_response(problem, request_id_of(request), request.scope["path"])
