"""Batches of any size: read and answered in parts, in bounded memory, with errors that nobody overlooks."""

from __future__ import annotations

import csv
import gzip
import http.client
import io
import json
import select
import socket
import threading
from collections.abc import Iterator
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import psutil
import pytest

CSV = {"Content-Type": "text/csv"}
LINES = {"Content-Type": "application/x-ndjson"}
HEADER = "a,b,c d,é\n"
BAD_ROW = "1,2,x,4\n"


@pytest.fixture(scope="module")
def small(several_models: Any, running: Any) -> Iterator[Any]:
    """A server with low limits, so that little is a lot."""
    with running(several_models, settings={"max_body": 20_000, "timeout": 2.0}) as server:
        yield server


def table(n_rows: int) -> np.ndarray:
    return np.random.default_rng(3).normal(size=(n_rows, 4)).round(4)


def as_csv(rows: np.ndarray) -> bytes:
    return (HEADER + "\n".join(",".join(map(str, row)) for row in rows.tolist()) + "\n").encode()


def as_lines(rows: np.ndarray) -> bytes:
    return b"\n".join(json.dumps(row).encode() for row in rows.tolist())


def as_records(rows: np.ndarray) -> bytes:
    names = ["a", "b", "c d", "é"]
    return json.dumps({"records": [dict(zip(names, row, strict=True)) for row in rows.tolist()]}).encode()


def in_pieces(body: bytes, size: int = 7_001) -> Iterator[bytes]:
    """Sent so, a body doesn't say how long it is."""
    for start in range(0, len(body), size):
        yield body[start : start + size]


def keep(pieces: Iterator[str], kept: list[str]) -> None:
    """Keep what comes, also when the next piece never does."""
    for piece in pieces:
        kept.append(piece)


@pytest.fixture(scope="module")
def rows_and_expected(several_models: Any) -> tuple[np.ndarray, list[float]]:
    from store.model_files import load_model

    rows = table(9_000)
    model = load_model(several_models.registry.version("two", "champion").model_dir)
    return rows, model.estimator.predict_proba(rows)[:, 1].tolist()


@pytest.mark.parametrize("answer_type", ["application/json", "application/x-ndjson", "text/csv"])
@pytest.mark.parametrize(
    ("body_of", "sent"), [(as_csv, CSV), (as_lines, LINES), (as_records, {})], ids=["csv", "lines", "json"]
)
def test_every_row_is_answered_in_order_in_every_format(
    small: Any, rows_and_expected: Any, body_of: Any, sent: dict[str, str], answer_type: str
) -> None:
    rows, expected = rows_and_expected
    answer = small.post(
        "/predict/batch", content=in_pieces(body_of(rows)), headers={**sent, "Accept": answer_type}
    )
    assert answer.headers["content-type"].startswith(answer_type)
    if answer_type == "text/csv":
        answers: Any = list(csv.DictReader(io.StringIO(answer.text)))
    elif answer_type == "application/json":
        answers = answer.json()["predictions"]
    else:
        answers = [json.loads(line) for line in answer.text.splitlines()]
    assert [float(one["probability"]) for one in answers] == pytest.approx(expected, abs=1e-12)
    assert len({one["prediction_id"] for one in answers}) == len(rows)


def test_a_batch_within_the_limit_is_all_or_nothing(small: Any, several_models: Any) -> None:
    body = as_csv(table(300)) + BAD_ROW.encode()
    assert len(body) < 20_000
    counted = 'workbench_predictions_total{model="two",role="champion",status="success"'
    before = small.metric(counted)
    answer = small.post("/predict/batch", content=in_pieces(body), headers=CSV)
    assert answer.status_code == 422
    assert answer.json()["errors"][0] == {
        "row": 300,
        "field": "c d",
        "message": 'expected a number, got "x"',
        "expected": "a number",
    }
    assert small.metric(counted) == before


def test_what_is_wrong_far_inside_ends_the_answer_with_the_problem(small: Any) -> None:
    body = as_csv(table(20_000)) + BAD_ROW.encode() + as_csv(table(10))[len(HEADER) + 1 :]
    lines = small.post(
        "/predict/batch", content=in_pieces(body), headers={**CSV, "Accept": "application/x-ndjson"}
    )
    assert lines.status_code == 200
    *answers, last = [json.loads(line) for line in lines.text.splitlines()]
    assert 0 < len(answers) <= 20_000
    assert last["problem"]["status"] == 422
    assert last["problem"]["errors"][0]["row"] == 20_000
    assert last["problem"]["request_id"] == lines.headers["x-request-id"]
    document = small.post("/predict/batch", content=in_pieces(body), headers=CSV).json()
    assert document["problem"]["detail"] == last["problem"]["detail"]
    assert 0 < len(document["predictions"]) <= 20_000


def test_csv_with_a_problem_inside_is_cut_off(small: Any) -> None:
    body = as_csv(table(20_000)) + BAD_ROW.encode()
    pieces: list[str] = []
    with (
        small.client.stream(
            "POST", "/predict/batch", content=in_pieces(body), headers={**CSV, "Accept": "text/csv"}
        ) as answer,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        keep(answer.iter_text(), pieces)
    assert (
        "".join(pieces).splitlines()[-1].startswith('"problem: row 20000: c d: expected a number, got ""x""')
    )


def test_memory_stays_where_it_is_for_a_body_of_any_size(
    several_models: Any, running: Any, rows_and_expected: Any
) -> None:
    rows, _ = rows_and_expected
    block = as_csv(np.tile(rows, (2, 1)))[len(HEADER) + 1 :]
    n_blocks = 10
    with running(several_models, settings={"max_body": 20_000}) as server:
        process = psutil.Process(server.process.pid)
        n_bytes = 0

        def body(blocks: int) -> Iterator[bytes]:
            nonlocal n_bytes
            yield HEADER.encode()
            for _ in range(blocks):
                n_bytes += len(block)
                yield block

        server.post("/predict/batch", content=body(1), headers=CSV)
        before, n_bytes, n_answers = process.memory_info().rss, 0, 0
        most = 0
        options: Any = {"content": body(n_blocks), "headers": {**CSV, "Accept": "application/x-ndjson"}}
        with server.client.stream("POST", "/predict/batch", **options) as answer:
            for number, piece in enumerate(answer.iter_bytes()):
                n_answers += piece.count(b"\n")
                if number % 50 == 0:
                    most = max(most, process.memory_info().rss)
    assert n_answers == n_blocks * 18_000
    grown = most - before
    assert grown < 25_000_000, f"{grown:,} bytes for a body of {n_bytes:,}"


def test_a_client_that_sends_all_before_it_reads_is_answered(small: Any) -> None:
    rows = table(60_000)
    connection = http.client.HTTPConnection(urlsplit(small.url).netloc, timeout=60)
    connection.request(
        "POST",
        "/predict/batch",
        in_pieces(as_csv(rows), 65_536),
        {**CSV, "Accept": "application/x-ndjson"},
        encode_chunked=True,
    )
    answer = connection.getresponse()
    assert answer.read().count(b"prediction_id") == 60_000
    connection.close()


def test_behind_a_proxy_the_answer_waits_for_the_end_of_the_body(small: Any, wait_until: Any) -> None:
    """nginx and Caddy send no more of a body once its answer has begun."""
    rows = table(12_000)
    body = as_csv(rows)
    before = small.metric("predictions_total")
    host, port = small.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as proxy:
        head = f"POST /predict/batch HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-For: 192.0.2.7\r\n"
        head += f"Content-Type: text/csv\r\nAccept: text/csv\r\nContent-Length: {len(body)}\r\n\r\n"
        proxy.sendall(head.encode() + body[: len(body) // 2])
        wait_until(lambda: small.metric("predictions_total") - before >= 4_000, "answers to the first half")
        assert not select.select([proxy], [], [], 0)[0]
        proxy.sendall(body[len(body) // 2 :])
        answer = http.client.HTTPResponse(proxy)
        answer.begin()
        assert answer.status == 200
        assert answer.headers["content-length"]
        assert len(answer.read().splitlines()) == 1 + len(rows)
    late = as_csv(rows) + BAD_ROW.encode()
    wrong = small.post("/predict/batch", content=late, headers={**CSV, "X-Forwarded-For": "192.0.2.7"})
    assert wrong.status_code == 422
    assert wrong.json()["errors"][0]["row"] == len(rows)


@pytest.mark.parametrize("accepted", ["application/json", "text/csv", "application/x-ndjson"])
def test_a_client_of_http_1_0_gets_its_answer_whole(small: Any, accepted: str) -> None:
    body = gzip.compress(as_csv(table(5_000)))
    host, port = small.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as client:
        head = f"POST /predict/batch HTTP/1.0\r\nContent-Type: text/csv\r\nAccept: {accepted}\r\n"
        head += f"Content-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
        client.sendall(head.encode() + body)
        head_lines, _, content = b"".join(iter(lambda: client.recv(65_536), b"")).partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head_lines
    assert b"content-length: %d" % len(content) in head_lines
    assert content.count(b"two") == 5_000


def test_a_compressed_body_is_read(small: Any) -> None:
    body = gzip.compress(as_csv(table(5_000)))
    answer = small.post("/predict/batch", content=body, headers={**CSV, "Content-Encoding": "gzip"})
    assert len(answer.json()["predictions"]) == 5_000
    cut = small.post("/predict/batch", content=body[:-20], headers={**CSV, "Content-Encoding": "gzip"})
    # Its records were all there, so the answer had begun.
    assert cut.status_code == 400 or cut.json()["problem"]["status"] == 400
    wrong = small.post("/predict/batch", content=b"a,b", headers={**CSV, "Content-Encoding": "gzip"})
    assert wrong.status_code == 400
    unknown = small.post("/predict/batch", content=b"a", headers={**CSV, "Content-Encoding": "br"})
    assert (unknown.status_code, unknown.headers["accept-encoding"]) == (415, "gzip, deflate, identity")


def test_a_bomb_costs_its_limit_and_no_more(small: Any) -> None:
    bomb = gzip.compress(b" " * 30_000_000)
    answer = small.post("/predict", content=bomb, headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 413
    batch = small.post("/predict/batch", content=bomb, headers={**LINES, "Content-Encoding": "gzip"})
    assert batch.status_code == 413


def test_a_limit_of_its_own_may_be_set(several_models: Any, running: Any) -> None:
    with running(several_models, settings={"max_stream": 100_000}) as server:
        answer = server.post("/predict/batch", content=in_pieces(as_csv(table(9_000))), headers=CSV)
        assert answer.status_code == 413
        assert server.post("/predict/batch", content=as_csv(table(900)), headers=CSV).status_code == 200


@pytest.mark.parametrize("body", [b"", b"[]", b"\n\n", b"a,b\n"], ids=repr)
def test_no_record_is_a_422_in_parts_too(small: Any, body: bytes) -> None:
    kind = CSV if body == b"a,b\n" else LINES if body == b"\n\n" else {}
    answer = small.post("/predict/batch", content=in_pieces(body), headers=kind)
    assert answer.status_code in (400, 422)


def test_a_client_that_stops_sending_is_told_and_one_that_leaves_is_forgotten(
    small: Any, wait_until: Any
) -> None:
    address = urlsplit(small.url)
    head = b"POST /predict/batch HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\n"
    head += b"Transfer-Encoding: chunked\r\n\r\n"
    piece = as_csv(table(12_000))
    chunk = b"%x\r\n%b\r\n" % (len(piece), piece)
    with socket.create_connection((address.hostname, address.port), timeout=30) as slow:
        slow.sendall(head + chunk)
        answer = b""
        while b'"problem"' not in answer:
            received = slow.recv(65_536)
            assert received
            answer += received
        assert b'"status":408' in answer
    with socket.create_connection((address.hostname, address.port), timeout=30) as leaving:
        leaving.sendall(head + chunk)
        assert leaving.recv(100).startswith(b"HTTP/1.1 200")
    wait_until(lambda: small.metric("workbench_requests_in_flight") <= 1, "the request is over")


def test_a_client_that_does_not_read_its_answer_is_left(small: Any, wait_until: Any) -> None:
    address = urlsplit(small.url)
    body = as_csv(table(60_000))
    head = (
        b"POST /predict/batch HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\n"
        b"Accept: application/x-ndjson\r\nContent-Length: %d\r\n\r\n" % len(body)
    )
    with socket.create_connection((address.hostname, address.port), timeout=30) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        deaf.sendall(head + body)
        wait_until(lambda: "was not read for" in small.log.read_text(), "it is left")
    wait_until(lambda: small.metric("workbench_requests_in_flight") <= 1, "the request is over")


def test_batches_leave_single_requests_their_turn(small: Any) -> None:
    body = as_csv(np.tile(table(9_000), (8, 1)))
    done = threading.Event()

    def send() -> None:
        httpx.post(f"{small.url}/predict/batch", content=in_pieces(body, 65_536), headers=CSV, timeout=60)
        done.set()

    thread = threading.Thread(target=send)
    thread.start()
    answered = 0
    while not done.is_set():
        assert small.post("/predict", [1, 2, 3, 4]).status_code == 200
        answered += 1
    thread.join()
    assert answered >= 5


def test_the_rows_of_a_batch_are_logged_once(small: Any, several_models: Any) -> None:
    from store.predictions import PredictionReader

    answer = small.post(
        "/predict/batch",
        content=in_pieces(as_csv(table(2_500))),
        headers={**CSV, "X-Request-ID": "batch-2500"},
    )
    ids = {one["prediction_id"] for one in answer.json()["predictions"]}
    found = PredictionReader(several_models.layout).query(
        "SELECT prediction_id FROM predictions WHERE request_id = 'batch-2500'"
    )
    assert len(found.rows) == 2_500
    assert {row[0] for row in found.rows} == ids


def test_ids_are_in_the_order_of_the_rows(small: Any) -> None:
    answers = small.post("/predict/batch", content=in_pieces(as_lines(table(3_000))), headers=LINES).json()
    ids = [one["prediction_id"] for one in answers["predictions"]]
    assert all(len(one) == len(other) and one < other for one, other in pairwise(ids))
