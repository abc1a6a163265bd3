from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.tui.widgets.table.columns import Column
from workbench.tui.widgets.table.order import Sort
from workbench.tui.widgets.table.rows import Rows


@dataclass(frozen=True)
class Run:
    id: str
    name: str = ""
    depth: int | None = None


COLUMNS: list[Column[Run]] = [Column("name", "name"), Column("depth", "depth", align="right")]


def rows_of(*runs: Run) -> Rows[Run]:
    rows = Rows(COLUMNS, lambda run: run.id)
    rows.replace_rows(runs)
    return rows


def names(rows: Rows[Run]) -> list[str]:
    return [rows.rows[position].name for position in rows.shown]


def test_rows_stand_as_given_until_sorted() -> None:
    rows = rows_of(Run("1", "b", 1), Run("2", "a", 2), Run("3", "c", 1))
    assert names(rows) == ["b", "a", "c"]
    rows.sort([Sort("name")])
    assert names(rows) == ["a", "b", "c"]
    rows.sort([Sort("depth"), Sort("name", descending=True)])
    assert names(rows) == ["c", "b", "a"]
    rows.sort([])
    assert names(rows) == ["b", "a", "c"]


def test_two_rows_of_one_id_are_refused() -> None:
    with pytest.raises(ValueError, match="'1'"):
        rows_of(Run("1"), Run("2"), Run("1"))


def test_sort_and_filter_outlive_a_refresh() -> None:
    rows = rows_of(Run("1", "rf-1"), Run("2", "gbm"))
    rows.sort([Sort("name", descending=True)])
    rows.filter("rf", None)
    rows.replace_rows([Run("1", "rf-1"), Run("2", "gbm"), Run("3", "rf-2")])
    assert names(rows) == ["rf-2", "rf-1"]


def test_a_row_that_changed_is_searched_anew() -> None:
    rows = rows_of(Run("1", "rf"), Run("2", "rf"))
    rows.filter("rf", None)
    rows.replace_rows([Run("1", "gbm"), rows.rows[1]])
    assert [rows.ids[position] for position in rows.shown] == ["2"]


def test_a_filter_from_outside_joins_the_words() -> None:
    rows = rows_of(Run("1", "rf", 3), Run("2", "rf", 9), Run("3", "gbm", 9))
    rows.filter("rf", lambda run: (run.depth or 0) > 5)
    assert [rows.ids[position] for position in rows.shown] == ["2"]
    assert rows.is_filtered
    rows.filter("", None)
    assert len(rows.shown) == 3
    assert not rows.is_filtered


def test_what_is_searched_is_read_in_slices() -> None:
    rows = rows_of(*(Run(str(number), f"run {number}") for number in range(250)))
    slices = 1
    while not rows.prepare_filter(0):
        slices += 1
    assert slices == 3
    rows.filter("run 249", None)
    assert names(rows) == ["run 249"]


def test_a_row_is_found_by_its_id() -> None:
    rows = rows_of(Run("1", "b"), Run("2", "a"))
    rows.sort([Sort("name")])
    assert rows.index_of("1") == 1
    assert rows.index_of("9") is None
    assert rows.index_of(None) is None
    assert "1" in rows
    rows.filter("a", None)
    assert rows.index_of("1") is None
    assert rows.get("1") == Run("1", "b")


def test_a_sort_by_a_column_that_is_gone_ends() -> None:
    rows = rows_of(Run("1", "b", 1), Run("2", "a", 2))
    rows.sort([Sort("depth", descending=True), Sort("name"), Sort("odd")])
    assert rows.sorts == (Sort("depth", descending=True), Sort("name"))
    rows.replace_columns(COLUMNS[:1])
    assert rows.sorts == (Sort("name"),)
    assert names(rows) == ["a", "b"]


TEXTS = st.text(alphabet="ab 1", max_size=4)
RUNS = st.lists(st.tuples(TEXTS, st.one_of(st.none(), st.integers(0, 3))), max_size=12).map(
    lambda found: [Run(str(number), name, depth) for number, (name, depth) in enumerate(found)]
)
STEPS = st.lists(
    st.one_of(
        RUNS,
        TEXTS,
        st.sampled_from(
            [(), (Sort("depth"),), (Sort("name", descending=True),), (Sort("depth"), Sort("name"))]
        ),
    ),
    max_size=8,
)


@given(STEPS)
def test_any_way_to_a_state_shows_the_same_rows(steps: list[list[Run] | str | tuple[Sort, ...]]) -> None:
    walked = rows_of()
    runs: list[Run] = []
    text, sorts = "", ()
    for step in steps:
        if isinstance(step, str):
            text = step
            walked.filter(text, None)
        elif isinstance(step, tuple):
            sorts = step
            walked.sort(sorts)
        else:
            runs = step
            walked.replace_rows(runs)
    direct = rows_of(*runs)
    direct.sort(sorts)
    direct.filter(text, None)
    assert walked.shown == direct.shown
    assert set(direct.shown) == {
        place for place, run in enumerate(runs) if all(word in run.name for word in text.split())
    }
