"""The short cut of the common request: the same answers, whatever way the bytes come in."""

from __future__ import annotations

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from store.predictions import PredictionReader

RECORD = {"a": 0.5, "b": -1, "c d": 2.25, "é": 3}


def request(body: Any, path: str = "/models/two/predict", version: str = "1.1", **headers: str) -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"POST {path} HTTP/{version}", "Host: localhost", f"Content-Length: {len(content)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + content


class Client:
    """A connection whose bytes are sent as the test wants them."""

    def __init__(self, url: str) -> None:
        host, port = url.removeprefix("http://").split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=30)
        self._rest = b""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> Client:
        self.socket.sendall(data)
        return self

    def answer(self) -> tuple[int, dict[str, str], Any]:
        """Status, headers and parsed body of the next answer."""
        head, _, rest = self._until(lambda data: b"\r\n\r\n" in data).partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        size = int(headers["content-length"])
        self._rest = rest
        body = self._until(lambda data: len(data) >= size)
        self._rest = body[size:]
        return int(first.split()[1]), headers, json.loads(body[:size])

    def _until(self, is_enough: Any) -> bytes:
        data = self._rest
        while not is_enough(data):
            piece = self.socket.recv(65_536)
            assert piece, f"the connection ended after {data!r}"
            data += piece
        return data


@pytest.fixture
def client(server: Any) -> Any:
    with Client(server.url) as client:
        yield client


@pytest.fixture
def expected(server: Any) -> Any:
    """The probability of RECORD by the way of batches."""
    return server.post("/models/two/predict", {"records": [RECORD]}).json()["predictions"][0]["probability"]


@pytest.mark.parametrize("body", [RECORD, {"features": RECORD}, {"features": list(RECORD.values())}])
def test_a_record_in_any_shape_is_answered_as_in_a_batch(client: Client, expected: float, body: Any) -> None:
    status, headers, answer = client.send(request(body, content_type="application/json")).answer()
    assert status == 200
    assert answer["probability"] == pytest.approx(expected, rel=1e-15)
    assert set(answer) == {
        "prediction",
        "probability",
        "confidence",
        "model",
        "version",
        "prediction_id",
        "latency_ms",
    }
    assert headers["content-type"] == "application/json"
    assert headers["x-request-id"] == answer["prediction_id"]


@pytest.mark.parametrize("cut", [10, 60, -30, -1])
def test_a_request_that_comes_in_parts(client: Client, server: Any, cut: int) -> None:
    whole = request(RECORD)
    client.send(whole[:cut])
    server.get("/health/live")  # the server has seen the first part by then
    assert client.send(whole[cut:]).answer()[0] == 200


def test_requests_sent_without_waiting_are_answered_in_their_order(client: Client) -> None:
    bodies = [
        RECORD,
        b"{",
        {"features": [1, 2]},
        [RECORD, RECORD],
        RECORD,
        {"features": ["x", 1, 2, 3]},
        RECORD,
    ]
    client.send(b"".join(request(body, x_request_id=f"r{n}") for n, body in enumerate(bodies)))
    answers = [client.answer() for _ in bodies]
    assert [status for status, _, _ in answers] == [200, 400, 422, 200, 200, 422, 200]
    assert [headers["x-request-id"] for _, headers, _ in answers] == [f"r{n}" for n in range(len(bodies))]


def test_nobody_fails_for_a_neighbour(server: Any) -> None:
    def ask(number: int) -> list[int]:
        with Client(server.url) as client:
            body = RECORD if number % 3 else {**RECORD, "a": "many"}
            return [client.send(request(body)).answer()[0] for _ in range(20)]

    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(ask, range(6)))
    assert answers == [[200 if number % 3 else 422] * 20 for number in range(6)]


def test_requests_are_logged_with_their_own_values_and_ids(client: Client, several_models: Any) -> None:
    ids = []
    for number in range(3):
        body = {**RECORD, "a": number}
        ids.append(client.send(request(body, x_request_id=f"own-{number}")).answer()[2]["prediction_id"])
    table = PredictionReader(several_models.layout).query(
        "SELECT prediction_id, numeric, request_id FROM predictions WHERE request_id LIKE 'own-%' ORDER BY 1"
    )
    assert [list(row) for row in table.rows] == [
        [prediction_id, [float(number), -1.0, 2.25, 3.0], f"own-{number}"]
        for number, prediction_id in enumerate(ids)
    ]


def test_models_that_need_a_frame_and_missing_values_go_the_same_way(
    client: Client, several_models: Any
) -> None:
    body = {"orders": 2, "plan": "pro", "active": True}
    status, _, answer = client.send(request(body, "/models/mixed/predict")).answer()
    assert status == 200
    table = PredictionReader(several_models.layout).query(
        f"SELECT numeric, categorical FROM predictions WHERE prediction_id = '{answer['prediction_id']}'"
    )
    assert [list(row) for row in table.rows] == [[[None, 2.0, 1.0], ["pro"]]]


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/models/two/predict?pretty=1", {}),
        ("/models/tw%6f/predict", {}),
        ("/models/two/predict", {"Accept": "text/csv"}),
        ("/models/two/predict", {"Content-Type": "text/csv"}),
        ("/models/two/predict", {"Content-Encoding": "identity"}),
        ("/models/two/predict", {"Origin": "http://localhost"}),
        ("/models/nobody/predict", {}),
        ("/models/two/predict/", {}),
    ],
)
def test_what_is_out_of_the_ordinary_goes_the_common_way(
    client: Client, path: str, headers: dict[str, str]
) -> None:
    """The connection goes on after it."""
    client.send(request(RECORD, path, **headers))
    head = client._until(lambda data: b"\r\n\r\n" in data)
    assert head.startswith(b"HTTP/1.1 ")


def test_an_old_client_has_its_connection_closed(client: Client) -> None:
    status, headers, _ = client.send(request(RECORD, version="1.0")).answer()
    assert (status, headers["connection"]) == (200, "close")


def test_what_is_no_http_comes_after_the_answers_before_it(client: Client) -> None:
    client.send(request(RECORD) + b"\x00\x01 nothing\r\n\r\n")
    assert [client.answer()[0], client.answer()[0]] == [200, 400]
