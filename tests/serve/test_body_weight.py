"""A few bytes can mean an object: millions of tiny ones are refused, ordinary rows never."""

from __future__ import annotations

import json
from typing import Any

import pytest

from serve.body_weight import LIGHT_BYTES, BodyWeight, check_json, check_rows
from serve.problems import Problem

MANY = 400_000


def weigh(body: bytes, *, has_lines: bool = False) -> None:
    weight = BodyWeight(has_lines=has_lines)
    for start in range(0, len(body), 65_536):
        weight.add(body[start : start + 65_536])
    weight.check()


@pytest.mark.parametrize(
    ("unit", "has_lines"),
    [(b"[],", False), (b"{},", False), (b"[1],", False), (b"1\n", True), (b"1\r", True)],
)
def test_millions_of_tiny_things_are_refused_with_what_to_do(unit: bytes, *, has_lines: bool) -> None:
    with pytest.raises(Problem, match=r"/predict/batch") as refused:
        weigh(unit * MANY, has_lines=has_lines)
    assert refused.value.status == 413
    assert f"{MANY:,}" in refused.value.detail
    weigh(unit * (LIGHT_BYTES // len(unit)), has_lines=has_lines)


@pytest.mark.parametrize(
    ("rows", "has_lines"),
    [
        (json.dumps([[17.99, 10.38, 122.8, 1001.0, 0.1184] * 6] * 20_000), False),
        (json.dumps([{"age": 31.5, "plan": "pro", "orders": 2, "active": True}] * 50_000), False),
        (json.dumps([[5.1, 3.5, 1.4, 0.2]] * 150_000), False),
        ("5.1,3.5,1.4,0.2\n" * 100_000, True),
        ('{"sepal length": 5.1, "sepal width": 3.5}\n' * 100_000, True),
        (json.dumps({f"feature {i}": i / 7 for i in range(100_000)}), False),
        (json.dumps([{"prediction_id": "1k81mi5unb9g4ga7h", "actual": 1}] * 10_000), False),
        (json.dumps([["[a remark] in {words}, as people write them, of some length"]] * 20_000), False),
    ],
)
def test_ordinary_rows_are_never_too_heavy(rows: str, *, has_lines: bool) -> None:
    weigh(rows.encode(), has_lines=has_lines)


def test_rows_that_have_no_brackets_are_counted_once_they_are_known() -> None:
    check_rows(150_000, 2 * LIGHT_BYTES)
    check_rows(10**6, LIGHT_BYTES)
    with pytest.raises(Problem, match="1,000,000 rows"):
        check_rows(10**6, 2 * LIGHT_BYTES)
    with pytest.raises(Problem):
        check_json(b"[" * MANY)


def test_a_server_says_so_in_every_protocol(server: Any) -> None:
    flat = b"1," * (MANY - 1) + b"1"
    for path, body, content_type in (
        ("/predict", b"[" + b"[]," * MANY + b"[]]", "application/json"),
        ("/predict", b"1\n" * MANY, "text/csv"),
        ("/feedback", b"[" + b"{}," * MANY + b"{}]", "application/json"),
        ("/models/two/invocations", b'{"instances":[' + flat + b"]}", "application/json"),
        (
            "/v2/models/two/infer",
            b'{"inputs":[{"name":"a","shape":[%d],"datatype":"FP64","data":[%b]}]}' % (MANY, flat),
            "application/json",
        ),
    ):
        answer = server.post(path, content=body, headers={"Content-Type": content_type})
        assert answer.status_code == 413, (path, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        assert "in several requests" in answer.json()["detail"]


def test_names_in_the_thousands_are_told_from_features_at_once(server: Any) -> None:
    """Each would be looked for among the features, and listed: only as many as an answer shows are."""
    names = [f"x{i}" for i in range(50_000)]
    for path, body, content_type in (
        ("/predict", json.dumps(dict.fromkeys(names, 1)), "application/json"),
        ("/predict", ",".join([*names, names[-1]]) + "\n1\n", "text/csv"),
        ("/predict/batch", json.dumps([dict.fromkeys(names, 1)]), "application/json"),
    ):
        answer = server.post(path, content=body, headers={"Content-Type": content_type}, timeout=20)
        assert answer.status_code == 422, answer.text
        assert len(answer.json().get("errors", ())) <= 24


def test_an_output_can_be_asked_for_once_each(server: Any) -> None:
    tensor = {"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [1, 2, 3, 4]}
    outputs = [{"name": "prediction_id"}] * 1_000
    answer = server.post("/v2/models/two/infer", {"inputs": [tensor], "outputs": outputs})
    assert answer.status_code == 400
    assert "1000 are asked for" in answer.json()["detail"]
