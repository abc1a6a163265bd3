"""A client's connection, with a short cut for the common prediction request.

A request that the quick lane may answer never becomes an ASGI task: its answer is one write to the socket.
All others are handed on to the application.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from serve.gate import SANE_ID
from serve.host_header import is_host
from serve.http_protocol import HttpProtocol
from serve.quick_lane import MOST_BYTES

if TYPE_CHECKING:
    from uvicorn._types import HTTPScope

    from serve.problems import Problem
    from serve.quick_lane import QuickLane

_JSON = frozenset({b"application/json", b"application/json; charset=utf-8"})
_OUT_OF_THE_ORDINARY = frozenset(
    {
        b"connection",
        b"content-encoding",
        b"expect",
        b"origin",
        b"transfer-encoding",
        b"upgrade",
    }
)


class Ask:
    """A request that was read, and the connection to answer on."""

    __slots__ = ("_connection", "body", "request_id", "scope")

    def __init__(self, connection: Connection, scope: dict[str, Any], request_id: str) -> None:
        self._connection = connection
        self.scope = scope
        self.request_id = request_id
        self.body = b""

    def answer(self, body: bytes, request_id: str) -> None:
        self._connection.write_answer(body, request_id)

    def go_the_common_way(self) -> None:
        if self._connection.is_waiting_for(self):
            self._connection.hand_on(self, is_complete=True)


class Connection(HttpProtocol):
    """A connection whose prediction requests a lane may answer."""

    lane: QuickLane
    """Set by `connection_class`."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._reading: Ask | None = None
        """What its body is being read of."""
        self._asked: Ask | None = None
        """What the lane has and did not answer yet."""
        self._is_ending = False
        self._dated: list[tuple[bytes, bytes]] = []
        self._head = b""
        self._host: bytes | None = None
        """The Host that was found to be one: a client says the same each time."""

    def feed(self, data: bytes, start: int = 0) -> None:
        super().feed(data, start)
        reading = self._reading
        if reading is not None:
            # More of its body is to come: whoever waits for it needs the patience of the common way.
            self._reading = None
            self.hand_on(reading, is_complete=False)

    def on_headers_complete(self) -> None:
        if self._asked is not None:
            # This client doesn't wait for its answers: those before come first.
            self.lane.answer_all()
        ask = self._ask()
        if ask is None:
            super().on_headers_complete()
        else:
            self.head_is_complete()
            self._reading = ask

    def on_body(self, body: bytes) -> None:
        if self._reading is not None:
            self._body_bytes += len(body)
            self._reading.body += body
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        ask = self._reading
        if ask is None:
            super().on_message_complete()
            return
        self._is_in_body = False
        self._reading = None
        self._asked = ask
        if not self.lane.take(ask, ask.body, ask.request_id):
            self.hand_on(ask, is_complete=True)

    def shutdown(self) -> None:
        if self._asked is not None:
            self._is_ending = True
        else:
            super().shutdown()

    def _refuse(self, problem: Problem) -> None:
        if self._asked is not None:
            self.lane.answer_all()
        super()._refuse(problem)

    def _ask(self) -> Ask | None:
        """The request as one for the quick lane; None where it isn't one."""
        if self.cycle is not None and not self.cycle.response_complete:
            return None
        if self.flow.write_paused or self.limit_concurrency is not None or self._is_ending:
            return None
        if self.is_retiring:
            return None
        parser, url = self.parser, self.url
        if parser.get_method() != b"POST" or parser.get_http_version() != "1.1":
            return None
        if b"?" in url or b"%" in url or not self.lane.leads_to(url.decode("latin-1")):
            return None
        size, request_id, hosts = -1, "", 0
        for name, value in self.headers:
            if name == b"content-length":
                size = int(value) if value.isdigit() and len(value) < 6 else -1
            elif name == b"content-type":
                if value not in _JSON:
                    return None
            elif name == b"host":
                hosts += 1
                if value != self._host:
                    if not is_host(value):
                        return None
                    self._host = value
            elif name == b"accept":
                if b"csv" in value:
                    return None
            elif name == b"x-request-id":
                text = value.decode("latin-1")
                request_id = text if SANE_ID.fullmatch(text) else ""
            elif name in _OUT_OF_THE_ORDINARY and not (name == b"connection" and value == b"keep-alive"):
                return None
        if not 0 < size <= MOST_BYTES or hosts != 1:
            return None
        scope = cast("dict[str, Any]", self.scope)
        scope["method"] = "POST"
        scope["path"] = url.decode("ascii")
        scope["raw_path"] = url
        scope["query_string"] = b""
        return Ask(self, scope, request_id)

    def is_waiting_for(self, ask: Ask) -> bool:
        return self._asked is ask

    def write_answer(self, body: bytes, request_id: str) -> None:
        """Send 200 with a JSON body."""
        self._asked = None
        if self.transport.is_closing():
            return
        if self._dated is not self.server_state.default_headers:
            self._dated = self.server_state.default_headers
            lines = b"".join(b"%b: %b\r\n" % header for header in self._dated)
            self._head = b"HTTP/1.1 200 OK\r\n" + lines + b"content-type: application/json\r\n"
        ending = b"connection: close\r\n" if self._is_ending else b""
        self.transport.write(
            b"%bcontent-length: %d\r\nx-request-id: %b\r\n%b\r\n%b"
            % (self._head, len(body), request_id.encode(), ending, body)
        )
        if self._is_ending:
            self.transport.close()
        self.on_response_complete()

    def hand_on(self, ask: Ask, *, is_complete: bool) -> None:
        """Have the application answer a request, whose body may still be coming."""
        self._asked = None
        if self.transport.is_closing():
            return
        self.cycle = RequestResponseCycle(
            scope=cast("HTTPScope", ask.scope),
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=not (self._is_ending or self.is_retiring),
            on_response=self.on_response_complete,
        )
        self.cycle.body += ask.body
        self.cycle.more_body = not is_complete
        if ask.body or is_complete:
            self.cycle.message_event.set()
        self._start_asgi_task(self.cycle, self.app)


def connection_class(lane: QuickLane) -> type[Connection]:
    """The class of connections that use a lane."""
    return type("Connection", (Connection,), {"lane": lane})
