"""Columns are taken for what a person would take them for."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from pipelines.columns import infer_kind, infer_kinds, infer_task, to_dates, to_numbers, typed


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2, 3.5], "numeric"),
        ([" 3.5 ", "1,234", "12"], "numeric"),
        (["1,5", "2,5", "3"], "numeric"),
        (["a", "b", "a"], "categorical"),
        ([True, False, None], "boolean"),
        (["yes", "no", "yes"], "boolean"),
        (["2020-01-31", "2020-02-01", None], "datetime"),
        (["31.01.2020", "01.02.2020", "15.03.2020"], "datetime"),
        ([7, 7, 7], "constant"),
        ([None, None], "constant"),
        (list(range(100, 150)), "id"),
        ([f"C{n}" for n in range(50)], "id"),
        ([f"customer number {n} came again today" for n in range(50)], "text"),
    ],
)
def test_kinds(values: list[Any], kind: str) -> None:
    guess = infer_kind("column", pd.Series(values))
    assert guess.kind == kind
    assert guess.reason


def test_different_whole_numbers_are_an_id_only_when_they_are_called_so() -> None:
    salaries = pd.Series([n * n * 37 % 10_007 for n in range(1, 60)])
    assert salaries.is_unique
    assert infer_kind("salary", salaries).kind == "numeric"
    assert infer_kind("customer_id", salaries).kind == "id"


@pytest.mark.parametrize(
    ("values", "task"),
    [
        ([0, 1, 1, 0], "binary"),
        (["yes", "no", "no"], "binary"),
        ([True, False], "binary"),
        (["a", "b", "c"], "multiclass"),
        ([0, 1, 2] * 30, "multiclass"),
        (list(range(50)), "regression"),
        ([0.5, 1.5, 2.25], "regression"),
        (["1,5", "2,5", "7,25"], "regression"),
    ],
)
def test_tasks(values: list[Any], task: str) -> None:
    assert infer_task(pd.Series(values))[0] == task


def test_words_become_numbers_and_dates_and_gaps_stay_gaps() -> None:
    frame = pd.DataFrame(
        {
            "n": ["1,234", None, "5"],
            "d": ["2020-01-31 13:00", None, "2020-02-01 00:00"],
            "b": [True, None, False],
        }
    )
    result = typed(frame, infer_kinds(frame))
    assert result["n"].tolist()[0] == 1234.0
    assert result["d"].iloc[0] == pd.Timestamp("2020-01-31 13:00")
    assert result["b"].tolist()[0] == 1.0
    assert result.isna().sum().tolist() == [1, 1, 1]


def test_what_is_no_number_or_date_is_none() -> None:
    assert to_numbers(pd.Series(["1", "x"])) is None
    assert to_dates(pd.Series(["2020-13-45", "x"])) is None
