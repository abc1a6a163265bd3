"""Records taken from a body in parts are those of the whole body, wherever it was cut."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve.problems import Problem
from serve.row_parts import CsvParts, LineParts, ListParts, Parts

NAMES = ("a", "b")
LONGEST = 10_000
cuts = st.lists(st.integers(0, 400), max_size=8)
cell = st.text(alphabet=st.sampled_from('ab1.,;"\n\r é\t'), max_size=6)
value = st.none() | st.booleans() | st.integers(-9, 9) | st.text(alphabet='a"]},[{\\é', max_size=5)
record = st.dictionaries(st.sampled_from(["a", "b", "]}"]), value | st.lists(value, max_size=2), max_size=3)


def read(parts: Parts, body: bytes, at: Sequence[int]) -> list[Any]:
    rows: list[Any] = []
    start = 0
    for end in [*sorted(set(at)), len(body)]:
        rows += parts.feed(body[start:end]).rows
        start = max(start, end)
    return rows + parts.finish().rows


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.tuples(cell, cell), min_size=1, max_size=6), at=cuts, end=st.sampled_from(["\n", "\r\n"])
)
def test_csv_is_read_as_the_csv_module_reads_it(rows: list[Any], at: list[int], end: str) -> None:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([NAMES, *rows])
    assert read(CsvParts(NAMES, LONGEST), out.getvalue().encode(), at) == [list(row) for row in rows]


@settings(max_examples=100, deadline=None)
@given(rows=st.lists(record | st.lists(value, max_size=3), max_size=6), at=cuts)
def test_json_lines_are_read_as_json(rows: list[Any], at: list[int]) -> None:
    body = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()
    assert read(LineParts(LONGEST), body, at) == rows


@settings(max_examples=200, deadline=None)
@given(
    rows=st.lists(record, min_size=1, max_size=6),
    at=cuts,
    shape=st.sampled_from(["%s", ' {"records": %s}', '{ "features":%s }\n']),
    indent=st.sampled_from([None, 1]),
)
def test_a_list_in_json_is_read_as_json(rows: list[Any], at: list[int], shape: str, indent: Any) -> None:
    body = (shape % json.dumps(rows, ensure_ascii=False, indent=indent)).encode()
    assert read(ListParts(NAMES, LONGEST), body, at) == rows


@settings(max_examples=200, deadline=None)
@given(
    body=st.binary(max_size=60) | st.text(alphabet='[]{},:"a1\\\n\r;', max_size=60).map(str.encode),
    at=cuts,
    kind=st.sampled_from(["csv", "lines", "list"]),
)
def test_any_bytes_are_rows_or_a_problem(body: bytes, at: list[int], kind: str) -> None:
    by_kind = {
        "csv": CsvParts(NAMES, LONGEST),
        "lines": LineParts(LONGEST),
        "list": ListParts(NAMES, LONGEST),
    }
    with contextlib.suppress(Problem):
        read(by_kind[kind], body, at)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'[{"a": 1}, {"a": 2},]', "comma"),
        (b'[{"a": 1}, {"a": 2}', "JSON"),
        (b'{"records": [{"a": 1}, {"a": 2}], "x": 1}', "x: unknown field"),
        (b'[{"a": 1}, {"a": 2}] [', "JSON"),
    ],
)
def test_a_list_with_a_wrong_end_is_a_problem(body: bytes, said: str) -> None:
    with pytest.raises(Problem, match=said):
        read(ListParts(NAMES, LONGEST), body, [12, 14, 24])


def test_the_line_that_is_wrong_is_named() -> None:
    with pytest.raises(Problem, match="line 3"):
        read(LineParts(LONGEST), b'{"a":1}\n\n{"a":\n', [4, 9])
    with pytest.raises(Problem, match="line 4: 1 values"):
        read(CsvParts(NAMES, LONGEST), b'a,b\n1,"x\ny"\n7\n', [5, 11])


@pytest.mark.parametrize("kind", ["csv", "lines", "list"])
def test_a_record_without_an_end_is_not_kept_for_ever(kind: str) -> None:
    body = {"csv": b'a,b\n1,"', "lines": b'{"a": "', "list": b'[{"a": "'}[kind]
    parts: Parts = {
        "csv": CsvParts(NAMES, LONGEST),
        "lines": LineParts(LONGEST),
        "list": ListParts(NAMES, LONGEST),
    }[kind]
    parts.feed(body)
    parts.feed(b"x" * (LONGEST - 20))
    with pytest.raises(Problem, match="longer than"):
        parts.feed(b"x" * LONGEST)
