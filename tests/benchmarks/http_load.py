"""A load generator for HTTP servers on this machine that costs little beside them."""

from __future__ import annotations

import asyncio
import re
import time
from typing import cast
from urllib.parse import urlsplit

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


class Connection(asyncio.Protocol):
    """Sends one request after the other on a connection that stays open."""

    def __init__(self, requests: list[bytes], ends_at: float, latencies: list[float]) -> None:
        self._requests = requests
        self._ends_at = ends_at
        self._latencies = latencies
        self._buffer = bytearray()
        self._expected: int | None = None
        self._sent_at = 0.0
        self._count = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._expected is None:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            found = _LENGTH.search(self._buffer, 0, end)
            if found is None:
                self._fail(f"no Content-Length: {self._buffer[:500]!r}")
                return
            self._expected = end + 4 + int(found[1])
        if len(self._buffer) < self._expected:
            return
        if self._buffer[9:12] != b"200":
            self._fail(self._buffer.decode("utf-8", "replace")[:500])
            return
        now = time.perf_counter()
        self._latencies.append(now - self._sent_at)
        self._buffer.clear()
        self._expected = None
        if now < self._ends_at:
            self._send()
        else:
            self.done.set_result(None)
            self._transport.close()

    def connection_lost(self, _error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(ConnectionError("the server closed the connection"))

    def _send(self) -> None:
        self._count += 1
        self._sent_at = time.perf_counter()
        self._transport.write(self._requests[self._count % len(self._requests)])

    def _fail(self, message: str) -> None:
        self.done.set_exception(RuntimeError(message))
        self._transport.close()


async def _load(url: str, requests: list[bytes], connections: int, seconds: float) -> list[float]:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 80
    latencies: list[float] = []
    ends_at = time.perf_counter() + seconds
    loop = asyncio.get_running_loop()
    opened = [
        await loop.create_connection(lambda: Connection(requests, ends_at, latencies), host, port)
        for _ in range(connections)
    ]
    await asyncio.gather(*(protocol.done for _, protocol in opened))
    return latencies


def load(url: str, requests: list[bytes], connections: int, seconds: float) -> list[float]:
    """Latencies in seconds of all requests sent within the time; the requests are sent in turn.

    RuntimeError with the beginning of the answer for anything but 200.
    """
    import uvloop

    return uvloop.run(_load(url, requests, connections, seconds))


def post(path: str, body: bytes) -> bytes:
    """A request as it goes over the wire."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
