"""Marks of the rows that a model has learnt from."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipelines.learnt_rows import from_bytes, learnt_by_other_alone, row_marks, to_bytes

FRAME = pd.DataFrame(
    {"a": [1.0, 2.0, np.nan, -0.0], "city": ["Rom", None, "Köln", "Rom"], "extra": [9, 9, 9, 9]}
)
LABELS = np.array([0, 1, 0, 1])
COLUMNS = ("a", "city")


def test_a_row_keeps_its_mark_wherever_and_in_whatever_type_it_comes() -> None:
    marks = row_marks(FRAME, COLUMNS, LABELS)
    turned = FRAME.iloc[::-1].assign(extra=1)
    assert row_marks(turned, COLUMNS, LABELS[::-1]).tolist() == marks[::-1].tolist()
    whole = pd.DataFrame({"a": [1, 2, 0], "city": pd.Series(["Rom", None, "Rom"], dtype="category")})
    assert row_marks(whole, COLUMNS, np.array([0, 1, 1])).tolist() == marks[[0, 1, 3]].tolist()


def test_another_value_or_label_is_another_row() -> None:
    marks = row_marks(FRAME, COLUMNS, LABELS)
    assert len(set(marks.tolist())) == 4
    assert not set(row_marks(FRAME, COLUMNS, 1 - LABELS).tolist()) & set(marks.tolist())


def test_what_is_stored_is_read_back_and_anything_else_is_refused() -> None:
    columns, learnt = from_bytes(to_bytes(COLUMNS, row_marks(FRAME, COLUMNS, LABELS)))
    assert columns == COLUMNS
    assert learnt.tolist() == sorted(row_marks(FRAME, COLUMNS, LABELS).tolist())
    for content in (b"", b"PK\x03\x04 torn", to_bytes(COLUMNS, learnt)[:60]):
        with pytest.raises(ValueError, match=r"marks|file|pickle"):
            from_bytes(content)


def test_a_row_that_both_have_seen_favours_neither() -> None:
    marks = np.arange(6, dtype=np.uint32)
    only_theirs = learnt_by_other_alone(marks[[0, 1, 2]], marks[[1, 2, 5]], marks[[2, 3]])
    assert only_theirs.tolist() == [True, False, False]
