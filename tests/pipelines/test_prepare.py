"""Data that can't be learned from is refused with the column, the rows and the way out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipelines.prepare import Prepared, prepare
from pipelines.settings import PipelineSettings
from store.errors import DataError, SettingsError


def run(frame: pd.DataFrame, **settings: Any) -> Prepared:
    settings = {"data": "t.csv", "target": "y", **settings}
    return prepare(PipelineSettings.model_validate(settings), frame, has_features_function=False)


def table(**columns: Any) -> pd.DataFrame:
    n = 40
    base = {"a": np.linspace(0, 1, n), "city": ["x", "y"] * (n // 2), "y": ["no", "yes"] * (n // 2)}
    return pd.DataFrame({**base, **columns})


@pytest.mark.parametrize(
    ("columns", "settings", "message"),
    [
        ({}, {"target": "Y"}, "no column 'Y' .target.*"),
        ({}, {"target": "churn"}, "no column 'churn'.*Columns are: a, city, y"),
        ({}, {"features": ["a", "cty"]}, "no column 'cty' .features.*Did you mean 'city'"),
        ({}, {"ignore": ["b"]}, "no column 'b' .ignore"),
        ({"y": ["no"] * 40}, {}, "is no in every row"),
        ({"y": [None, *["no", "yes"] * 19, None]}, {}, "missing in 2 of 40 rows, first in row 1"),
        ({"y": [None] * 40}, {}, "no value in any row"),
        ({"y": ["no", "yes"] * 19 + ["no", "maybe"]}, {}, "class 'maybe' of target 'y' has one row only"),
        ({"y": ["a", "b"] * 19 + ["c", "c"]}, {"task": "binary"}, "3 classes, and task is binary"),
        ({"y": ["1", "x"] * 20}, {"task": "regression"}, "holds 'x', no number"),
        ({"a": [*[1.0] * 38, np.inf, 2.0]}, {}, "column 'a' holds 1 infinite values"),
        ({"a": [1.0] * 40, "city": ["x"] * 40}, {}, "no column is left to learn from"),
        ({}, {"columns": {"a": {"max": 0.5}}}, "'a' must be at most 0.5; 20 rows break this, first row 21"),
        ({}, {"columns": {"city": {"values": ["x"]}}}, "'city' must be one of x"),
        (
            {"when": ["soon"] * 40},
            {"time_column": "when", "split": {"strategy": "time"}},
            "holds neither dates nor numbers",
        ),
        (
            {"group": ["g"] * 40},
            {"split": {"strategy": "group", "group_column": "group"}},
            "has one value only",
        ),
        (
            {"y": ["a", "b"] * 17 + ["c"] * 6, "day": range(40)},
            {"time_column": "day", "split": {"strategy": "time"}},
            "occurs in the held-out rows only",
        ),
    ],
)
def test_refusals(columns: dict[str, Any], settings: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        run(table(**columns), **settings)
    assert caught.value.hint


def test_a_target_among_the_features_is_refused() -> None:
    with pytest.raises(SettingsError, match="among the features"):
        run(table(), features=["a", "y"])


def test_ids_texts_and_constants_are_left_out_unless_named() -> None:
    frame = table(id=[f"C{n}" for n in range(40)], one=[1] * 40)
    prepared = run(frame)
    assert prepared.features == ("a", "city")
    assert [note for note in prepared.notes if "'id' left out" in note]
    assert run(frame, features=["id"]).features == ("id",)


def test_id_and_time_columns_are_no_features_unless_named() -> None:
    frame = table(day=[n // 2 for n in range(40)])
    assert run(frame, time_column="day", id_column="city").features == ("a",)
    assert run(frame, time_column="day", features=["day", "a"]).features == ("day", "a")


@pytest.mark.parametrize(
    ("target", "kind", "classes"),
    [
        ([0, 1] * 20, "i", (0, 1)),
        ([0.0, 1.0] * 20, "i", (0, 1)),
        ([True, False] * 20, "b", (False, True)),
        (["no", "yes"] * 20, "U", ("no", "yes")),
    ],
)
def test_classes_keep_their_type(target: list[Any], kind: str, classes: tuple[Any, ...]) -> None:
    prepared = run(table(y=target))
    assert prepared.labels.dtype.kind == kind
    assert prepared.classes == classes
    assert [type(label) for label in prepared.classes] == [type(label) for label in classes]


def test_whole_numbers_are_learned_as_the_server_gets_them() -> None:
    prepared = run(table(n=range(0, 80, 2)))
    assert prepared.X_train["n"].dtype == "float64"
