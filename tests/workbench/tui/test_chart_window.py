from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.tui.widgets.chart.series import ChartData, Mark, Points
from workbench.tui.widgets.chart.window import Window, frame_for, whole_x

WHOLE = (0.0, 100.0)
EMPTY = ChartData()


def test_zooming_keeps_what_is_under_the_cursor_where_it_is() -> None:
    zoomed = Window().zoomed_x(WHOLE, 0.5, 20)
    assert zoomed.x == (10, 60)


def test_zooming_out_ends_at_the_whole() -> None:
    zoomed = Window().zoomed_x(WHOLE, 0.5, 0)
    assert zoomed.x == (0, 50)
    assert zoomed.zoomed_x(WHOLE, 2, 0).is_whole
    assert Window().zoomed_x(WHOLE, 2, 50).is_whole


def test_zooming_in_has_an_end() -> None:
    window = Window()
    for _ in range(200):
        window = window.zoomed_x(WHOLE, 0.5, 33.3)
    assert window.x is not None
    assert window.x[1] > window.x[0]


def test_panning_ends_where_the_points_end() -> None:
    zoomed = Window(x=(10, 60))
    assert zoomed.panned_x(WHOLE, 0.2).x == (20, 70)
    assert zoomed.panned_x(WHOLE, 9).x == (50, 100)
    assert zoomed.panned_x(WHOLE, -9).x == (0, 50)
    assert Window().panned_x(WHOLE, 0.2).is_whole


def test_the_y_axis_zooms_about_its_middle_and_pans() -> None:
    assert Window().zoomed_y((0, 10), 0.5).y == (2.5, 7.5)
    assert Window(y=(0, 10)).panned_y((0, 1), 0.5).y == (5, 15)
    assert Window(y=(1, 1 + 1e-12)).zoomed_y((0, 1), 0.5).y == (1, 1 + 1e-12)


def test_y_follows_the_points_in_sight() -> None:
    points = [Points([0, 1, 2, 3], [0, 1, 5, 100])]
    assert frame_for(EMPTY, points, [], Window(), y_log=False).top == 100
    assert frame_for(EMPTY, points, [], Window(x=(0, 2)), y_log=False).top == 5
    assert frame_for(EMPTY, points, [], Window(x=(0, 2), y=(-1, 1)), y_log=False).top == 1


def test_y_has_room_for_bands_and_thresholds() -> None:
    points = [Points([0, 1], [1, 2], low=[0, 1], high=[2, math.nan])]
    frame = frame_for(EMPTY, points, [10], Window(), y_log=False)
    assert (frame.bottom, frame.top) == (0, 10)


def test_an_end_of_y_may_be_fixed() -> None:
    points = [Points([0, 1], [0.5, 0.6])]
    frame = frame_for(ChartData(y_range=(0, None)), points, [], Window(), y_log=False)
    assert frame.bottom == 0


@pytest.mark.parametrize("points", [[], [Points([], [])], [Points([0], [math.nan])]])
def test_without_points_there_is_still_a_plane(points: list[Points]) -> None:
    frame = frame_for(EMPTY, points, [], Window(), y_log=False)
    assert frame.left < frame.right
    assert frame.bottom < frame.top


def test_marks_make_a_plane_where_there_are_no_points() -> None:
    assert whole_x(ChartData(marks=[Mark(3), Mark(7)]), []) == (3, 7)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("zoom"), st.sampled_from([0.3, 0.7, 1.4]), st.floats(0, 100)),
        st.tuples(st.just("pan"), st.floats(-2, 2), st.just(0.0)),
    )
)


@given(STEPS)
def test_no_way_of_zooming_and_panning_leaves_the_points(steps: list[tuple[str, float, float]]) -> None:
    window = Window()
    for what, amount, about in steps:
        zooms = what == "zoom"
        window = window.zoomed_x(WHOLE, amount, about) if zooms else window.panned_x(WHOLE, amount)
        left, right = window.x or WHOLE
        assert 0 <= left < right <= 100 + 1e-9
