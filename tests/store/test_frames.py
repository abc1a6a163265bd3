"""Frames as pandas reads them from a file, made from single values."""

from __future__ import annotations

import io
from typing import Any

import pandas as pd
import pytest

from store.frames import build_frame
from store.model_files import ColumnSpec


@pytest.mark.parametrize(
    ("kind", "values", "text"),
    [
        ("double", [1.5, None], '1.5\n""'),
        ("long", [1, 2], "1\n2"),
        ("long", [1, None], '1\n""'),
        ("boolean", [True, False], "True\nFalse"),
        ("string", ["a", "b"], "a\nb"),
        ("string", ["a", None], 'a\n""'),
    ],
)
def test_dtypes_are_those_of_the_same_data_in_a_file(kind: str, values: list[Any], text: str) -> None:
    read = pd.read_csv(io.StringIO("x\n" + text + "\n"))
    pd.testing.assert_frame_equal(build_frame([ColumnSpec("x", kind, required=False)], {"x": values}), read)


def test_times_lose_their_zone_in_utc() -> None:
    spec = ColumnSpec("t", "datetime", required=False)
    frame = build_frame([spec], {"t": ["2026-01-01T02:00:00+02:00", None]})
    assert frame["t"].tolist()[0] == pd.Timestamp("2026-01-01")
    assert frame["t"].isna().tolist() == [False, True]


def test_text_that_is_missing_in_every_row_is_still_text_to_an_encoder() -> None:
    from sklearn.preprocessing import OneHotEncoder

    spec = ColumnSpec("plan", "string", required=False)
    encoder = OneHotEncoder(sparse_output=False).fit(build_frame([spec], {"plan": ["basic", "pro", None]}))
    assert encoder.transform(build_frame([spec], {"plan": [None]})).tolist() == [[0.0, 0.0, 1.0]]
