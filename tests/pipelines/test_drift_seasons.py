"""Real data that is no shuffled sample: hourly bike rentals, whose reference is ordered in time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.pipelines.rentals import FEATURES, SEASONS, TURNS, WEATHER_AND_CLOCK, Rentals

WITHIN = 3
FOLLOWING = dict(TURNS)


@pytest.fixture(scope="module")
def rentals() -> Rentals:
    """Without the columns that name the season: what its weather alone tells."""
    return Rentals(WEATHER_AND_CLOCK)


@pytest.fixture(scope="module")
def with_seasons() -> Rentals:
    return Rentals(FEATURES)


def split(season: str) -> tuple[list[int], list[int]]:
    """Days of the reference, and held-out ones: every fourth week."""
    days = list(SEASONS[season])
    held = [day for place, day in enumerate(days) if place // 7 % 4 == 3]
    return [day for day in days if day not in held], held


@pytest.mark.parametrize("season", SEASONS)
def test_held_out_weeks_of_the_same_season_are_no_alarm(rentals: Rentals, season: str) -> None:
    """Whatever the length of the windows: five days, one week, ten days, two weeks, three."""
    trained, held = split(season)
    reference = rentals.reference(trained)
    for rows in (120, 168, 240, 336, 500):
        (found,) = rentals.alarms(reference, held, length=rows)
        assert found == [set()] * len(found)
        assert found or (rows, season) == (500, "winter")


@pytest.mark.parametrize("season", SEASONS)
def test_held_out_days_of_the_same_season_are_no_alarm(rentals: Rentals, season: str) -> None:
    days = list(SEASONS[season])
    held = days[4::5]
    reference = rentals.reference([day for day in days if day not in held])
    for rows in (120, 168, 240):
        (found,) = rentals.alarms(reference, held, length=rows)
        assert found == [set()] * len(found)
        assert found


@pytest.mark.parametrize("season", SEASONS)
def test_with_all_features_a_turn_is_an_alarm_and_held_out_weeks_are_none(
    with_seasons: Rentals, season: str
) -> None:
    trained, held = split(season)
    reference = with_seasons.reference(trained)
    after = list(SEASONS[FOLLOWING[season]])[:22] if season in FOLLOWING else []
    for length in (168, "week", 500):
        same, turned = with_seasons.alarms(reference, held, after, length=length)
        assert same == [set()] * len(same)
        if after:
            assert any(turned[:WITHIN]), length


@pytest.mark.parametrize("season", FOLLOWING)
def test_windows_of_a_day_tell_a_season_from_a_holiday_on_the_sixth_day(
    with_seasons: Rentals, season: str
) -> None:
    """They reach back three weeks; what never changed before is no event of a few days from a quarter on."""
    days = list(SEASONS[season])
    held, after = days[::3], list(SEASONS[FOLLOWING[season]])[:6]
    reference = with_seasons.reference([day for day in days if day not in held])
    same, turned = with_seasons.alarms(reference, held, after, length="day")
    assert same == [set()] * len(same)
    assert [bool(one) for one in turned] == [False] * 5 + [True]


@pytest.mark.parametrize(("season", "following"), TURNS)
def test_weather_alone_turns_into_an_alarm_within_three_windows_of_three_weeks(
    rentals: Rentals, season: str, following: str
) -> None:
    trained, _ = split(season)
    (found,) = rentals.alarms(rentals.reference(trained), list(SEASONS[following])[:64], length=500)
    assert any(found[:WITHIN])


def test_as_a_shuffled_sample_the_same_season_would_be_flagged(rentals: Rentals) -> None:
    """Why the floor is there."""
    trained, held = split("summer")
    shuffled = [replace(feature, own_windows=()) for feature in rentals.reference(trained)]
    (found,) = rentals.alarms(shuffled, held, length=500, patience=1)
    assert any(found)
