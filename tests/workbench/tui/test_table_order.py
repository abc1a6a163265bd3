from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from workbench.tui.widgets.table.columns import Column
from workbench.tui.widgets.table.order import (
    haystack,
    matching,
    narrows,
    natural,
    sort_values,
    sorted_positions,
)


@dataclass(frozen=True)
class Run:
    name: str = ""
    rmse: float | None = None
    curve: tuple[float | None, ...] | None = None


def order(values: list[Any], *, descending: bool = False) -> list[Any]:
    return [values[place] for place in sorted_positions(values, range(len(values)), descending=descending)]


def test_missing_values_are_last_and_nan_before_them_either_way() -> None:
    values = [None, 2.0, math.nan, 1.0, None]
    assert order(values)[:2] == [1.0, 2.0]
    assert math.isnan(order(values)[2])
    assert order(values)[3:] == [None, None]
    assert order(values, descending=True)[:2] == [2.0, 1.0]
    assert math.isnan(order(values, descending=True)[2])


def test_missing_is_not_zero() -> None:
    assert order([None, 0.0, -1.0]) == [-1.0, 0.0, None]


def test_ties_stay_as_they_came_either_way() -> None:
    values = [1, 0, 1, 0]
    assert sorted_positions(values, range(4), descending=False) == [1, 3, 0, 2]
    assert sorted_positions(values, range(4), descending=True) == [0, 2, 1, 3]
    assert sorted_positions(values, [3, 1, 2, 0], descending=False) == [3, 1, 2, 0]


def test_texts_go_by_the_numbers_in_them_and_ignore_case() -> None:
    assert order(["run-10", "Run-9", "run-1"]) == ["run-1", "Run-9", "run-10"]
    assert natural("v2.10") > natural("V2.9")


def test_kinds_that_do_not_compare_are_kept_apart() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    assert order(["b", 3, moment, "a", 1.5, True]) == [True, 1.5, 3, moment, "a", "b"]
    assert order([moment, datetime(2025, 1, 1)]) == [datetime(2025, 1, 1), moment]  # noqa: DTZ001 - naive is the point


def test_a_sparkline_sorts_by_the_last_finite_number() -> None:
    column: Column[Run] = Column("curve", "curve", sparkline=True)
    rows = [Run(curve=(1, 9)), Run(curve=(5, None)), Run(curve=(math.nan,)), Run(curve=None)]
    assert sort_values(column, rows) == [9, 5, None, None]


def test_a_column_may_say_what_to_sort_by() -> None:
    severity = {"critical": 0, "ok": 1}
    column: Column[Run] = Column("name", "severity", sort_key=severity.get)
    assert sort_values(column, [Run("ok"), Run("critical"), Run("odd")]) == [1, 0, None]


VALUES = st.lists(st.one_of(st.none(), st.floats(allow_nan=True), st.integers(-3, 3), st.booleans()))


@given(VALUES, st.booleans())
def test_sorting_numbers_is_a_stable_sort_with_nan_and_missing_behind(
    values: list[float | None], descending: bool
) -> None:
    def naive() -> list[int]:
        numbers = [place for place, v in enumerate(values) if v is not None and not math.isnan(v)]
        for end in range(len(numbers), 1, -1):  # a bubble sort: the plainest of the stable ones
            for place in range(end - 1):
                left, right = values[numbers[place]], values[numbers[place + 1]]
                assert left is not None
                assert right is not None
                if (left < right) if descending else (left > right):
                    numbers[place], numbers[place + 1] = numbers[place + 1], numbers[place]
        nans = [place for place, v in enumerate(values) if v is not None and math.isnan(v)]
        return numbers + nans + [place for place, v in enumerate(values) if v is None]

    assert sorted_positions(values, range(len(values)), descending=descending) == naive()


MIXED = st.lists(st.one_of(st.none(), st.floats(), st.integers(), st.text(), st.datetimes(), st.dates()))


@given(MIXED, st.booleans())
def test_any_values_can_be_sorted_and_none_is_lost(values: list[Any], descending: bool) -> None:
    found = sorted_positions(values, range(len(values)), descending=descending)
    assert sorted(found) == list(range(len(values)))


WORDS = st.lists(st.sampled_from(["rf", "GBM", "depth", "12", "ß", "日本"]), max_size=3).map(" ".join)


@given(st.lists(WORDS), WORDS)
def test_a_filter_keeps_the_rows_that_have_all_its_words(names: list[str], text: str) -> None:
    columns: list[Column[Run]] = [Column("name", "name")]
    haystacks = [haystack(columns, Run(name)) for name in names]
    expected = [
        place
        for place, name in enumerate(names)
        if all(word.casefold() in name.casefold() for word in text.split())
    ]
    assert matching(haystacks, range(len(names)), text) == expected


@given(st.lists(WORDS), WORDS, WORDS)
def test_typing_on_only_narrows(names: list[str], text: str, more: str) -> None:
    haystacks = [name.casefold() for name in names]
    assert narrows(text + more, text)
    all_at_once = matching(haystacks, range(len(names)), text + more)
    step_by_step = matching(haystacks, matching(haystacks, range(len(names)), text), text + more)
    assert all_at_once == step_by_step


def test_a_filter_never_joins_two_cells_into_a_match() -> None:
    columns: list[Column[Any]] = [Column("a", "a"), Column("b", "b")]
    assert matching([haystack(columns, {"a": "left", "b": "right"})], [0], "leftright") == []
