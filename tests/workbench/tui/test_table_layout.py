from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from workbench.tui.widgets.table.columns import Column
from workbench.tui.widgets.table.layout import (
    GAP,
    GUTTER,
    fit_widths,
    natural_width,
    place,
    skipped_to_show,
    thumb,
    top_for_thumb,
)


def columns(*flexes: int) -> list[Column[Any]]:
    return [Column(f"c{number}", "title", flex=flex, min_width=4) for number, flex in enumerate(flexes)]


def test_a_column_is_as_wide_as_its_title_with_an_arrow_or_its_values() -> None:
    assert natural_width(Column("v", "loss"), []) == len("loss ↑")
    assert natural_width(Column("v", "loss", sortable=False), []) == len("loss")
    assert natural_width(Column("v", "v"), [{"v": "a long name"}, {"v": "x"}]) == len("a long name")
    assert natural_width(Column("v", "v", max_width=8), [{"v": "a long name"}]) == 8
    assert natural_width(Column("v", "v", width=5), [{"v": "a long name"}]) == 5
    assert natural_width(Column("v", "v"), [{"v": "日本語"}]) == 6


def test_flexible_columns_share_what_is_left() -> None:
    specs = columns(0, 1, 2)
    widths = fit_widths(specs, dict.fromkeys(("c0", "c1", "c2"), 10), {}, GUTTER + 30 + 2 * GAP + 9)
    assert widths == {"c0": 10, "c1": 13, "c2": 16}


def test_flexible_columns_give_up_what_is_missing_down_to_their_least() -> None:
    specs = columns(0, 1, 1)
    natural = {"c0": 10, "c1": 10, "c2": 10}
    assert fit_widths(specs, natural, {}, GUTTER + 30 + 2 * GAP - 4) == {"c0": 10, "c1": 8, "c2": 8}
    assert fit_widths(specs, natural, {}, 10) == {"c0": 10, "c1": 4, "c2": 4}


def test_the_widest_column_gives_up_first() -> None:
    natural = {"c0": 9, "c1": 30, "c2": 10}
    room = GUTTER + 2 * GAP
    assert fit_widths(columns(1, 1, 1), natural, {}, room + 40) == {"c0": 9, "c1": 21, "c2": 10}
    assert fit_widths(columns(1, 1, 1), natural, {}, room + 29) == {"c0": 9, "c1": 10, "c2": 10}
    assert fit_widths(columns(1, 1, 1), natural, {}, room + 26) == {"c0": 9, "c1": 9, "c2": 8}


def test_a_width_that_a_person_chose_is_kept() -> None:
    assert fit_widths(columns(1, 1), {"c0": 10, "c1": 10}, {"c0": 7}, GUTTER + GAP + 30)["c0"] == 7


def test_the_first_column_stays_while_others_scroll_out() -> None:
    specs = columns(0, 0, 0, 0)
    widths = {column.key: 10 for column in specs}
    layout = place(specs, widths, GUTTER + 10 + GAP + 10 + GAP + 10, 1)
    assert [slot.column.key for slot in layout.slots] == ["c0", "c2", "c3"]
    assert layout.more_left
    assert not layout.more_right
    unscrolled = place(specs, widths, GUTTER + 10 + GAP + 18, 0)
    assert [(slot.column.key, slot.cells) for slot in unscrolled.slots] == [("c0", 10), ("c1", 10), ("c2", 6)]
    assert unscrolled.more_right
    a_few_letters = place(specs, widths, GUTTER + 10 + GAP + 17, 0)
    assert [slot.column.key for slot in a_few_letters.slots] == ["c0", "c1"]


def test_half_a_number_is_not_shown() -> None:
    specs: list[Column[Any]] = [Column("name", "name"), Column("rmse", "rmse", align="right")]
    layout = place(specs, {"name": 10, "rmse": 10}, GUTTER + 10 + GAP + 5, 0)
    assert [slot.column.key for slot in layout.slots] == ["name"]
    assert layout.more_right


def test_a_column_out_of_sight_is_brought_in_by_scrolling_least() -> None:
    specs = columns(0, 0, 0, 0)
    widths = {column.key: 10 for column in specs}
    room = GUTTER + 10 + 2 * (GAP + 10)
    assert skipped_to_show(specs, widths, room, 0, "c2") == 0
    assert skipped_to_show(specs, widths, room, 0, "c3") == 1
    assert skipped_to_show(specs, widths, room, 1, "c1") == 0
    assert skipped_to_show(specs, widths, room, 2, "c0") == 0


def test_a_cell_is_found_by_where_it_is() -> None:
    specs = columns(0, 0)
    layout = place(specs, {"c0": 5, "c1": 5}, 80, 0)
    assert layout.hit(1) == (None, "gutter")
    assert layout.hit(GUTTER) == ("c0", "column")
    assert layout.hit(GUTTER + 5) == ("c0", "edge")
    assert layout.hit(GUTTER + 5 + GAP) == ("c1", "column")
    assert layout.hit(79) == (None, "column")


SPECS = st.lists(
    st.builds(
        Column,
        key=st.uuids().map(str),
        title=st.just("t"),
        flex=st.integers(0, 3),
        min_width=st.integers(3, 6),
    ),
    min_size=1,
    max_size=12,
)


@given(SPECS, st.integers(1, 200), st.integers(0, 15), st.data())
def test_slots_never_overlap_and_never_leave_the_table(
    specs: list[Column[Any]], available: int, skipped: int, data: st.DataObject
) -> None:
    natural = {column.key: data.draw(st.integers(column.min_width, 40)) for column in specs}
    widths = fit_widths(specs, natural, {}, available)
    assert all(widths[column.key] >= column.min_width for column in specs)
    layout = place(specs, widths, available, skipped)
    end = GUTTER - GAP
    for slot in layout.slots:
        assert slot.x == end + GAP
        assert 0 < slot.cells <= widths[slot.column.key]
        end = slot.x + slot.cells
    assert end <= max(available, GUTTER)
    if (
        any(column.flex for column in specs)
        and sum(natural.values()) + GUTTER + GAP * len(specs) <= available
    ):
        assert sum(widths.values()) + GUTTER + GAP * (len(specs) - 1) == available


def test_the_thumb_stands_where_the_page_does() -> None:
    assert list(thumb(10, 10, 0)) == []
    assert list(thumb(100, 10, 0)) == [0]
    assert list(thumb(100, 10, 90)) == [9]
    assert list(thumb(20, 10, 5)) == [2, 3, 4, 5, 6]


@given(st.integers(0, 10**6), st.integers(1, 100), st.integers(-50, 200), st.floats(0, 1))
def test_the_thumb_never_leaves_the_page(rows: int, page: int, line: int, share: float) -> None:
    last = max(0, rows - page)
    lines = thumb(rows, page, round(share * last))
    assert not lines or 0 <= lines[0] <= lines[-1] < page
    assert 0 <= top_for_thumb(rows, page, line) <= last
    assert top_for_thumb(rows, page, 200) == last
    assert top_for_thumb(rows, page, -1) == 0
