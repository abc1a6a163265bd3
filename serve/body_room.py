"""How much of request bodies one worker holds at once: many within the limit of one may be too much.

What a body becomes once it is parsed may take thirty times its size, so of large ones only as many bytes are
worked on at once as the largest may have; the others wait for their turn.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from serve.problems import Problem

if TYPE_CHECKING:
    from starlette.requests import Request

FREE_BYTES = 16_384
"""What each request may bring beside all others: single rows pass, however full it is."""
LEAST_BYTES_A_SECOND = 500
"""How fast a body in parts has to come, and an answer to be taken, after the time-out's grace."""
_LARGE_BYTES = 1_000_000
"""Smaller bodies don't wait for their turn."""


class BodyRoom:
    """Counts the bytes that requests hold; each has a `Holding`.

    At most `most` are held, and of large bodies `most_in_work` are worked on, or one body that has more.
    """

    def __init__(
        self, most: int, most_in_work: int, on_refused: Callable[[str], None] = lambda _reason: None
    ) -> None:
        self.most = most
        self._most_in_work = most_in_work
        self._in_work = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._on_refused = on_refused
        """Told the reason of each refusal."""
        self.held = 0
        """Bytes held now, beyond what is free for each request."""
        self.n_coming = 0
        """Requests whose body still comes: they keep nobody from being answered."""

    def take(self, n_bytes: int) -> None:
        """Count bytes as held; Problem 503 where there is no room for them."""
        self.check(n_bytes)
        self.held += n_bytes

    def check(self, n_bytes: int) -> None:
        """Problem 503 where there is no room for as many bytes."""
        if self.held + n_bytes > self.most:
            self._on_refused("bodies")
            raise Problem(
                503,
                f"the bodies of other requests leave no room for this one: a worker holds {self.most} bytes",
                headers={"Retry-After": "1"},
                reason="bodies",
            )

    async def begin_work(self, n_bytes: int) -> None:
        """Wait until as many bytes may be worked on; `end_work` lets others."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((n_bytes, turn))
        self._give_turns()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._give_turns()
            else:
                self.end_work(n_bytes)
            raise

    def end_work(self, n_bytes: int) -> None:
        self._in_work -= n_bytes
        self._give_turns()

    def _give_turns(self) -> None:
        """In the order they came, so that the largest isn't passed over for ever."""
        while self._waiting:
            n_bytes, turn = self._waiting[0]
            if not turn.done():
                if self._in_work and self._in_work + n_bytes > self._most_in_work:
                    return
                self._in_work += n_bytes
                turn.set_result(None)
            self._waiting.popleft()


class Holding:
    """What one request holds of the room."""

    def __init__(self, room: BodyRoom) -> None:
        self._room = room
        self._n_bytes = 0
        self._counted = 0
        self._in_work = 0

    @contextmanager
    def coming(self) -> Iterator[None]:
        """While more of the body is waited for."""
        self._room.n_coming += 1
        try:
            yield
        finally:
            self._room.n_coming -= 1

    def expect(self, n_bytes: int) -> None:
        """Problem 503 where a body of that size would find no room now: before it comes, that is."""
        self._room.check(max(n_bytes - FREE_BYTES, 0))

    def add(self, n_bytes: int) -> None:
        """More of the body has come; Problem 503 where there is no room for it."""
        more = max(self._n_bytes + n_bytes - FREE_BYTES, 0) - self._counted
        if more > 0:
            self._room.take(more)
            self._counted += more
        self._n_bytes += n_bytes

    async def begin_work(self) -> None:
        """Wait for this body's turn, where it is a large one."""
        if self._n_bytes > _LARGE_BYTES:
            await self._room.begin_work(self._n_bytes)
            self._in_work = self._n_bytes

    def release(self) -> None:
        """All of it was let go."""
        self._room.held -= self._counted
        in_work, self._in_work = self._in_work, 0
        self._n_bytes = self._counted = 0
        if in_work:
            self._room.end_work(in_work)


def holding_of(request: Request) -> Holding:
    """What the gate gave a request to count its body with."""
    holding: Holding = request.scope["holding"]
    return holding
