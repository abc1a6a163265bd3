from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone

import pytest

from workbench.tui.widgets.formats import age, duration, moment, number, percent, plain


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "—"),
        (math.nan, "NaN"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
        (0.0, "0"),
        (0.05, "0.05"),
        (0.87123, "0.8712"),
        (41.2345, "41.23"),
        (2475.3, "2,475"),
        (123456.7, "123,457"),
        (0.00012345, "0.0001234"),
        (0.0000012345, "1.234e-06"),
        (3e12, "3.000e+12"),
        (-0.5, "-0.5"),
        (10214, "10,214"),
    ],
)
def test_numbers_keep_four_digits_and_missing_is_not_zero(value: float | None, text: str) -> None:
    assert number(value) == text


def test_plain_values_read_as_a_person_would_write_them() -> None:
    assert [plain(value) for value in (None, True, False, 7, 0.5, "[b]x[/]")] == [
        "—", "yes", "no", "7", "0.5", "[b]x[/]",
    ]  # fmt: skip


def test_a_moment_is_a_time_today_and_a_date_before() -> None:
    now = datetime(2026, 11, 21, 15, 0, tzinfo=UTC)
    assert moment(now - timedelta(hours=1), now=now, zone=UTC) == "14:00:00"
    assert moment(datetime(2026, 3, 2, 9, 5, tzinfo=UTC), now=now, zone=UTC) == "02 Mar 09:05"
    assert moment(datetime(2024, 3, 2, tzinfo=UTC), now=now, zone=UTC) == "2024-03-02"
    assert moment(now, now=now, zone=timezone(timedelta(hours=2))) == "17:00:00"
    assert moment(None) == "—"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "—"),
        (0.0123, "12 ms"),
        (12.34, "12.3 s"),
        (185, "3 m 05 s"),
        (7800, "2 h 10 m"),
        (356400, "4 d 3 h"),
        (-2, "−2.0 s"),
        (math.nan, "nan"),
    ],
)
def test_durations_have_the_two_units_that_matter(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_a_share_is_a_percentage() -> None:
    assert [percent(share) for share in (None, math.nan, 0.714)] == ["—", "NaN", "71 %"]
    assert percent(0.0621, 1) == "6.2 %"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-50, "now"),
        (59, "now"),
        (60, "1 min"),
        (3599, "59 min"),
        (7200, "2 h"),
        (86_400 * 12, "12 d"),
        (86_400 * 150, "4 mo"),
        (86_400 * 800, "2 y"),
    ],
)
def test_an_age_is_in_its_largest_unit(seconds: float, text: str) -> None:
    now = datetime(2026, 5, 1, tzinfo=UTC)
    assert age(now - timedelta(seconds=seconds), now=now) == text
    assert age(None) == "—"
