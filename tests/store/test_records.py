from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.batches import Batch
from store.records import (
    MAX_ROWS,
    FeatureSchema,
    class_text,
    encode_feedback,
    encode_origin,
    encode_predictions,
    encode_schema,
    microseconds,
    number,
)

texts = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20)
cells = st.one_of(st.none(), st.floats(), st.integers(-(2**1100), 2**1100), st.booleans())


def encode(n_rows: int, **changes: Any) -> list[bytes]:
    values: dict[str, Any] = {
        "model": "m",
        "version": 1,
        "schema_id": "s",
        "prediction_ids": [str(i) for i in range(n_rows)],
        "predicted_at": datetime(2026, 7, 1, 12, tzinfo=UTC),
        "predictions": [0.5] * n_rows,
        "probability": None,
        "probabilities": None,
        "classes": None,
        "numeric": None,
        "categorical": None,
        "latency_ms": 1.0,
        "role": "champion",
        "request_id": "",
    }
    values |= changes
    about = {name: values.pop(name) for name in ("model", "version", "schema_id", "role", "classes")}
    return [b"".join(pieces) for pieces in encode_predictions(encode_origin(**about), **values)]


def rows_of(payloads: list[bytes]) -> list[dict[str, Any]]:
    batch = Batch()
    assert batch.add_all(payloads) == []
    return batch.predictions().to_pylist()  # type: ignore[no-any-return]


def same(a: Any, b: Any) -> bool:
    return (a is None) == (b is None) and (a == b or (a is not None and math.isnan(a) and math.isnan(b)))


def as_double(value: Any) -> float | None:
    """As numpy would store it: integers beyond a double's range are infinite."""
    try:
        return None if value is None else float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


@given(st.lists(st.lists(cells, min_size=3, max_size=3), min_size=1, max_size=5))
def test_numbers_come_back_bit_for_bit(rows: list[list[Any]]) -> None:
    """Not given, not a number and infinite stay three different things."""
    payloads = encode(len(rows), numeric=rows)

    assert all(b"\n" not in payload for payload in payloads)
    for found, row in zip(rows_of(payloads), rows, strict=True):
        assert all(same(a, as_double(b)) for a, b in zip(found["numeric"], row, strict=True))


@given(st.lists(st.lists(st.one_of(st.none(), texts), min_size=2, max_size=2), min_size=1, max_size=5), texts)
def test_any_text_comes_back(rows: list[list[str | None]], model: str) -> None:
    found = rows_of(encode(len(rows), categorical=rows, model=model))

    assert [row["categorical"] for row in found] == rows
    assert {row["model"] for row in found} == {model}


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "bool"])
def test_numpy_arrays_are_taken_as_they_are(order: Any, dtype: str) -> None:
    array = np.array([[1, 0, 1], [0, 1, 1]], dtype=dtype, order=order)
    found = rows_of(
        encode(2, numeric=array, predictions=np.array([1.5, np.nan]), probability=np.array([0.1, 0.2]))
    )

    assert [row["numeric"] for row in found] == [[1, 0, 1], [0, 1, 1]]
    assert found[0]["prediction"] == 1.5
    assert math.isnan(found[1]["prediction"])
    assert [row["probability"] for row in found] == [0.1, 0.2]


doubles = st.lists(st.lists(st.floats(), min_size=3, max_size=3), min_size=1, max_size=5)


@given(st.lists(doubles, min_size=1, max_size=4), st.sampled_from(["C", "F"]), st.booleans())
def test_arrays_of_doubles_come_back_bit_for_bit(
    requests: list[list[list[float]]], order: Any, is_regression: bool
) -> None:
    arrays = [np.array(rows, order=order) for rows in requests]
    payloads = [
        payload
        for rows in arrays
        for payload in encode(
            len(rows),
            numeric=rows,
            predictions=rows[:, 1] if is_regression else [0] * len(rows),
            probability=None if is_regression else rows[:, 2],
            probabilities=rows[:, :2],
        )
    ]
    expected = np.concatenate(arrays)

    found = rows_of(payloads)

    assert all(b"\n" in payload for payload in payloads)
    assert np.array([row["numeric"] for row in found]).tobytes() == expected.tobytes()
    if is_regression:
        assert np.array([row["prediction"] for row in found]).tobytes() == expected[:, 1].tobytes()
    else:
        assert [row["probability"] for row in found] == without_nan(expected[:, 2])
    assert [row["probabilities"] for row in found] == [without_nan(row) for row in expected[:, :2]]


def test_lines_of_earlier_versions_have_their_numbers_in_base64() -> None:
    found = rows_of([BLOCK_OF_ONE + b'"x64":"AAAAAAAA8D8AAAAAAAAAQA=="}'] * 2)

    assert [row["numeric"] for row in found] == [[1.0, 2.0]] * 2


def without_nan(values: Any) -> list[float | None]:
    return [None if math.isnan(value) else value for value in values]


def test_requests_that_share_a_line_keep_what_is_theirs() -> None:
    payloads = [
        payload
        for first in (0, 3)
        for payload in encode(
            3,
            prediction_ids=[f"id{first + i}" for i in range(3)],
            numeric=np.arange(6.0).reshape(3, 2) + first,
            categorical=[["a"], [None], ["c"]],
            probabilities=[[0.1, 0.9]] * 3,
            latency_ms=[first + 0.5, first + 1.5, first + 2.5],
            request_id=[f"r{first + i}" for i in range(3)],
        )
    ]

    found = rows_of(payloads)

    assert [row["prediction_id"] for row in found] == [f"id{i}" for i in range(6)]
    assert [row["request_id"] for row in found] == [f"r{i}" for i in range(6)]
    assert [row["latency_ms"] for row in found] == [i + 0.5 for i in range(6)]
    assert [row["numeric"] for row in found[3:]] == [[3.0, 4.0], [5.0, 6.0], [7.0, 8.0]]
    assert [row["categorical"] for row in found[:3]] == [["a"], [None], ["c"]]


def test_many_requests_of_one_row_are_several_lines_and_none_is_missing() -> None:
    n_rows = MAX_ROWS + 2
    payloads = encode(
        n_rows, latency_ms=[float(i) for i in range(n_rows)], request_id=[f"r{i}" for i in range(n_rows)]
    )

    assert len(payloads) == 2
    assert [row["request_id"] for row in rows_of(payloads)] == [f"r{i}" for i in range(n_rows)]
    assert [row["latency_ms"] for row in rows_of(payloads)] == [float(i) for i in range(n_rows)]


def test_numpy_scalars_are_numbers() -> None:
    found = rows_of(
        encode(2, numeric=[[np.float64("nan")], [np.int32(7)]], predictions=[np.float64(1), None])
    )

    assert math.isnan(found[0]["numeric"][0])
    assert found[1]["numeric"] == [7.0]
    assert [row["prediction"] for row in found] == [1.0, None]


def test_a_large_batch_is_several_lines_and_no_row_is_missing() -> None:
    n_rows = 2 * MAX_ROWS + 1
    payloads = encode(n_rows, numeric=[[float(i)] for i in range(n_rows)])

    assert len(payloads) == 3
    assert [row["numeric"] for row in rows_of(payloads)] == [[float(i)] for i in range(n_rows)]


def test_rows_that_do_not_match_the_ids_are_refused() -> None:
    with pytest.raises(ValueError, match="2 prediction ids but 1 rows of numeric"):
        encode(2, numeric=[[1.0]])


@pytest.mark.parametrize(
    ("classes", "predicted", "prediction", "label"),
    [
        (None, 41.5, 41.5, None),
        ((0, 1), 1, 1.0, "1"),
        ((2, 5, 9), 5, 5.0, "5"),
        ((1.0, 2.0), 2.0, 2.0, "2"),
        ((False, True), True, 1.0, "true"),
        (("ham", "spam"), "spam", 1.0, "spam"),
        ((0, 1), 7, None, "7"),
        ((np.int64(0), np.int64(1)), np.int64(1), 1.0, "1"),
        (np.array(["ham", "spam"]), np.str_("ham"), 0.0, "ham"),
    ],
)
def test_a_class_is_stored_as_number_and_text(
    classes: Any, predicted: Any, prediction: float | None, label: str | None
) -> None:
    (row,) = rows_of(encode(1, classes=classes, predictions=[predicted]))

    assert (row["prediction"], row["label"]) == (prediction, label)


def test_one_and_one_point_zero_are_the_same_class() -> None:
    assert class_text(1) == class_text(1.0) == class_text(np.int64(1)) == class_text("1") == "1"
    assert class_text(True) == class_text(np.bool_(True)) == "true"
    assert class_text(0.5) == "0.5"


def test_a_label_is_a_number_where_it_can_be() -> None:
    assert [number(x) for x in (3, 2.5, "4.5", True, "false", np.float32(0.5))] == [3, 2.5, 4.5, 1, 0, 0.5]
    assert [number(x) for x in ("spam", "", "nan", math.inf, 10**400)] == [None] * 5


def test_labels_come_back() -> None:
    seen = datetime(2026, 7, 1, 14, tzinfo=timezone(timedelta(hours=2)))
    batch = Batch()
    batch.add_all(encode_feedback([("a", 1, seen), ("b", "spam", None)], received_us=5_000_001))

    assert batch.feedback().to_pylist() == [
        {
            "prediction_id": "a",
            "label": "1",
            "actual": 1.0,
            "received_at": datetime(1970, 1, 1, 0, 0, 5, 1),  # noqa: DTZ001
            "observed_at": datetime(2026, 7, 1, 12),  # noqa: DTZ001
        },
        {
            "prediction_id": "b",
            "label": "spam",
            "actual": None,
            "received_at": datetime(1970, 1, 1, 0, 0, 5, 1),  # noqa: DTZ001
            "observed_at": None,
        },
    ]


def test_a_schema_has_the_same_id_always_and_everywhere() -> None:
    schema = FeatureSchema(("temp", "Größe"), ("numeric", "categorical"))

    assert schema.schema_id == FeatureSchema(("temp", "Größe"), ("numeric", "categorical")).schema_id
    assert schema.schema_id == "6ba2db3b7c693a16"
    assert schema.schema_id != FeatureSchema(("temp", "Größe"), ("numeric", "numeric")).schema_id
    assert (schema.numeric_names, schema.categorical_names) == (("temp",), ("Größe",))


def test_a_schema_knows_where_each_feature_is() -> None:
    schema = FeatureSchema(("a", "b", "c"), ("categorical", "numeric", "categorical"))
    batch = Batch()
    batch.add(encode_schema(schema))

    assert batch.schema_rows() == [
        (schema.schema_id, 0, "a", "categorical", 1),
        (schema.schema_id, 1, "b", "numeric", 1),
        (schema.schema_id, 2, "c", "categorical", 2),
    ]


BLOCK_OF_ONE = b'{"k":"p","m":"m","v":1,"s":"s","t":0,"l":0,"r":"","i":["a"],"y":[1],'


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"k":"?"}',
        b'{"k":"p"}',
        b'{"k":"p","m":"m","v":1,"s":"s","t":0,"l":0,"r":"","i":["a","b"],"y":[1]}',
        b'{"k":"p","m":"m","v":"x","s":"s","t":0,"l":0,"r":"","i":["a"],"y":[1]}',
        b'{"k":"p","m":"m","v":1,"s":"s","t":0,"l":[0],"r":"","i":["a","b"],"y":[1,2]}',
        BLOCK_OF_ONE + b'"x64":"AAAAAAAA8D8AAAAAAA=="}',
        BLOCK_OF_ONE + b'"x64":7}',
        BLOCK_OF_ONE + b'"b":[["x",1]]}\n' + bytes(16),
        BLOCK_OF_ONE + b'"b":[["x",1]]}',
        BLOCK_OF_ONE + b'"b":[["x",0]]}\n' + bytes(8),
        BLOCK_OF_ONE + b'"b":[["p",1]]}\n' + bytes(8),
        BLOCK_OF_ONE + b'"b":[["q",1]]}\n' + bytes(8),
        BLOCK_OF_ONE + b'"b":[7]}\n' + bytes(8),
        BLOCK_OF_ONE + b'"b":{"x":1}}\n' + bytes(8),
        BLOCK_OF_ONE + b'"b":[["x","1"]]}\n' + bytes(8),
        BLOCK_OF_ONE + b'"c":[["c"]]}\n' + bytes(8),
        b'{"k":"f","t":0,"rows":[["a"]]}',
        b'{"k":"s","s":"x","names":["a"],"kinds":["odd"]}',
    ],
)
def test_a_payload_that_is_no_record_changes_nothing(payload: bytes) -> None:
    batch = Batch()

    assert batch.add_all([payload]) == [payload]
    assert (batch.n_predictions, batch.n_feedback, batch.schema_rows()) == (0, 0, [])
    assert batch.predictions().num_rows == 0


@given(st.datetimes(datetime(1900, 1, 1), datetime(3000, 1, 1)))  # noqa: DTZ001
def test_a_time_comes_back_to_the_microsecond(moment: datetime) -> None:
    aware = moment.replace(tzinfo=UTC)
    (row,) = rows_of(encode(1, predicted_at=aware))

    assert row["predicted_at"] == moment
    assert microseconds(moment) == microseconds(aware)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([(0, 1), (False, True), ("a", "b"), None]),
            st.one_of(
                st.lists(cells, min_size=2, max_size=2),
                st.lists(st.floats(), min_size=2, max_size=2).map(np.array),
            ),
            st.lists(st.one_of(st.none(), texts), min_size=1, max_size=1),
            st.sampled_from(["", "request", ["request"]]),
        ),
        max_size=80,
    ),
    st.lists(st.sampled_from([b"{}", b"1,2", b"[", b'{"k":"p","t":1}', b'{"k":"f"}', b"null"]), max_size=3),
)
def test_lines_read_together_say_what_each_says_alone(requests: list[Any], damaged: list[bytes]) -> None:
    payloads = [
        payload
        for classes, numeric, categorical, request_id in requests
        for payload in encode(
            1,
            predictions=[1 if classes is None else classes[1]],
            classes=classes,
            numeric=numeric[None] if isinstance(numeric, np.ndarray) else [numeric],
            categorical=[categorical],
            request_id=request_id,
        )
    ]
    payloads[1:1] = damaged
    together, alone = Batch(), Batch()

    assert together.add_all(payloads) == [one for one in payloads if not alone.add(one)] == damaged
    assert together.models == alone.models
    expected = alone.predictions().to_pylist()
    found = together.predictions().to_pylist()
    assert repr(found) == repr(expected)  # where NaN equals itself
