"""Many bodies at once take bounded memory: what finds no room is told so, and small requests always do."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from serve.body_room import FREE_BYTES, BodyRoom, Holding
from serve.gate import answering_problems
from serve.problems import Problem
from serve.settings import ServeSettings

MAX_BODY = 200_000
ROW = [0.5, -1.0, 0.25, 2.0]
LARGE = (
    json.dumps([ROW] * 8_000).encode()[: MAX_BODY - 12_000].rpartition(b",")[0].rpartition(b"]")[0] + b"]]"
)


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 5), st.sampled_from(["add", "release"]), st.integers(1, 60_000)), max_size=60
    )
)
def test_what_is_held_is_bounded_and_all_given_back(steps: list[tuple[int, str, int]]) -> None:
    refused: list[str] = []
    room = BodyRoom(100_000, 100_000, refused.append)
    holdings = [Holding(room) for _ in range(6)]
    brought = [0] * 6
    told: list[tuple[int, str, bool]] = []
    for who, what, n_bytes in steps:
        if what == "release":
            holdings[who].release()
            brought[who] = 0
            continue
        try:
            holdings[who].add(n_bytes)
            brought[who] += n_bytes
        except Problem as problem:
            told.append((problem.status, problem.headers["Retry-After"], brought[who] + n_bytes > FREE_BYTES))
        assert room.held == sum(max(n - FREE_BYTES, 0) for n in brought) <= 100_000
    for holding in holdings:
        holding.release()
    assert room.held == 0
    assert refused == ["bodies"] * len(told)
    assert set(told) <= {(503, "1", True)}


def test_large_bodies_are_worked_on_in_turn_and_one_that_gives_up_holds_up_nobody() -> None:
    async def play() -> list[str]:
        room = BodyRoom(100_000_000, 10_000_000)
        done: list[str] = []

        async def work(name: str, n_bytes: int, may_end: asyncio.Event) -> None:
            holding = Holding(room)
            holding.add(n_bytes)
            try:
                await holding.begin_work()
                done.append(f"{name} begins")
                await may_end.wait()
            finally:
                holding.release()

        ends = {name: asyncio.Event() for name in "abcdef"}
        sizes = {
            "a": 6_000_000,
            "b": 4_000_000,
            "c": 9_000_000,
            "d": 20_000_000,
            "e": 1_500_000,
            "f": 900_000,
        }
        tasks = {name: asyncio.create_task(work(name, sizes[name], ends[name])) for name in "abcdef"}
        for number, name in enumerate(["", "a", "c", "b", "d"]):
            if name == "c":
                tasks["c"].cancel()  # while it waits
            elif name:
                ends[name].set()
            for _ in range(5):
                await asyncio.sleep(0)
            done.append(str(number))
        ends["e"].set()
        ends["f"].set()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        assert room.held == 0
        await room.begin_work(10_000_000)
        return done

    assert asyncio.run(asyncio.wait_for(play(), 20)) == [
        *["a begins", "b begins", "f begins", "0"],  # c waits for room, d and e behind it; f is small
        "1",  # b has ended too little: c needs nine
        "2",  # c has given up; d is larger than all together may be, and waits to be alone
        *["d begins", "3"],
        *["e begins", "4"],
    ]


def test_an_error_answer_keeps_nothing_that_was_parsed() -> None:
    class Parsed:
        alive = 0

        def __init__(self) -> None:
            Parsed.alive += 1

        def __del__(self) -> None:
            Parsed.alive -= 1

    def parse() -> None:
        parsed = Parsed()
        try:
            raise ValueError(f"no rows in {parsed}")
        except ValueError as error:
            raise Problem(422, "wrong") from error

    async def endpoint(_request: Any) -> Any:
        work = asyncio.get_running_loop().run_in_executor(None, parse)
        return await work

    async def ask() -> int:
        request: Any = SimpleNamespace(scope={"path": "/predict"})
        assert (await answering_problems(endpoint)(request)).status_code == 422
        return Parsed.alive

    assert asyncio.run(ask()) == 0


def test_the_room_is_for_one_body_of_the_largest_size_at_least() -> None:
    assert ServeSettings().most_held == 40_000_000
    assert ServeSettings(max_bodies=100_000_000).most_held == 100_000_000
    assert ServeSettings(max_bodies=5_000).most_held == 10_000_000


class Sender:
    """A client that keeps the last byte of its body back."""

    def __init__(
        self, url: str, path: str = "/predict", *, size: int | None = len(LARGE), more: str = ""
    ) -> None:
        address = urlsplit(url)
        self.socket = socket.create_connection((address.hostname, address.port), timeout=30)
        framing = "Transfer-Encoding: chunked" if size is None else f"Content-Length: {size}"
        self.socket.sendall(f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{more}{framing}\r\n\r\n".encode())

    def answer(self) -> tuple[int, http.client.HTTPMessage, Any]:
        found = http.client.HTTPResponse(self.socket)
        found.begin()
        return found.status, found.headers, json.loads(found.read())


@pytest.fixture
def crowded(project: Any, flower_data: Any, running: Any, wait_until: Any) -> Iterator[Any]:
    """A server whose room four clients have taken, and these clients."""
    X, y = flower_data
    project.add("two", LogisticRegression().fit(X, y))
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(running(project, settings={"max_body": MAX_BODY}))
        senders = [Sender(server.url) for _ in range(4)]
        for sender in senders:
            stack.callback(sender.socket.close)
            sender.socket.sendall(LARGE[:-1])
        wait_until(lambda: server.post("/predict", content=LARGE).status_code == 503, "the room to be full")
        yield server, senders


def test_bodies_without_room_are_503_while_rows_pass_and_all_others_are_answered(
    crowded: Any, wait_until: Any
) -> None:
    server, senders = crowded
    row = json.dumps(ROW).encode()
    refused = server.post("/predict", content=LARGE)
    assert refused.headers["retry-after"] == "1"
    assert refused.headers["content-type"] == "application/problem+json"
    assert server.metric('workbench_requests_refused_total{reason="bodies"}') >= 1
    assert server.post("/predict", content=row).status_code == 200
    assert server.post("/predict?common=way", content=row).status_code == 200
    assert server.post("/invocations", {"inputs": [ROW] * 50}).status_code == 200
    assert server.post("/predict/batch", [ROW] * 50).status_code == 200
    for path in ("/predict/batch", "/invocations", "/v2/models/two/infer", "/feedback"):
        assert server.post(path, content=LARGE).status_code == 503, path

    # One that doesn't say how much it sends is told once there is too much; its connection goes on.
    for path in ("/predict", "/predict/batch"):
        unknown = Sender(server.url, path, size=None)
        unknown.socket.sendall(b"%x\r\n%b\r\n0\r\n\r\n" % (len(LARGE), LARGE))
        assert unknown.answer()[0] == 503
        unknown.socket.sendall(
            b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(row), row)
        )
        assert unknown.answer()[0] == 200
        unknown.socket.close()

    # One that asks first is told before it sends.
    asking = Sender(server.url, more="Expect: 100-continue\r\n")
    status, headers, _ = asking.answer()
    assert (status, headers["connection"]) == (503, "close")
    asking.socket.close()

    # Those that came first get their answers, one that leaves gives its room back, and then there is room.
    senders[0].socket.close()
    wait_until(lambda: server.post("/predict", content=LARGE).status_code == 200, "room")
    for sender in senders[1:]:
        sender.socket.sendall(LARGE[-1:])
        status, _, answer = sender.answer()
        assert (status, len(answer["predictions"])) == (200, len(json.loads(LARGE)))
    for path in ("/predict", "/predict/batch"):
        for _ in range(6):
            assert server.post(path, content=LARGE).status_code == 200
