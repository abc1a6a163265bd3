"""Whatever a client sends is answered with what was wrong, in one shape, and never with a 500."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import UNHURRIED_IN_ONE_FIXTURE

ROW = {"a": 1.0, "b": -0.5, "c d": 0.25, "é": 2}


def problem(answer: Any, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["status"] == status
    assert body["request_id"] == answer.headers["x-request-id"]
    assert "Traceback" not in answer.text
    return body


def fields(body: dict[str, Any]) -> set[str]:
    return {error["field"] for error in body["errors"]}


def test_a_missing_field_is_named(server: Any) -> None:
    body = problem(server.post("/predict", {"a": 1, "b": 2, "é": 3}), 422)
    assert fields(body) == {"c d"}
    assert "missing" in body["detail"]


def test_an_unknown_field_is_named_with_the_nearest(server: Any) -> None:
    body = problem(server.post("/models/mixed/predict", {"agee": 1, "plan": "pro"}), 422)
    assert "did you mean 'age'?" in str(body["errors"])


@pytest.mark.parametrize("value", ["1.5", None, True, [1], {"x": 1}], ids=str)
def test_a_mistyped_value_is_named_with_what_was_expected(server: Any, value: Any) -> None:
    body = problem(server.post("/predict", {**ROW, "b": value}), 422)
    assert fields(body) == {"b"}
    assert "expected a number" in body["detail"]


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_none_are_refused_by_name(server: Any, literal: str) -> None:
    text = '{"a": 1, "b": %s, "c d": 2, "é": 3}' % literal  # noqa: UP031
    body = problem(server.post("/predict", content=text.encode()), 422)
    assert fields(body) == {"b"}


@pytest.mark.parametrize("cell", ["inf", "-inf", "1_000", "x"])
def test_numbers_that_are_none_are_refused_in_csv(server: Any, cell: str) -> None:
    text = f"a,b,c d,é\n1,{cell},3,4\n"
    body = problem(
        server.post("/predict/batch", content=text.encode(), headers={"Content-Type": "text/csv"}), 422
    )
    assert fields(body) == {"b"}


def test_limits_of_the_column_rules_hold(server: Any) -> None:
    assert "from -50 to 50" in problem(server.post("/predict", {**ROW, "a": 51}), 422)["detail"]
    record = {"age": 130, "orders": 1.5, "plan": "gold", "active": "maybe"}
    body = problem(server.post("/models/mixed/predict", record), 422)
    assert fields(body) == {"age", "orders", "plan", "active"}
    assert 'one of "free", "pro", "team"' in str(body["errors"])


def test_the_row_of_a_batch_is_named(server: Any) -> None:
    body = problem(server.post("/predict/batch", [ROW, {**ROW, "b": "x"}]), 422)
    assert body["errors"][0]["row"] == 1


@pytest.mark.parametrize("body", [{"features": [1, 2, 3]}, {"features": [1, 2, 3, 4, 5]}, [[1]]], ids=str)
def test_a_wrong_length_is_told(server: Any, body: Any) -> None:
    assert "expected 4 values" in problem(server.post("/predict", body), 422)["detail"]


@pytest.mark.parametrize("body", [[], {"records": []}, {"features": []}, {}, 5, "x", [1, [2]]], ids=str)
def test_no_record_or_none_that_is_one(server: Any, body: Any) -> None:
    problem(server.post("/predict", content=json.dumps(body).encode()), 422)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[1,]", b"nothing", b"[" * 100_000], ids=repr)
def test_bad_json_is_400(server: Any, body: bytes) -> None:
    problem(server.post("/predict", content=body), 400)


def test_bad_csv_is_400_or_422_with_its_line(server: Any) -> None:
    headers = {"Content-Type": "text/csv"}
    problem(server.post("/predict/batch", content=b"a,b\n\xff,1\n", headers=headers), 400)
    problem(server.post("/predict/batch", content=b'a,b\n"1,2\n', headers=headers), 400)
    ragged = problem(server.post("/predict/batch", content=b"a,b\n1,2\n1\n", headers=headers), 422)
    assert "line 3" in ragged["detail"]
    problem(server.post("/predict/batch", content=b"a,a\n1,2\n", headers=headers), 422)
    problem(server.post("/predict/batch", content=b"a,b\n", headers=headers), 422)


def test_other_content_types_are_415(server: Any) -> None:
    problem(server.post("/predict", content=b"<x/>", headers={"Content-Type": "application/xml"}), 415)


def test_a_form_type_as_curl_sends_it_is_read_as_json(server: Any) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert server.post("/predict", content=json.dumps(ROW), headers=headers).status_code == 200


def test_unknown_paths_models_and_methods(server: Any) -> None:
    problem(server.get("/nowhere"), 404)
    assert "/docs" in problem(server.get("/"), 404)["detail"]
    assert "two" in problem(server.post("/models/nope/predict", ROW), 404)["detail"]
    problem(server.get("/models/nope"), 404)
    wrong = server.get("/predict")
    problem(wrong, 405)
    assert wrong.headers["allow"] == "POST"
    problem(server.post("/health", {}), 405)


def test_a_slash_at_the_end_of_a_path_is_no_other_path_and_sends_nobody_elsewhere(server: Any) -> None:
    strange = {"Host": "localhost:1"}
    assert server.post("/predict/", ROW, headers=strange).json()["prediction"] in (0, 1)
    assert server.get("/models/two/", headers=strange).json()["name"] == "two"
    problem(server.get("/nowhere/"), 404)
    problem(server.post("/admin/reload/"), 401)


def test_health_checks_that_look_with_head_are_answered(server: Any) -> None:
    for path in ("/health", "/health/live", "/health/ready", "/models"):
        answer = httpx.head(server.url + path)
        assert (answer.status_code, answer.content) == (200, b"")


def test_a_model_that_is_not_loaded_is_503_with_its_reason(server: Any) -> None:
    answer = server.post("/models/pickled/predict", ROW)
    assert "pickle" in problem(answer, 503)["detail"]
    assert answer.headers["retry-after"]


def test_a_body_over_the_limit_is_413(server: Any) -> None:
    problem(server.post("/predict", content=b" " * 10_000_001), 413)


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_client_that_sends_all_before_it_listens_is_told_of_the_limit(
    server: Any, *, is_chunked: bool
) -> None:
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=60)
    pieces = (b" " * 1_000_000 for _ in range(15))
    headers = {} if is_chunked else {"Content-Length": "15000000"}
    connection.request("POST", "/predict", pieces, headers, encode_chunked=is_chunked)
    assert connection.getresponse().status == 413


def test_a_client_that_asks_first_is_told_before_it_sends(server: Any) -> None:
    host, port = urlsplit(server.url).hostname, urlsplit(server.url).port
    with socket.create_connection((host, port), timeout=60) as connection:
        connection.sendall(
            b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 20000000\r\nExpect: 100-continue\r\n\r\n"
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 413")


def test_a_chunked_body_over_the_limit_is_413(server: Any) -> None:
    def chunks() -> Any:
        for _ in range(200):
            yield b" " * 100_000

    problem(server.post("/predict", content=chunks()), 413)


def test_a_truncated_body_harms_nobody(server: Any) -> None:
    host, port = urlsplit(server.url).hostname, urlsplit(server.url).port
    with socket.create_connection((host, port)) as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    assert server.post("/predict", ROW).status_code == 200


def test_what_comes_around_a_chunked_body_is_bounded_and_trailers_are_no_headers(server: Any) -> None:
    body = json.dumps(ROW).encode()
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    one_by_one = b"".join(b"1\r\n%c\r\n" % byte for byte in body + b" " * 20_000)
    host, port = server.url.removeprefix("http://").split(":")

    def answered(*pieces: bytes) -> bytes:
        with socket.create_connection((host, int(port)), timeout=60) as client:
            with contextlib.suppress(OSError):
                for piece in pieces:
                    client.sendall(piece)
            return client.recv(65_536)

    forged = b"0\r\nX-API-Key: wrong\r\nX-Request-ID: forged\r\n\r\n"
    fine = answered(head, one_by_one, forged)
    assert fine.startswith(b"HTTP/1.1 200")
    assert b"forged" not in fine
    at_once = answered(head + b"%x\r\n%b\r\n" % (len(body), body) + forged)
    assert at_once.startswith(b"HTTP/1.1 200")
    assert b"forged" not in at_once
    # What comes in one piece with the head is not looked at: more than that has to come.
    endless = [b"0\r\n", *[b"a: b\r\n" * 3_000] * 60]
    assert answered(head, one_by_one[:60_000], *endless).startswith(b"HTTP/1.1 400")
    assert answered(head, *[b"1;" + b"x" * 20_000] * 60).startswith(b"HTTP/1.1 400")


def test_text_from_clients_comes_back_as_json_text_only(server: Any) -> None:
    answer = server.post("/predict", {"<script>alert(1)</script>": 1})
    assert problem(answer, 422)["errors"][-1]["field"] == "<script>alert(1)</script>"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=10), inner, max_size=5),
    max_leaves=20,
)
record_like = st.dictionaries(
    st.sampled_from(["a", "b", "c d", "é", "features", "records", "age", "plan", "orders", "active"]),
    json_values | st.floats(allow_nan=False) | st.lists(json_values, min_size=4, max_size=4),
    max_size=6,
)


@settings(max_examples=150, suppress_health_check=UNHURRIED_IN_ONE_FIXTURE)
@given(
    body=json_values | record_like | st.lists(record_like, max_size=3),
    model=st.sampled_from(["two", "three", "unsigned", "mixed"]),
    batch=st.sampled_from(["", "/batch"]),
)
def test_no_json_makes_a_500(server: Any, body: Any, model: str, batch: str) -> None:
    answer = server.post(f"/models/{model}/predict{batch}", content=json.dumps(body).encode())
    assert answer.status_code in (200, 400, 422), answer.text


@settings(max_examples=150, suppress_health_check=UNHURRIED_IN_ONE_FIXTURE)
@given(
    body=st.binary(max_size=200) | st.text(alphabet=',"\n\r1.a b;', max_size=60).map(str.encode),
    content_type=st.sampled_from(["text/csv", "application/json", "application/x-ndjson", ""]),
    path=st.sampled_from(["/predict", "/predict/batch", "/feedback", "/models/mixed/predict/batch"]),
)
def test_no_bytes_make_a_500(server: Any, body: bytes, content_type: str, path: str) -> None:
    answer = server.post(path, content=body, headers={"Content-Type": content_type})
    assert answer.status_code in (200, 202, 400, 415, 422), answer.text


@settings(max_examples=100, suppress_health_check=UNHURRIED_IN_ONE_FIXTURE)
@given(
    numbers=st.lists(
        st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**70), 2**70),
        min_size=4,
        max_size=4,
    ),
    model=st.sampled_from(["three", "unsigned"]),
)
def test_any_four_numbers_get_an_answer_or_a_reason(server: Any, numbers: list[float], model: str) -> None:
    answer = server.post(f"/models/{model}/predict", content=json.dumps(numbers).encode())
    assert answer.status_code in (200, 422), answer.text
    if answer.status_code == 200:
        assert answer.json()["prediction"] is not None
