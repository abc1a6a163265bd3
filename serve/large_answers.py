"""Answers of many rows: made block by block, and kept out of memory while their clients take them."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from serve.outbox import Outbox
from serve.problems import Problem

LARGE_BYTES = 262_144
"""An answer that is smaller is sent as it is."""


class LargeAnswer(Response):
    """Sends what its `parts` are, which are made when it is kept."""

    def __init__(self, parts: Iterable[bytes], media_type: str | None) -> None:
        super().__init__(media_type=media_type)
        self._parts = parts
        self._outbox: Outbox | None = None

    def keep(self, outbox: Outbox) -> None:
        """Make all of it; Problem 503 where there is no room for it."""
        self._outbox = outbox
        parts, self._parts = self._parts, ()
        for part in parts:
            if not outbox.put(part):
                outbox.close()
                raise Problem(
                    503,
                    "the answers that other clients don't take leave no room for this one",
                    headers={"Retry-After": "5"},
                    reason="disk",
                )
        self.headers["content-length"] = str(outbox.n_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        outbox = self._outbox
        assert outbox is not None
        try:
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            while piece := outbox.take():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            outbox.close()


def as_large(response: Response) -> LargeAnswer | None:
    """An answer as one to keep; None where it is small enough to be sent as it is."""
    if isinstance(response, LargeAnswer):
        return response
    if len(response.body) <= LARGE_BYTES:
        return None
    large = LargeAnswer([bytes(response.body)], response.media_type)
    large.status_code, large.raw_headers = response.status_code, response.raw_headers
    return large
