"""HTTP itself: uvicorn's protocol with limits on a request's head, and problems for what is no HTTP.

A client that sends without reading its answers is not read from: what it sent waits where it is, and the
connection is cut when no answer leaves it for as long as a head may take.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, cast

import httptools
import orjson
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serve.body_room import FREE_BYTES, LEAST_BYTES_A_SECOND, BodyRoom
from serve.problems import MEDIA_TYPE, Problem, problem_document

if TYPE_CHECKING:
    from collections.abc import Iterable

log = logging.getLogger("workbench.serve")

MOST_HEAD_BYTES = 65_536
MOST_HEADERS = 256
MOST_UNREAD_BYTES = 16_384
"""Of answers that a client has not taken, before its next request waits."""
_PIECE_BYTES = 16_384
_MOST_AT_ONCE = 4
"""Requests that may come in one piece; of more, each is read when the one before it is answered."""
_END_OF_HEAD = b"\r\n\r\n"
_UPGRADE = b"pgrade:"
_UPGRADE_HEADER = re.compile(rb"(?i)\r\nupgrade[ \t]*:")
_EVICTED_SHARE = 16
_MOST_FRAMING = 8
"""Bytes around each byte of a chunked body, beyond what a head may have: chunks of one byte have five."""


@dataclass(frozen=True)
class HeadLimits:
    """How a request may begin."""

    timeout_s: float = 30.0
    """How long a client may take to send a request's line and headers."""
    on_refused: Callable[[str], None] = lambda _reason: None
    """Told the reason of each request that is refused before it is one."""
    room: BodyRoom | None = None
    """Where what waits to be read as a request is counted."""
    most_connections: int = 1_024
    """How many there may be; beyond it, those of which no whole request came are closed, the oldest first."""


class _Flow(FlowControl):
    """uvicorn's flow control, which reads on only where the connection may."""

    def __init__(self, transport: asyncio.Transport, may_read: Callable[[], bool]) -> None:
        super().__init__(transport)
        self._may_read = may_read

    def resume_reading(self) -> None:
        if self.read_paused and self._may_read():
            super().resume_reading()


class HttpProtocol(HttpToolsProtocol):
    """A client's connection. `limited` makes the class of a server's."""

    limits: ClassVar[HeadLimits] = HeadLimits()
    is_retiring: ClassVar[bool] = False
    """Whether each connection is closed with its next answer."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._is_in_head = True
        self._is_in_body = False
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._messages = 0
        self._body_bytes = 0
        self._framing_bytes = 0
        """What came after the head and is no body: sizes and extensions of chunks, and trailers."""
        self._body_since = 0.0
        self._has_too_many_headers = False
        self._backlog = b""
        """What came before the requests that it holds may be read."""
        self._backlog_at = 0
        """How much of it was read."""
        self._counted = 0
        self._unread_bytes = 0
        self._unread_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = _Flow(transport, self._may_read)
        transport.set_write_buffer_limits(high=MOST_UNREAD_BYTES)
        self._await_head()
        if len(self.connections) > self.limits.most_connections:
            _evict(cast("Iterable[HttpProtocol]", self.connections), self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._stop_watching()
        self._take_backlog()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self.transport.is_closing():
            return
        if self._backlog:
            kept, at = self._take_backlog()
            self._keep(kept[at:] + data, 0)
        else:
            self.feed(data)

    def feed(self, data: bytes, start: int = 0) -> None:
        """Read requests as long as none waits for the one before it."""
        size = len(data)
        if (
            size - start <= _PIECE_BYTES
            and not self._must_wait()
            and _UPGRADE not in data
            and data.count(_END_OF_HEAD, start) <= _MOST_AT_ONCE
        ):
            self._parse(data[start:])
            return
        while start < size and not self.transport.is_closing():
            if self._must_wait():
                self._keep(data, start)
                return
            end = self._end_of_piece(data, start)
            if self._is_in_body:
                self._parse(memoryview(data)[start:end])
            else:
                self._parse(_without_upgrade(data[start:end]))
            start = end

    def _must_wait(self) -> bool:
        return bool(self.pipeline) or (self.flow.write_paused and not self._is_in_body)

    def _may_read(self) -> bool:
        return not self._backlog and not self._must_wait()

    def _end_of_piece(self, data: bytes, start: int) -> int:
        """Where a body or a head ends, so that no piece holds many requests."""
        if self._is_in_body:
            length = next((value for name, value in self.headers if name == b"content-length"), b"")
            left = int(length[:18]) - self._body_bytes if length.isdigit() else 0
            if left > 0:
                return min(start + left, len(data))
        most = min(start + _PIECE_BYTES, len(data))
        found = data.find(_END_OF_HEAD, start, most)
        return found + len(_END_OF_HEAD) if found >= 0 else most

    def _keep(self, data: bytes, start: int) -> None:
        """Keep what can't be read yet, and take no more from the socket."""
        self.flow.pause_reading()
        n_bytes = max(len(data) - FREE_BYTES, 0)
        if n_bytes and self.limits.room is not None:
            try:
                self.limits.room.take(n_bytes)
            except Problem as problem:
                self._refuse(problem)
                return
            self._counted = n_bytes
        self._backlog, self._backlog_at = data, start

    def _take_backlog(self) -> tuple[bytes, int]:
        kept = self._backlog, self._backlog_at
        self._backlog, self._backlog_at = b"", 0
        if self._counted and self.limits.room is not None:
            self.limits.room.held -= self._counted
            self._counted = 0
        return kept

    def _go_on(self) -> None:
        """Read what was kept; called where its time may have come."""
        if self.transport.is_closing() or self._must_wait():
            return
        if self._backlog:
            self._unset_keepalive_if_required()
            self.feed(*self._take_backlog())
        self.flow.resume_reading()

    def _parse(self, data: bytes | memoryview) -> None:
        body_of = None if self._is_in_head else self._messages
        body_before = self._body_bytes
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return  # no other protocol is spoken here; the request is answered as any other
        except httptools.HttpParserError:
            if self._has_too_many_headers:
                self._refuse(Problem(431, f"the request has more than {MOST_HEADERS} headers"))
            else:
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
            if len(self.headers) >= MOST_HEADERS:
                self._has_too_many_headers = True
                raise ValueError("too many headers")  # ends the parsing
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        super().on_body(body)

    def on_headers_complete(self) -> None:
        self.head_is_complete()
        if self.parser.get_http_version() == "1.0":
            self.expect_100_continue = False
        super().on_headers_complete()
        if self.is_retiring and self.cycle is not None:
            self.cycle.keep_alive = False

    def head_is_complete(self) -> None:
        """Whoever takes a request over from `on_headers_complete` calls this."""
        self._is_in_head = False
        self._is_in_body = True
        self._body_since = self.loop.time()
        self._stop_timer()

    def on_message_complete(self) -> None:
        self._is_in_body = False
        self._stop_timer()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._is_in_body and self.cycle.response_complete and self._head_timer is None:
            self._await_head()  # what is left of a body that nobody waits for
        if self.transport.is_closing():
            self._watch_unread()
        elif self._backlog or self.flow.read_paused:
            self.loop.call_soon(self._go_on)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_unread()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_watching()
        if self._backlog or self.flow.read_paused:
            self.loop.call_soon(self._go_on)

    def timeout_keep_alive_handler(self) -> None:
        self._close()

    @property
    def idle_since(self) -> float | None:
        """When it was last heard of, by the loop's clock; None while a request that came is answered."""
        if self._head_timer is not None:
            return self._head_timer.when() - self.limits.timeout_s
        if self.timeout_keep_alive_task is not None:
            return self.timeout_keep_alive_task.when() - self.timeout_keep_alive
        if self._is_in_body and not self.pipeline and not self.cycle.response_started:
            return self._body_since
        return None

    def evict(self) -> None:
        """Close it for another's sake."""
        self.limits.on_refused("connections")
        self._close()

    def _close(self) -> None:
        """Close it; answers that were not taken until now go with it."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            self.transport.close()

    def _watch_unread(self) -> None:
        """Cut the connection where the client takes all but nothing of its answers."""
        unread = self.transport.get_write_buffer_size()
        if unread and self._unread_timer is None:
            self._unread_bytes = unread
            self._unread_timer = self.loop.call_later(self.limits.timeout_s, self._look_at_unread)

    def _look_at_unread(self) -> None:
        self._unread_timer = None
        most = self._unread_bytes - LEAST_BYTES_A_SECOND * self.limits.timeout_s
        # One that still sends the body of what is being answered may read when it has sent it all.
        is_sending = self._is_in_body and not self.pipeline
        if self.transport.get_write_buffer_size() > max(most, 0) and not is_sending:
            self.limits.on_refused("unread")
            log.warning("an answer was not read for %g s: its connection is cut", self.limits.timeout_s)
            self.transport.abort()
        else:
            self._watch_unread()

    def _stop_watching(self) -> None:
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None

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
        if self._head_bytes and not self._is_in_body:
            self._refuse(Problem(408, f"the request's head took longer than {self.limits.timeout_s:g} s"))
        else:
            self._close()

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
        self._watch_unread()


def _without_upgrade(head: bytes) -> bytes:
    """A head that asks for no other protocol: none is spoken here, and the parser would leave out the body.

    Java's own client offers HTTP/2 with its first request, whatever that is.
    """
    return _UPGRADE_HEADER.sub(b"\r\nx-upgrade:", head) if _UPGRADE in head else head


def _evict(connections: Iterable[HttpProtocol], newcomer: HttpProtocol) -> None:
    """Close the connections that were longest without a request; the newcomer where all have one."""
    idle = [
        (since, one) for one in connections if one is not newcomer and (since := one.idle_since) is not None
    ]
    idle.sort(key=lambda pair: pair[0])
    for _, connection in idle[: 1 + len(idle) // _EVICTED_SHARE]:
        connection.evict()
    if not idle:
        newcomer.evict()


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
