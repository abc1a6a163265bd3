from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.tui.widgets.histogram import HistogramStyles, draw_histogram

STYLES = HistogramStyles()


def text(*args: object, **options: object) -> list[str]:
    return [line.text for line in draw_histogram(*args, STYLES, **options)]  # type: ignore[arg-type]


def test_reference_now_and_both_have_glyphs_of_their_own() -> None:
    assert text([2, 2, 0], [0, 2, 2], 6, 1) == ["▒▒▓▓██"]


def test_sides_are_shares_of_their_own_totals() -> None:
    assert text([1000, 1000], [1, 1], 4, 1) == ["▓▓▓▓"]


def test_heights_compare_and_the_last_line_has_labels() -> None:
    assert text([4, 2], [2, 4], 4, 3, labels=["a", "b"]) == ["▒▒██", "▓▓▓▓", "a b "]


def test_bins_are_as_wide_as_their_edges_and_areas_compare() -> None:
    assert text([5, 5], [5, 5], 8, 5, edges=[0, 1, 4]) == [
        "▓▓      ",
        "▓▓      ",
        "▓▓      ",
        "▓▓▓▓▓▓▓▓",
        "0  2   4",
    ]


def test_ends_are_short_numbers_or_what_they_are_called() -> None:
    assert text([1], [1], 20, 2, edges=[-6 / 7, 48 / 7])[-1] == "-0.857   3      6.86"
    assert text([1], [1], 29, 2, edges=[1.23456, 1.23457])[-1] == "1.23456    1.23456    1.23457"
    assert text([1], [1], 20, 2, edges=[0.0, 1.0], ends=("May", "June", "July"))[-1] == "May     June    July"


def test_what_is_too_little_for_a_cell_leaves_a_trace() -> None:
    assert text([1000, 0], [1000, 1], 4, 1) == ["▓▓▁▁"]


def test_no_rows_yet_draw_the_reference_alone() -> None:
    assert text([1, 1], [0, 0], 2, 1) == ["▒▒"]
    assert text([0], [0], 2, 1) == ["  "]


def test_more_bins_than_columns_share_them() -> None:
    assert text([1] * 49, [0] * 49, 7, 1) == ["▒▒▒▒▒▒▒"]


def test_sides_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(ValueError, match="as many counts"):
        draw_histogram([1], [1, 2], 5, 2, STYLES)
    with pytest.raises(ValueError, match="one edge more"):
        draw_histogram([1], [1], 5, 2, STYLES, edges=[0.0])


SIDES = st.integers(1, 60).flatmap(
    lambda n: st.tuples(*(st.lists(st.integers(0, 10**6), min_size=n, max_size=n) for _ in range(2)))
)


@given(SIDES, st.integers(1, 50), st.integers(1, 8), st.booleans())
def test_any_counts_fill_their_cells_exactly(
    sides: tuple[list[int], list[int]], columns: int, rows: int, with_edges: bool
) -> None:
    edges = [float(place**2) for place in range(len(sides[0]) + 1)] if with_edges else None
    lines = draw_histogram(*sides, columns, rows, STYLES, edges=edges)
    assert [line.cell_length for line in lines] == [columns] * rows
    assert [len(line.text) for line in lines] == [columns] * rows
