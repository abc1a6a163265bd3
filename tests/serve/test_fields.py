"""What one field of a request takes, from the signature's column and the rule logged with the version."""

from __future__ import annotations

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
