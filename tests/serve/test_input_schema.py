"""Rows of numbers: the quick ways to the model's array take what the careful one takes, and nothing else."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve.bodies import may_hold_booleans
from serve.input_schema import InputSchema
from serve.problems import Problem
from serve.row_parts import LineParts, ListParts, read_rows
from store.model_files import ColumnSpec

NAMES = ("a", "us", "true")


def schema_of(*, required: bool = True, rules: Any = None, kind: str = "double") -> InputSchema:
    columns = tuple(ColumnSpec(name, kind if name == "a" else "double", required) for name in NAMES)
    file = SimpleNamespace(metadata={"columns": rules or {}})
    model: Any = SimpleNamespace(
        file=file, columns=columns, needs_frame=False, dtype="float64", frame_plan=None
    )
    return InputSchema(model)


SCHEMAS = {
    "plain": schema_of(),
    "optional": schema_of(required=False),
    "whole": schema_of(kind="long"),
    "limited": schema_of(rules={"us": {"min": 0, "max": 10}}),
}
good = st.floats(-20, 20) | st.integers(-20, 20)
cell: st.SearchStrategy[Any] = (
    good
    | st.sampled_from([None, True, False, "1", "true", [], [1.0], {}, 2**70, 10**400, 1e-320])
    | st.floats()
)


def of(cells: Any) -> Any:
    records = st.fixed_dictionaries(dict.fromkeys(NAMES, cells))
    return st.lists(st.lists(cells, min_size=3, max_size=3), min_size=1, max_size=6) | st.lists(
        records, min_size=1, max_size=6
    )


odd = st.lists(
    st.lists(cell, max_size=4) | st.dictionaries(st.sampled_from([*NAMES, "d"]), cell) | cell,
    min_size=1,
    max_size=4,
)


def outcome(schema: InputSchema, rows: list[Any], *, may_hold: bool) -> Any:
    try:
        batch = schema.from_json(rows, may_hold_booleans=may_hold)
    except Problem as problem:
        return problem.status, problem.detail, problem.errors
    assert batch.model_input.flags.writeable
    return batch.n_rows, batch.model_input.tobytes(), np.array(batch.numeric, dtype=float).tobytes()


@pytest.mark.parametrize("name", SCHEMAS)
@settings(max_examples=150, deadline=None)
@given(rows=of(good) | of(cell) | odd)
def test_packed_rows_are_what_checked_rows_are(name: str, rows: list[Any]) -> None:
    body = json.dumps(rows).encode()
    schema = SCHEMAS[name]
    assert outcome(schema, rows, may_hold=may_hold_booleans(body)) == outcome(schema, rows, may_hold=True)


@pytest.mark.parametrize(
    ("text", "may_hold"),
    [
        (b"[1.5e3, 2]", False),
        (b'[{"us": 1, "s": null}]', False),
        (b"[true]", True),
        (b"[false]", True),
        (b'[{"true": 1}]', True),
    ],
)
def test_text_with_the_words_may_hold_booleans(text: bytes, may_hold: bool) -> None:
    assert may_hold_booleans(text) is may_hold


@pytest.mark.parametrize("row", [b"[1,2,true]", b'{"a":1,"b":false}'])
def test_each_way_of_reading_records_tells_of_booleans(row: bytes) -> None:
    assert read_rows(b"[" + row + b"]", "application/json", NAMES).may_hold_booleans
    assert read_rows(row + b"\n[1]", "application/x-ndjson", NAMES).may_hold_booleans
    assert read_rows(b"a\ntrue\n", "text/csv", NAMES).may_hold_booleans
    assert not read_rows(b"[[1,2]]", "application/json", NAMES).may_hold_booleans
    lines, records = LineParts(1_000), ListParts(NAMES, 1_000)
    assert lines.feed(row + b"\n").may_hold_booleans
    assert records.feed(b"[" + row + b",").may_hold_booleans
    assert not lines.feed(b"[1]\n").may_hold_booleans
    assert not records.feed(b"[1],").may_hold_booleans
    lines.feed(row)
    assert lines.finish().may_hold_booleans
    records.feed(row + b"]")
    assert records.finish().may_hold_booleans
