"""The line made at once says what the log's own encoder says, or leaves the rows to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from store.batches import Batch
from store.records import MAX_ROWS, OWN_ID, encode_origin, encode_predictions
from store.request_lines import RequestLines
from store.segments import frame

ORIGIN = encode_origin(model="m", version=3, schema_id="s", role="champion", classes=(0, 1))


def line(n_features: int, **changed: Any) -> bytes | None:
    return RequestLines(ORIGIN, n_features).line(**request(n_features, **changed))


def request(n_features: int, **changed: Any) -> dict[str, Any]:
    n_rows = len(changed.get("numeric", [[0.0]]))
    usual: dict[str, Any] = {
        "prediction_ids": [f"id-{i}" for i in range(n_rows)],
        "predicted_us": 1_700_000_000_000_000,
        "predictions": [i % 2 for i in range(n_rows)],
        "probability": None,
        "probabilities": None,
        "numeric": np.zeros((1, n_features)),
        "latencies_ms": [0.25] * n_rows,
        "request_ids": [f"ü-{i}" for i in range(n_rows)],
    }
    return usual | changed


def in_full(of: dict[str, Any]) -> bytes:
    (pieces,) = encode_predictions(
        ORIGIN,
        predicted_at=of["predicted_us"],
        latency_ms=of["latencies_ms"],
        request_id=of["request_ids"] or OWN_ID,
        categorical=None,
        **{
            name: of[name]
            for name in ("prediction_ids", "predictions", "probability", "probabilities", "numeric")
        },
    )
    return frame(b"".join(pieces))


def rows(framed: bytes) -> list[dict[str, Any]]:
    batch = Batch()
    assert batch.add(framed.partition(b" ")[2][:-1])
    return batch.predictions().to_pylist()


FINITE = st.floats(allow_nan=False, allow_infinity=False)


@settings(deadline=None)
@given(data=st.data(), n_rows=st.integers(1, 6), n_features=st.integers(1, 5), n_classes=st.integers(0, 4))
def test_it_says_what_the_encoder_says(data: Any, n_rows: int, n_features: int, n_classes: int) -> None:
    one = st.one_of(st.none(), arrays(np.float64, n_rows))
    of = request(
        n_features,
        numeric=data.draw(arrays(np.float64, (n_rows, n_features))),
        predictions=data.draw(
            st.one_of(
                st.lists(st.one_of(st.integers(-5, 5), st.text(max_size=3), FINITE), min_size=n_rows).map(
                    lambda values: values[:n_rows]
                ),
                arrays(np.float64, n_rows),
            )
        ),
        probability=data.draw(one),
        probabilities=data.draw(arrays(np.float64, (n_rows, n_classes))) if n_classes else None,
        request_ids=data.draw(st.one_of(st.none(), st.lists(st.text(), min_size=n_rows, max_size=n_rows))),
    )

    made = RequestLines(ORIGIN, n_features).line(**of)

    if made is None:
        assert "null" in str(of["predictions"])  # a text that looks like one of JSON's nulls
    else:
        assert str(rows(made)) == str(rows(in_full(of)))  # as text: NaN differs from itself


def test_requests_without_an_id_have_their_predictions() -> None:
    """Also beside others in one run of lines, whose ids are by row or one for all."""
    of = [request(1), request(1, request_ids=None), request(1, request_ids="one for all")]
    made, batch = line(1, request_ids=None), Batch()

    assert batch.add_all([in_full(each).partition(b" ")[2][:-1] for each in of]) == []
    assert batch.predictions()["request_id"].to_pylist() == ["ü-0", "id-0", "one for all"]
    assert made is not None
    assert [row["request_id"] for row in rows(made)] == ["id-0"]


def test_columns_of_a_larger_array_are_taken_as_they_are() -> None:
    both = np.arange(12.0).reshape(4, 3)
    of = request(2, numeric=both[:, 1:], probability=both[:, 0])

    made = RequestLines(ORIGIN, 2).line(**of)

    assert made is not None
    assert [(row["numeric"], row["probability"]) for row in rows(made)] == [
        ([1.0, 2.0], 0.0),
        ([4.0, 5.0], 3.0),
        ([7.0, 8.0], 6.0),
        ([10.0, 11.0], 9.0),
    ]


@pytest.mark.parametrize(
    "changed",
    [
        {"numeric": [[1.0, 2.0]]},
        {"numeric": np.zeros((1, 2), dtype=np.float32)},
        {"numeric": np.zeros((1, 2), dtype=">f8")},
        {"numeric": np.zeros((1, 3))},
        {"numeric": np.zeros((2, 2)), "prediction_ids": ["a"]},
        {"predictions": [float("nan")]},
        {"predictions": [2**70]},
        {"predictions": [1, 2]},
        {"predictions": np.array([1])},
        {"probability": [0.5]},
        {"probability": np.zeros(2)},
        {"probabilities": [[0.5, 0.5]]},
        {"probabilities": np.zeros((2, 2))},
        {"probabilities": np.zeros((1, 0))},
        {"numeric": np.zeros((MAX_ROWS + 1, 2))},
    ],
    ids=str,
)
def test_what_is_out_of_the_ordinary_is_left_to_the_encoder(changed: dict[str, Any]) -> None:
    assert line(2, **changed) is None


def test_the_line_has_the_block_behind_its_json() -> None:
    made = line(1, numeric=np.array([[1.5]]), probability=np.array([0.25]))

    assert made is not None
    head, _, block = made.partition(b"\n")
    assert orjson.loads(head.partition(b" ")[2])["b"] == [["x", 1], ["p", 0]]
    assert block == np.array([1.5, 0.25]).tobytes() + b"\n"
