"""Connections: answers in order however many requests come at once, and no client holds one for ever."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from sklearn.linear_model import LogisticRegression

ROW = json.dumps([0.5, -1.0, 0.25, 2.0]).encode()
HEAD = b"Host: localhost\r\nContent-Type: application/json\r\n"
LOOK = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
TIMEOUT_S = 0.5


def asking(body: bytes = ROW, more: bytes = b"", path: bytes = b"/predict") -> bytes:
    return b"POST %b HTTP/1.1\r\n%b%bContent-Length: %d\r\n\r\n%b" % (path, HEAD, more, len(body), body)


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory, flower_data: Any, running: Any) -> Iterator[Any]:
    """A server with little patience and few connections."""
    from tests.serve.conftest import Project

    project = Project(tmp_path_factory.mktemp("strict"))
    X, y = flower_data
    project.add("two", LogisticRegression().fit(X, y))
    with running(project, settings={"timeout": TIMEOUT_S, "concurrency": 64}) as server:
        yield server


@contextlib.contextmanager
def connected(server: Any, receive_bytes: int | None = None) -> Iterator[socket.socket]:
    address = urlsplit(server.url)
    with socket.socket() as client:
        if receive_bytes is not None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        client.settimeout(30)
        client.connect((address.hostname, address.port))
        yield client


def received(client: socket.socket, count: int) -> list[bytes]:
    """The status and body of so many answers."""
    data = b""
    answers: list[bytes] = []
    while len(answers) < count:
        head, separator, rest = data.partition(b"\r\n\r\n")
        length = 0
        if separator:
            lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
            length = int(lines.get(b"content-length", b"0"))
        if separator and len(rest) >= length:
            answers.append(head.split()[1] + b" " + rest[:length])
            data = rest[length:]
            continue
        more = client.recv(65_536)
        assert more, data[:200]
        data += more
    assert not data
    return answers


def test_requests_that_come_all_at_once_are_answered_in_order(strict: Any) -> None:
    chunked = b"POST /predict/batch HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    chunked += b"%x\r\n[%b]\r\n0\r\n\r\n" % (len(ROW) + 2, ROW)
    wrong = asking(b'{"a": 1}' + b" " * 20_000)
    requests = [asking(), LOOK, wrong, chunked.replace(b"/batch", b""), LOOK, asking(path=b"/nowhere")] * 40
    with connected(strict) as client:
        client.sendall(b"".join(requests))
        answers = received(client, len(requests))
    assert [answer[:3] for answer in answers] == [b"200", b"200", b"422", b"200", b"200", b"404"] * 40
    assert [b"healthy" in answer for answer in answers] == [False, True, False, False, True, False] * 40


@pytest.mark.parametrize("kind", ["documents", "rows"])
def test_a_client_that_takes_no_answer_is_not_read_from_and_then_cut(
    strict: Any, wait_until: Any, kind: str
) -> None:
    unread = 'workbench_requests_refused_total{reason="unread"}'
    before = strict.metric(unread)
    rows = asking(json.dumps([[0.5, -1.0, 0.25, 2.0]] * 10_000).encode())
    flood = rows if kind == "rows" else LOOK.replace(b"/health", b"/openapi.json") * 500
    with connected(strict, 4_096) as deaf:
        deaf.settimeout(2)
        with contextlib.suppress(OSError):  # it takes no more, or has cut the connection
            for _ in range(200):
                deaf.sendall(flood)
            raise AssertionError("the server takes in whatever comes")
        wait_until(lambda: strict.metric(unread) > before, "the connection is cut")
    assert strict.post("/predict", json.loads(ROW)).status_code == 200
    wait_until(lambda: strict.metric("workbench_requests_in_flight") <= 1, "nothing is left")


def test_a_body_that_nobody_waits_for_has_to_come_in_time(strict: Any) -> None:
    with connected(strict) as client:
        client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n")
        assert received(client, 1)[0].startswith(b"200")
        with contextlib.suppress(ConnectionError):
            assert client.recv(1) == b""


def test_the_oldest_idle_connections_make_room_for_new_ones(strict: Any) -> None:
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(connected(strict))
        first.sendall(LOOK)
        received(first, 1)
        for number in range(280):
            client = stack.enter_context(connected(strict))
            client.sendall(LOOK if number % 2 else b"GET /hea")
            if number % 2:
                received(client, 1)
        newest = stack.enter_context(connected(strict))
        newest.sendall(asking())
        assert received(newest, 1)[0].startswith(b"200")
        with contextlib.suppress(ConnectionError):
            assert first.recv(1) == b""
    assert strict.metric('workbench_requests_refused_total{reason="connections"}') > 0


def test_bodies_that_come_slowly_keep_nobody_from_being_answered(strict: Any) -> None:
    head = b"POST /predict HTTP/1.1\r\n" + HEAD + b"Content-Length: 5000\r\n\r\n{"
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(connected(strict)) for _ in range(70)]
        for client in slow:
            client.sendall(head)
        newest = stack.enter_context(connected(strict))
        newest.sendall(asking())
        assert received(newest, 1)[0].startswith(b"200")
        assert {received(client, 1)[0][:3] for client in slow} == {b"408"}


def test_more_headers_than_anybody_sends_are_refused_as_they_come(strict: Any) -> None:
    for count, status in ((200, b"200"), (300, b"431")):
        with connected(strict) as client:
            client.sendall(LOOK[:-2] + b"a: b\r\n" * count + b"\r\n")
            assert received(client, 1)[0].startswith(status)


def test_the_offer_of_another_protocol_is_passed_over_and_the_body_is_read(strict: Any) -> None:
    """Java's HttpClient offers HTTP/2 with its first request."""
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n"
    with connected(strict) as client:
        client.sendall(asking(more=offer) + asking())
        assert [answer[:3] for answer in received(client, 2)] == [b"200", b"200"]
        request = asking(more=offer)
        client.sendall(request[:-10])
        client.sendall(request[-10:])
        assert received(client, 1)[0].startswith(b"200")
