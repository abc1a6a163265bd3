"""HTTP itself: uvicorn's protocol with limits on a request's head, and problems for what is no HTTP."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar

import httptools
import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serve.problems import MEDIA_TYPE, Problem, problem_document

MOST_HEAD_BYTES = 65_536
_MOST_FRAMING = 8
"""Bytes around each byte of a chunked body, beyond what a head may have: chunks of one byte have five."""


@dataclass(frozen=True)
class HeadLimits:
    """How a request may begin."""

    timeout_s: float = 30.0
    """How long a client may take to send a request's line and headers."""
    on_refused: Callable[[str], None] = lambda _reason: None
    """Told the reason of each request that is refused before it is one."""


class HttpProtocol(HttpToolsProtocol):
    """A client's connection. `limited` makes the class of a server's."""

    limits: ClassVar[HeadLimits] = HeadLimits()
    is_retiring: ClassVar[bool] = False
    """Whether each connection is closed with its next answer."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._is_in_head = True
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._messages = 0
        self._body_bytes = 0
        self._framing_bytes = 0
        """What came after the head and is no body: sizes and extensions of chunks, and trailers."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self.transport.is_closing():
            return
        body_of = None if self._is_in_head else self._messages
        body_before = self._body_bytes
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return  # no other protocol is spoken here; the request is answered as any other
        except httptools.HttpParserError:
            self._refuse(Problem(400, "this is no valid HTTP request"))
            return
        if self._is_in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD_BYTES:
                self._refuse(Problem(431, f"the request's head is longer than {MOST_HEAD_BYTES} bytes"))
            elif self._head_timer is None:
                self._await_head()
        elif body_of == self._messages:
            self._framing_bytes += len(data) - (self._body_bytes - body_before)
            if self._framing_bytes > MOST_HEAD_BYTES + _MOST_FRAMING * self._body_bytes:
                self._refuse(Problem(400, "too much comes with the body that is not the body"))

    def on_message_begin(self) -> None:
        self._is_in_head = True
        self._head_bytes = 0
        self._messages += 1
        self._body_bytes = self._framing_bytes = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._is_in_head:  # a trailer would count as a header, and there may be any number of them
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        super().on_body(body)

    def on_headers_complete(self) -> None:
        self.head_is_complete()
        super().on_headers_complete()
        if self.is_retiring and self.cycle is not None:
            self.cycle.keep_alive = False

    def head_is_complete(self) -> None:
        """Whoever takes a request over from `on_headers_complete` calls this."""
        self._is_in_head = False
        self._stop_timer()

    def answer_for_the_last_time(self) -> None:
        """Tell the client that no answer follows the one that it waits for, if it does."""
        if self.cycle is not None:
            self.cycle.keep_alive = False

    def retire(self) -> None:
        """Close it, unless a request is coming or being answered: then with the answer."""
        if not (self._is_in_head and self._head_bytes):
            self.shutdown()

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(self.limits.timeout_s, self._head_is_late)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._head_bytes:
            self._refuse(Problem(408, f"the request's head took longer than {self.limits.timeout_s:g} s"))
        else:
            self.transport.close()

    def _refuse(self, problem: Problem) -> None:
        self._stop_timer()
        self.limits.on_refused(problem.reason)
        is_answering = self.cycle is not None and not self.cycle.response_complete
        if not (is_answering and self.cycle.response_started):
            self.transport.write(_as_bytes(problem))
        if is_answering:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()


def limited(protocol: type[HttpProtocol], limits: HeadLimits) -> type[HttpProtocol]:
    """The protocol with a server's limits."""
    return type(protocol.__name__, (protocol,), {"limits": limits})


def _as_bytes(problem: Problem) -> bytes:
    request_id = os.urandom(8).hex()
    body = orjson.dumps(problem_document(problem, request_id))
    head = (
        f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}\r\n"
        f"content-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\n"
        f"x-request-id: {request_id}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body
