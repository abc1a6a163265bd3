"""Real data that is no shuffled sample: hourly bike rentals, whose reference is ordered in time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from pipelines.drift.persistence import decide
from pipelines.drift.verdicts import Options, Sample, judge
from store.findings import Finding
from store.profile import FeatureProfile, count
from tests.pipelines.rentals import SEASONS, Rentals

FEATURES = ("hr", "weekday", "workingday", "weathersit", "temp", "atemp", "hum", "windspeed")
WINDOW = 500


class Judged(Rentals):
    def alarms(
        self, features: list[FeatureProfile], days: list[int], patience: int = 2, window: int = WINDOW
    ) -> list[set[str]]:
        """Features with an alert after each consecutive window of so many rows of these days."""
        rows = np.flatnonzero(np.isin(self.day, days))
        history: list[Finding] = []
        found = []
        for place in range(len(rows) // window):
            chosen = rows[place * window : (place + 1) * window]
            samples = [
                Sample(feature, count(feature, self.columns[feature.name][chosen])) for feature in features
            ]
            verdicts = {one.name: one.as_json() for one in judge(samples, Options())}
            start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=place)
            end = start + timedelta(hours=1)
            history.insert(0, Finding("bikes", 1, "champion", "", start, end, window, "", verdicts))
            raised = set()
            for name in FEATURES:

                def verdict_of(window: Finding, name: str = name) -> Any:
                    return window.features[name]

                if decide(history, verdict_of, patience=patience).action == "raise":
                    raised.add(name)
            found.append(raised)
        return found


@pytest.fixture(scope="module")
def rentals() -> Judged:
    return Judged(FEATURES)


def split(season: str) -> tuple[list[int], list[int]]:
    """Days of the reference, and held-out ones: every fourth week."""
    days = list(SEASONS[season])
    held = [day for place, day in enumerate(days) if place // 7 % 4 == 3]
    return [day for day in days if day not in held], held


@pytest.mark.parametrize("rows", [120, 168, 240, 336, 500])
@pytest.mark.parametrize("season", SEASONS)
def test_held_out_weeks_of_the_same_season_are_no_alarm(rentals: Judged, season: str, rows: int) -> None:
    """Whatever the length of the windows: five days, one week, ten days, two weeks, three."""
    trained, held = split(season)
    found = rentals.alarms(rentals.reference(trained), held, window=rows)
    assert found == [set()] * len(found)
    assert found or (rows, season) == (500, "winter")


@pytest.mark.parametrize("season", SEASONS)
def test_held_out_days_of_the_same_season_are_no_alarm(rentals: Judged, season: str) -> None:
    days = list(SEASONS[season])
    held = days[4::5]
    profile = rentals.reference([day for day in days if day not in held])
    for rows in (120, 168, 240):
        found = rentals.alarms(profile, held, window=rows)
        assert found == [set()] * len(found)
        assert found


@pytest.mark.parametrize(
    ("season", "following"), [("winter", "spring"), ("spring", "summer"), ("summer", "autumn")]
)
def test_a_turn_of_the_season_is_an_alarm_within_three_windows(
    rentals: Judged, season: str, following: str
) -> None:
    trained, _ = split(season)
    found = rentals.alarms(rentals.reference(trained), list(SEASONS[following]))
    assert any(found[:3])


def test_as_a_shuffled_sample_the_same_season_would_be_flagged(rentals: Judged) -> None:
    """Why the floor is there."""
    trained, held = split("summer")
    shuffled = [replace(feature, own_windows=()) for feature in rentals.reference(trained)]
    assert any(rentals.alarms(shuffled, held, patience=1))
