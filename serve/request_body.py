"""The bytes of a request's body: decoded, never larger or slower than allowed."""

from __future__ import annotations

import asyncio
import contextlib
import time
import zlib
from collections.abc import AsyncIterator, Iterator

from starlette.requests import ClientDisconnect, Request

from serve.bodies import body_format
from serve.body_room import LEAST_BYTES_A_SECOND, holding_of
from serve.body_weight import BodyWeight
from serve.problems import Problem, shown

PIECE_BYTES = 65_536
_DISCARDED_LIMITS = 4
"""How many times the limit of a body is read and thrown away before its connection is cut."""
_ENCODINGS = frozenset({"gzip", "x-gzip", "deflate"})


async def read_body(request: Request, limit: int, timeout_s: float) -> bytes:
    """The whole body; Problem 413 when it passes `limit` bytes or means too many objects, 408 when it is too
    slow, 503 when there is no room beside the bodies of others, or too much to do with them. It counts as
    held until its request ends.

    A client that is told while it still sends may see a reset connection where the answer is. So a body that
    is too large is let come to its end and thrown away, up to `_DISCARDED_LIMITS` times the limit.
    """
    least = declared_bytes(request)
    if least > limit and (waits_to_be_told(request) or least > _DISCARDED_LIMITS * limit):
        raise too_large(limit)
    check_room(request, limit)
    holding = holding_of(request)
    chunks: list[bytes] = []
    weight = BodyWeight(has_lines=_has_lines(request))
    size = 0
    try:
        async with asyncio.timeout(timeout_s):
            with holding.coming():
                async for chunk in _decoded(request):
                    size += len(chunk)
                    if size > _DISCARDED_LIMITS * limit:
                        break
                    if size > limit:
                        chunks.clear()
                        holding.release()
                    else:
                        holding.add(len(chunk))
                        weight.add(chunk)
                        chunks.append(chunk)
    except TimeoutError:
        raise _too_slow(f"the body took longer than {timeout_s:g} s") from None
    except ClientDisconnect:
        raise _ended() from None
    if size > limit:
        raise too_large(limit)
    weight.check()
    try:
        async with asyncio.timeout(timeout_s):
            await holding.begin_work()
    except TimeoutError:
        raise Problem(
            503,
            f"the bodies of other requests kept the worker busy for {timeout_s:g} s",
            headers={"Retry-After": "5"},
            reason="timeout",
        ) from None
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _has_lines(request: Request) -> bool:
    """Whether each line of the body is a record; a type that is not known is refused elsewhere."""
    with contextlib.suppress(Problem):
        return body_format(request.headers.get("content-type", "")) != "json"
    return False


def declared_bytes(request: Request) -> int:
    """How large a body says it is; 0 where it doesn't."""
    declared = request.headers.get("content-length", "")
    return int(declared[:18]) if declared.isdigit() else 0


def waits_to_be_told(request: Request) -> bool:
    """Whether the client sends its body only once it is asked for."""
    return "expect" in request.headers


def check_room(request: Request, most: int) -> None:
    """Problem 503 before a body comes that finds no room now. What comes all the same is thrown away."""
    declared = declared_bytes(request)
    if declared > most:
        return
    try:
        holding_of(request).expect(declared)
    except Problem as problem:
        if waits_to_be_told(request):
            problem.headers["Connection"] = "close"  # nobody knows whether it sends the body now
        raise


async def read_blocks(request: Request, timeout_s: float, block_bytes: int) -> AsyncIterator[bytes]:
    """A body of any size in blocks of about `block_bytes`; only the time spent waiting for it counts.

    Problem 408 when nothing comes for `timeout_s`, or less than `LEAST_BYTES_A_SECOND` over a longer time.
    """
    pieces: list[bytes] = []
    size = received = 0
    waited = 0.0
    body = _decoded(request)
    holding = holding_of(request)
    while True:
        started = time.monotonic()
        try:
            async with asyncio.timeout(timeout_s):
                with holding.coming():
                    piece = await anext(body, None)
        except TimeoutError:
            raise _too_slow(f"nothing of the body came for {timeout_s:g} s") from None
        except ClientDisconnect:
            raise _ended() from None
        if piece is None:
            break
        waited += time.monotonic() - started
        received += len(piece)
        if received < (waited - timeout_s) * LEAST_BYTES_A_SECOND:
            raise _too_slow(f"the body comes at less than {LEAST_BYTES_A_SECOND} bytes a second")
        pieces.append(piece)
        size += len(piece)
        if size >= block_bytes:
            yield b"".join(pieces)
            pieces, size = [], 0
    if pieces:
        yield b"".join(pieces)


async def _decoded(request: Request) -> AsyncIterator[bytes]:
    encoding = request.headers.get("content-encoding", "").strip().lower()
    if encoding in ("", "identity"):
        async for piece in request.stream():
            if piece:
                yield piece
        return
    if encoding not in _ENCODINGS:
        raise Problem(
            415,
            f"content encoding {shown(encoding)} is not read here; send it plain or with gzip",
            headers={"Accept-Encoding": "gzip, deflate, identity"},
        )
    decoder = _Decoder()
    async for piece in request.stream():
        for decoded in decoder.feed(piece):
            yield decoded
            await asyncio.sleep(0)  # little can become a lot, and others want an answer meanwhile
    decoder.finish()


class _Decoder:
    """Takes gzip or zlib in; what comes out at once is bounded however far it expands."""

    def __init__(self) -> None:
        self._zlib = self._new()
        self._is_begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._zlib.eof:  # files put one behind another are one file
                self._zlib = self._new()
            self._is_begun = True
            try:
                decoded = self._zlib.decompress(data, PIECE_BYTES)
            except zlib.error:
                raise Problem(400, "the body is not what its Content-Encoding says") from None
            data = self._zlib.unconsumed_tail or self._zlib.unused_data
            if decoded:
                yield decoded

    def finish(self) -> None:
        if self._is_begun and not self._zlib.eof:
            raise Problem(400, "the compressed body ends too early")

    @staticmethod
    def _new() -> zlib._Decompress:
        return zlib.decompressobj(wbits=47)  # gzip or zlib, whichever it begins with


def too_large(limit: int) -> Problem:
    """The problem of a body that is."""
    # The rest of the body may be unread, so the connection can't be used for another request.
    return Problem(413, f"the body is larger than {limit} bytes", headers={"Connection": "close"})


def _too_slow(detail: str) -> Problem:
    return Problem(408, detail, headers={"Connection": "close"})


def _ended() -> Problem:
    return Problem(400, "the connection ended before the body was complete", reason="client_gone")
