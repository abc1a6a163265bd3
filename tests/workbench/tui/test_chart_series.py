from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.tui.widgets.chart.series import Series, hidden_by_log, prepared, smoothed


def tensorboard(values: list[float], weight: float) -> list[float]:
    """TensorBoard's resmoothDataset (vz_line_chart2/line-chart.ts), word for word."""
    last, accumulated = 0.0, 0
    found = []
    for value in values:
        if math.isnan(value):
            found.append(value)
            continue
        last = last * weight + (1 - weight) * value
        accumulated += 1
        debias = 1.0 if weight == 1 else 1.0 - weight**accumulated
        found.append(last / debias)
    return found


@given(st.lists(st.floats(-1e6, 1e6) | st.just(math.nan)), st.sampled_from([0.5, 0.8, 0.99]))
def test_smoothing_is_tensorboards(values: list[float], weight: float) -> None:
    assert smoothed(values, weight) == pytest.approx(tensorboard(values, weight), nan_ok=True)


def test_smoothing_starts_at_the_first_value_and_keeps_gaps() -> None:
    found = smoothed([10.0, 10.0, math.nan, 10.0], 0.9)
    assert found[0] == pytest.approx(10)
    assert math.isnan(found[2])
    assert found[3] == pytest.approx(10)


def test_missing_and_infinite_values_are_gaps() -> None:
    y = prepared(Series("loss", [0, 1, 2, 3], [1.0, None, math.inf, math.nan]), False, False, 0.0).y
    assert y[0] == 1
    assert all(math.isnan(value) for value in y[1:])


def test_points_come_in_order_of_x_and_those_without_one_go() -> None:
    points = prepared(Series("loss", [3, 1, None, 2], [30, 10, 0, 20]), False, False, 0.0)
    assert (list(points.x), list(points.y)) == ([1, 2, 3], [10, 20, 30])
    scattered = prepared(Series("loss", [3, 1], [30, 10], is_scatter=True), False, False, 0.0)
    assert list(scattered.x) == [3, 1]
    assert not scattered.is_sorted


def test_a_logarithmic_axis_leaves_out_what_it_cannot_show() -> None:
    series = Series("loss", [0, 1, 10, 100], [5, -1, 0, 100])
    points = prepared(series, True, True, 0.0)
    assert list(points.x) == [0, 1, 2]
    assert math.isnan(points.y[0])
    assert math.isnan(points.y[1])
    assert points.y[2] == 2
    assert hidden_by_log(series) == 2


def test_bands_follow_their_line() -> None:
    points = prepared(Series("auc", [2, 1], [5, 4], low=[4, 3], high=[6, None]), False, False, 0.0)
    assert list(points.low) == [3, 4]
    assert math.isnan(points.high[0])


def test_lists_of_different_lengths_are_cut_to_the_shortest() -> None:
    assert list(prepared(Series("loss", [1, 2, 3], [1.0]), False, False, 0.0).x) == [1]


def test_huge_numbers_are_brought_to_where_differences_are_numbers() -> None:
    points = prepared(Series("loss", [0, 1], [1.7e308, -1.7e308]), False, False, 0.0)
    assert math.isfinite(points.y[0] - points.y[1])
