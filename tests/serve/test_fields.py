"""What one field of a request takes, from the signature's column and the rule logged with the version."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from serve.fields import Field, MismatchError
from store.model_files import ColumnSpec

TRUTH_WITH_GAPS = Field.of(ColumnSpec("flag", "double", required=False), {"kind": "boolean", "null": True})


@pytest.mark.parametrize(
    ("value", "taken"), [(True, True), (False, False), (1, True), (0.0, False), (None, None)]
)
def test_true_and_false_with_gaps_are_asked_for_as_true_and_false(value: Any, taken: Any) -> None:
    assert TRUTH_WITH_GAPS.from_json(value) is taken
    assert TRUTH_WITH_GAPS.expected == "true or false"


def test_a_number_is_no_truth() -> None:
    with pytest.raises(MismatchError, match="expected true or false, got 7"):
        TRUTH_WITH_GAPS.from_json(7)
    number = Field.of(ColumnSpec("age", "double", required=True), {"kind": "numeric"})
    with pytest.raises(MismatchError, match="expected a number, got true"):
        number.from_json(True)


NOTHING = object()
"""In the tables below: the value is refused."""


@pytest.mark.parametrize(
    ("kind", "value", "taken"),
    [
        ("double", 1, 1.0),
        ("double", -0.5, -0.5),
        ("double", "1.5", NOTHING),
        ("double", True, NOTHING),
        ("double", float("nan"), NOTHING),
        ("double", 10**400, NOTHING),
        ("long", 3, 3.0),
        ("long", 3.0, 3.0),
        ("long", 3.5, NOTHING),
        ("long", 2**63, NOTHING),
        ("integer", 2**31 - 1, 2.0**31 - 1),
        ("integer", 2**31, NOTHING),
        ("long", "3", NOTHING),
        ("boolean", True, True),
        ("boolean", 0, False),
        ("boolean", 1.0, True),
        ("boolean", 2, NOTHING),
        ("boolean", "true", NOTHING),
        ("string", "x", "x"),
        ("string", "", ""),
        ("string", 5, NOTHING),
        ("string", "\ud800", NOTHING),
        ("datetime", "2026-01-02", datetime(2026, 1, 2, tzinfo=UTC)),
        ("datetime", "2026-01-02T03:04:05+01:00", datetime(2026, 1, 2, 2, 4, 5, tzinfo=UTC)),
        ("datetime", "2026-01-02 03:04:05", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("datetime", "soon", NOTHING),
        ("datetime", 1767312000, NOTHING),
    ],
)
def test_a_json_value_keeps_its_type_or_is_refused(kind: str, value: Any, taken: Any) -> None:
    field = Field.of(ColumnSpec("x", kind, required=True), {})
    if taken is NOTHING:
        with pytest.raises(MismatchError, match="expected"):
            field.from_json(value)
    else:
        assert field.from_json(value) == taken
        assert type(field.from_json(value)) is type(taken)


@pytest.mark.parametrize(
    ("kind", "cell", "taken"),
    [
        ("double", " 1.5 ", 1.5),
        ("double", "1e3", 1000.0),
        ("double", "1,5", NOTHING),
        ("double", "1_000", NOTHING),
        ("double", "inf", NOTHING),
        ("long", "3", 3.0),
        ("long", "3.0", 3.0),
        ("long", "3.5", NOTHING),
        ("boolean", "Yes", True),
        ("boolean", "0", False),
        ("boolean", "2", NOTHING),
        ("string", " x ", "x"),
        ("datetime", "2026-01-02", datetime(2026, 1, 2, tzinfo=UTC)),
        ("datetime", "02.01.2026", NOTHING),
    ],
)
def test_a_cell_of_a_csv_is_read_as_its_column(kind: str, cell: str, taken: Any) -> None:
    field = Field.of(ColumnSpec("x", kind, required=True), {})
    if taken is NOTHING:
        with pytest.raises(MismatchError, match="expected"):
            field.from_text(cell)
    else:
        assert field.from_text(cell) == taken


@pytest.mark.parametrize("cell", ["", "  ", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"])
def test_an_empty_cell_is_missing_and_needs_an_optional_column(cell: str) -> None:
    assert Field.of(ColumnSpec("x", "double", required=False), {}).from_text(cell) is None
    with pytest.raises(MismatchError, match="empty cell"):
        Field.of(ColumnSpec("x", "double", required=True), {}).from_text(cell)


def test_the_column_rule_says_whether_a_value_may_be_missing() -> None:
    assert Field.of(ColumnSpec("x", "double", required=True), {"null": True}).from_json(None) is None
    with pytest.raises(MismatchError, match="got null"):
        Field.of(ColumnSpec("x", "double", required=False), {"null": False}).from_json(None)
