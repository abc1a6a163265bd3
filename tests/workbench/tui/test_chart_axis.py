from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.tui.widgets.chart.axis import (
    compact,
    linear_ticks,
    log_ticks,
    nice_range,
    nice_step,
    time_text,
    time_ticks,
    widened,
)

FINITE = st.floats(min_value=-1e300, max_value=1e300)


def labels(low: float, high: float, count: int) -> list[str]:
    return [tick.label for tick in linear_ticks(low, high, count)]


def test_steps_are_one_two_two_and_a_half_or_five() -> None:
    assert [nice_step(span, 10) for span in (10, 15, 22, 40, 60)] == [1, 2, 2.5, 5, 10]


@pytest.mark.parametrize(
    ("low", "high", "count", "expected"),
    [
        (0, 1, 5, ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (0, 2000, 4, ["0", "500", "1000", "1500", "2000"]),
        (0, 80_000, 4, ["0", "20k", "40k", "60k", "80k"]),
        (0, 2.5e6, 5, ["0", "0.5M", "1.0M", "1.5M", "2.0M", "2.5M"]),
        (-1, 1, 4, ["-1.0", "-0.5", "0", "0.5", "1.0"]),
        (0, 3e-7, 3, ["0", "1e-07", "2e-07", "3e-07"]),
        (1e9, 1e9 + 4, 4, ["1000000000", "1000000001", "1000000002", "1000000003", "1000000004"]),
    ],
)
def test_labels_are_short_and_tell_ticks_apart(
    low: float, high: float, count: int, expected: list[str]
) -> None:
    assert labels(low, high, count) == expected


def test_powers_of_ten_on_a_logarithmic_axis_and_between_them_where_there_are_few() -> None:
    assert [tick.label for tick in log_ticks(-3, 2, 8)] == ["0.001", "0.01", "0.1", "1", "10", "100"]
    assert [tick.label for tick in log_ticks(-6, 6, 4)] == ["1e-6", "0.01", "100", "1M"]
    assert [tick.label for tick in log_ticks(0.1, 0.9, 8)] == ["2", "5"]
    assert [tick.at for tick in log_ticks(0.5, 0.6, 4)]


UTC_DAY = datetime(2026, 11, 21, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("seconds", "count", "expected"),
    [
        (0.01, 2, ["00:00:00.000", "00:00:00.005", "00:00:00.010"]),
        (1, 4, ["00:00:00.00", "00:00:00.25", "00:00:00.50", "00:00:00.75", "00:00:01.00"]),
        (2, 3, ["00:00:00", "00:00:01", "00:00:02"]),
        (40, 4, ["21 Nov", "00:00:10", "00:00:20", "00:00:30", "00:00:40"]),
        (3600 * 4, 4, ["21 Nov", "01:00", "02:00", "03:00", "04:00"]),
        (86400 * 2, 4, ["21 Nov", "12:00", "22 Nov", "12:00", "23 Nov"]),
        (86400 * 4, 4, ["21 Nov", "22 Nov", "23 Nov", "24 Nov", "25 Nov"]),
        (86400 * 120, 4, ["Dec 2026", "2027", "Feb 2027", "Mar 2027"]),
        (86400 * 365 * 4, 4, ["2027", "2028", "2029", "2030"]),
    ],
)
def test_times_are_labelled_as_briefly_as_their_distance_allows(
    seconds: float, count: int, expected: list[str]
) -> None:
    ticks = time_ticks(UTC_DAY, UTC_DAY + seconds, count, UTC)
    assert [tick.label for tick in ticks] == expected


def test_times_are_round_in_their_own_zone() -> None:
    kolkata = timezone(timedelta(hours=5, minutes=30))
    ticks = time_ticks(UTC_DAY, UTC_DAY + 3600 * 12, 4, kolkata)
    assert [tick.label for tick in ticks] == ["06:00", "09:00", "12:00", "15:00"]


def test_days_stay_days_when_clocks_change() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    start = datetime(2026, 10, 23, tzinfo=berlin).timestamp()
    ticks = time_ticks(start, start + 5 * 86400, 5, berlin)
    assert [tick.label for tick in ticks] == ["23 Oct", "24 Oct", "25 Oct", "26 Oct", "27 Oct"]


def test_a_moment_is_given_in_full() -> None:
    assert time_text(UTC_DAY, UTC) == "2026-11-21 00:00:00"
    assert time_text(1e300, UTC) == "1.000e+300"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.05, "0.05"),
        (1234, "1234"),
        (12345, "12.35k"),
        (1e-6, "1e-6"),
        (3e20, "3e20"),
        (2e9, "2G"),
    ],
)
def test_numbers_on_an_axis_are_compact(value: float, text: str) -> None:
    assert compact(value) == text


@given(FINITE, FINITE, st.integers(1, 20))
def test_ticks_lie_in_their_range_and_are_not_too_many(one: float, other: float, count: int) -> None:
    low, high = widened(min(one, other), max(one, other))
    for ticks in (linear_ticks(low, high, count), time_ticks(low, high, count, UTC)):
        slack = (high - low) * 1e-6
        assert all(low - slack <= tick.at <= high + slack for tick in ticks)
        assert len(ticks) <= 5 * count + 2
        places = [tick.at for tick in ticks]
        assert places == sorted(places)


@given(st.floats(-290, 290), st.floats(0.001, 500), st.integers(1, 20))
def test_logarithmic_ticks_lie_in_their_range(low: float, span: float, count: int) -> None:
    high = min(low + span, 300.0)
    for tick in log_ticks(low, high, count):
        assert low - 1e-6 <= tick.at <= high + 1e-6
        assert tick.label


@given(FINITE, FINITE)
def test_a_nice_range_holds_what_it_was_made_for(one: float, other: float) -> None:
    low, high = nice_range(min(one, other), max(one, other))
    assert low <= min(one, other)
    assert max(one, other) <= high
    assert low < high
    assert math.isfinite(high - low)


def test_a_nice_range_seldom_changes_as_data_grow() -> None:
    ranges = {nice_range(0, 1 + step / 100) for step in range(100)}
    assert len(ranges) <= 6
