"""Whatever comes in, each parser of bodies gives values of the promised types, or a problem."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import zlib
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve.bodies import parse_json, rows_of_json
from serve.body_room import BodyRoom, Holding
from serve.fields import Field, MismatchError
from serve.invocations import KEYS, read_invocation
from serve.labels import read_items
from serve.problems import Problem
from serve.request_body import read_body
from serve.row_parts import read_rows
from serve.tensors import DATATYPES, raw_bytes, read_document, read_tensors

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
few = settings(max_examples=100, deadline=None)


@few
@given(body=st.binary(max_size=80), content_type=st.sampled_from(["", "text/csv", "application/x-ndjson"]))
def test_bytes_are_rows_or_a_problem(body: bytes, content_type: str) -> None:
    with contextlib.suppress(Problem):
        assert read_rows(body, content_type, ("a", "b")).rows


@few
@given(value=json_values)
def test_json_is_rows_or_a_problem(value: Any) -> None:
    with contextlib.suppress(Problem):
        found = rows_of_json(parse_json(json.dumps(value).encode()), ("a", "features"))
        assert isinstance(found.rows, list)


@few
@given(
    value=json_values
    | st.lists(
        st.fixed_dictionaries(
            {}, optional={"prediction_id": json_values, "actual": json_values, "timestamp": json_values}
        ),
        max_size=3,
    )
)
def test_feedback_is_items_or_a_problem(value: Any) -> None:
    with contextlib.suppress(Problem):
        for prediction_id, label, _at in read_items(value):
            assert isinstance(prediction_id, str)
            json.dumps(label, allow_nan=False).encode()


tensor = st.fixed_dictionaries(
    {"name": json_values | st.just("x"), "datatype": st.sampled_from(DATATYPES) | json_values},
    optional={
        "shape": json_values | st.lists(st.integers(-1, 3), max_size=3),
        "data": json_values | st.lists(st.integers(0, 1) | st.floats() | st.text(max_size=3), max_size=6),
        "parameters": json_values | st.fixed_dictionaries({"binary_data_size": st.integers(-1, 30)}),
    },
)


@few
@given(inputs=st.lists(tensor, max_size=3) | json_values, raw=st.binary(max_size=40))
def test_tensors_are_read_or_a_problem(inputs: Any, raw: bytes) -> None:
    head = json.dumps({"inputs": inputs}).encode()
    with contextlib.suppress(Problem):
        for found in read_tensors(*read_document(head + raw, str(len(head)))):
            assert len(found.values) == int(np.prod(found.shape))


@few
@given(
    values=st.lists(st.floats(width=32, allow_nan=False), max_size=5),
    texts=st.lists(st.text(max_size=5), max_size=4),
)
def test_raw_tensors_come_back_as_they_were(values: list[float], texts: list[str]) -> None:
    for datatype, data in (("FP32", values), ("FP64", values), ("BYTES", texts)):
        raw = raw_bytes(datatype, data)
        entry = {"name": "x", "shape": [len(data)], "datatype": datatype}
        document = {"inputs": [{**entry, "parameters": {"binary_data_size": len(raw)}}]}
        assert read_tensors(document, raw)[0].values == data


class _Schema:
    """Takes any rows."""

    fields = (Field("a", "number", True), Field("b", "string", False))
    width = 2

    def from_json(self, rows: Any, **_options: Any) -> Any:
        return rows

    def from_numbers(self, *_read: Any) -> None:
        """Not all of them are numbers."""

    from_text = from_json


_FILE = SimpleNamespace(predict_fn="predict", inputs=("a", "b"))
_MODEL: Any = SimpleNamespace(
    schema=_Schema(), names=("a", "b"), loaded=SimpleNamespace(names=("a", "b"), file=_FILE), file=_FILE
)


@few
@given(
    document=json_values
    | st.dictionaries(st.sampled_from([*KEYS, "params", "x"]), json_values, max_size=2)
    | st.fixed_dictionaries(
        {"dataframe_split": st.fixed_dictionaries({"columns": json_values, "data": st.lists(json_values)})}
    )
)
def test_invocations_are_rows_or_a_problem(document: Any) -> None:
    with contextlib.suppress(Problem):
        assert read_invocation(_MODEL, json.dumps(document).encode(), "application/json")


class _Request:
    """A request whose body comes in pieces."""

    def __init__(self, body: bytes, encoding: str, step: int) -> None:
        self.headers = {"content-encoding": encoding}
        self.scope = {"holding": Holding(BodyRoom(100_000, 100_000))}
        self._pieces = [body[start : start + step] for start in range(0, len(body), step)]

    async def stream(self) -> Any:
        for piece in self._pieces:
            yield piece


@few
@given(body=st.binary(max_size=300), step=st.integers(1, 50), cut=st.integers(0, 20))
@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_compressed_body_is_itself_or_a_problem(body: bytes, step: int, cut: int, encoding: str) -> None:
    packed = gzip.compress(body) if encoding == "gzip" else zlib.compress(body)

    def read(sent: bytes) -> bytes:
        return asyncio.run(read_body(_Request(sent, encoding, step), 10_000, 5))  # type: ignore[arg-type]

    assert read(packed) == body
    if cut:
        with pytest.raises(Problem, match="too early"):
            read(packed[:-cut] or b"\x1f")


@few
@given(
    value=json_values,
    text=st.text(max_size=8),
    kind=st.sampled_from(["number", "integer", "boolean", "string", "datetime", "any"]),
)
def test_a_field_takes_a_value_of_its_type_or_refuses_it(value: Any, text: str, kind: Any) -> None:
    field = Field("x", kind, required=False)
    for convert, given_value in ((field.from_json, value), (field.from_text, text)):
        with contextlib.suppress(MismatchError):
            taken = convert(given_value)
            if kind in ("number", "integer") and taken is not None:
                assert np.isfinite(taken)
                assert type(taken) is float
