from __future__ import annotations

import math
import sys

from hypothesis import given
from hypothesis import strategies as st

from workbench.tui.widgets.sparkline import BARS, GAP, sparkline

NUMBERS = st.one_of(st.none(), st.floats())


def test_the_least_is_lowest_and_the_greatest_is_highest() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7]) == BARS


def test_what_is_missing_or_not_finite_is_a_gap() -> None:
    assert sparkline([1, None, 8, math.nan, 1, math.inf]) == "▁ █ ▁ "


def test_values_that_are_all_the_same_are_half_high() -> None:
    assert sparkline([3, 3, math.nan, 3]) == "▄▄ ▄"


def test_values_that_share_a_bar_are_averaged() -> None:
    assert sparkline([0, 2, 10, 12], 2) == "▁█"


def test_a_fixed_scale_makes_two_lines_comparable() -> None:
    assert sparkline([0.5, 0.5], low=0, high=1) == "▅▅"
    assert sparkline([-5, 5], low=0, high=1) == "▁█"


def test_nothing_is_drawn_of_nothing() -> None:
    assert sparkline([]) == ""
    assert sparkline([None, math.nan]) == "  "
    assert sparkline([1, 2, 3], 0) == ""


def test_the_largest_numbers_there_are_can_be_averaged() -> None:
    largest = sys.float_info.max
    assert sparkline([largest] * 3 + [0, 0, 0], 2) == "█▁"
    assert sparkline([5e-324, 5e-324, 0.0, 0.0], 2) == "█▁"


@given(st.lists(NUMBERS, max_size=60), st.integers(1, 40))
def test_any_numbers_take_one_character_a_bar(values: list[float | None], width: int) -> None:
    bars = sparkline(values, width)
    assert len(bars) == min(width, len(values))
    assert set(bars) <= set(BARS + GAP)
