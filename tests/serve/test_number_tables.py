"""A table of numbers is what the common parser makes of the same body, or is left to it."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import serve.number_tables as number_tables
from serve.number_tables import number_table, split_table


@pytest.fixture(autouse=True)
def any_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(number_tables, "LEAST_BYTES", 0)


def names(width: int) -> tuple[str, ...]:
    return tuple(f"f{place}" for place in range(width))


NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(2**63), 2**64 - 1),
    st.integers(-5, 5),
)


@settings(deadline=None)
@given(
    data=st.data(), width=st.integers(1, 4), n_rows=st.integers(1, 5), indent=st.sampled_from([None, 0, 2])
)
def test_it_reads_the_numbers_that_the_common_parser_reads(
    data: Any, width: int, n_rows: int, indent: int | None
) -> None:
    rows = data.draw(st.lists(st.lists(NUMBERS, min_size=width, max_size=width), min_size=n_rows))
    shape = data.draw(st.sampled_from(["{}", '{{"features": {}}}', ' {{"records" :\n {} }} ']))
    body = shape.format(json.dumps(rows, indent=indent)).encode()
    parsed = orjson.loads(body)

    table = number_table(body, names(width))

    assert table is not None
    expected = parsed if isinstance(parsed, list) else next(iter(parsed.values()))
    assert np.array_equal(table, np.array(expected, dtype=np.float64).reshape(len(expected), width))
    assert table.flags.writeable


CELLS = st.recursive(
    st.one_of(st.integers(0, 9), st.none(), st.booleans(), st.just("1,[2")),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(value=st.lists(st.one_of(st.lists(st.integers(0, 9), max_size=4), CELLS), max_size=5))
def test_what_is_no_table_is_never_taken_for_one(value: list[Any]) -> None:
    is_table = bool(value) and all(
        type(row) is list and len(row) == 2 and all(type(cell) is int for cell in row) for row in value
    )

    table = number_table(json.dumps(value).encode(), names(2))

    assert (table is not None) == is_table


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[[1,2]",
        b"[[1,2]] x",
        b"[[1,2],3,[4]]",
        b"[[1,[2]]]",
        b"[1,[2]]",
        b"[[1,2],[3],[4,5,6]]",
        b"[[1,NaN]]",
        b"[[1,1e999]]",
        b"[[1,123456789012345678901234]]",
        b"[[1,true]]",
        b'[["1",2]]',
        b'{"features": [[1,2]], "more": 1}',
        b'{"features": [[1,2]], "features": [[3,4]]}',
        b'{"rows": [[1,2]]}',
        b"\xef\xbb\xbf[[1,2]]",
    ],
)
def test_the_common_parser_explains_the_rest(body: bytes) -> None:
    assert number_table(body, names(2)) is None


def split(columns: Any, data: Any, **others: Any) -> bytes:
    return json.dumps({"dataframe_split": {"columns": columns, "data": data, **others}}).encode()


def test_a_split_frame_is_put_into_the_order_of_the_features() -> None:
    features = ("a[0]", "b", "ü")

    same = split_table(split(features, [[1, 2, 3], [4, 5, 6]]), features)
    other = split_table(split(["ü", "a[0]", "b"], [[1, 2, 3], [4, 5, 6]]), features)

    assert same is not None
    assert same.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert other is not None
    assert other.tolist() == [[2, 3, 1], [5, 6, 4]]


@pytest.mark.parametrize(
    "body",
    [
        split(["a", "b"], [[1, 2], [3]]),
        split(["a", "b"], [[1, [2]]]),
        split(["a", "b"], [[1, None]]),
        split(["a", "a"], [[1, 2]]),
        split(["a", "c"], [[1, 2]]),
        split(["a", "b", "c"], [[1, 2]]),
        split(["a", 1], [[1, 2]]),
        split("ab", [[1, 2]]),
        split(["a", "b"], 5),
        split(["a", "b"], [[1, 2]], index=[0]),
        b'{"dataframe_split": {"columns": ["a", "b"]}}',
        b'{"dataframe_split": [[1, 2]]}',
        b'{"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2]]}, "params": {}}',
    ],
)
def test_other_split_frames_are_left_to_the_common_parser(body: bytes) -> None:
    assert split_table(body, ("a", "b")) is None


def test_a_long_body_leaves_no_parser_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(number_tables, "KEPT_BYTES", 10)
    monkeypatch.setattr(number_tables, "_own", threading.local())

    assert number_table(b"[[1.0, 2.0], [3.0, 4.0]]", names(2)) is not None
    assert not hasattr(number_tables._own, "parser")
    assert number_table(b"[[1, 2]]", names(2)) is not None
    assert hasattr(number_tables._own, "parser")


def test_a_feature_of_that_name_is_no_list_of_records() -> None:
    body = b'{"features": [[1.0]]}'

    assert number_table(body, ("x",)) is not None
    assert number_table(body, ("features",)) is None


def test_threads_read_side_by_side() -> None:
    def read(place: int) -> bool:
        rows = [[float(place), float(row)] for row in range(300)]
        table = number_table(json.dumps(rows).encode(), names(2))
        return table is not None and table.tolist() == rows

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, range(200)))
