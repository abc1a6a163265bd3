"""Real data that is no shuffled sample: hourly bike rentals, whose reference is ordered in time."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import workbench
from pipelines.drift.persistence import decide
from pipelines.drift.verdicts import Options, Sample, judge
from store.findings import Finding
from store.profile import FeatureProfile, count, profile_feature

DATA = Path(workbench.__file__).parent / "demo" / "data" / "bikes"
FEATURES = ("hr", "weekday", "workingday", "weathersit", "temp", "atemp", "hum", "windspeed")
SEASONS = {
    "winter": range(1, 80),
    "spring": range(80, 172),
    "summer": range(172, 266),
    "autumn": range(266, 355),
}
WINDOW = 500


class Rentals:
    def __init__(self) -> None:
        rows: list[dict[str, str]] = []
        for path in sorted(DATA.glob("*.csv")):
            with path.open(encoding="utf-8", newline="") as file:
                rows.extend(csv.DictReader(file))
        self.day = np.array([int(row["day"]) for row in rows])
        self.columns: dict[str, Any] = {}
        for name in FEATURES:
            values = np.array([row[name] for row in rows])
            self.columns[name] = values if name == "weathersit" else values.astype(float)

    def profile(self, days: list[int]) -> tuple[list[FeatureProfile], int]:
        """Features of an ordered reference, and the rows of its blocks."""
        chosen = np.isin(self.day, days)
        size = -(-int(chosen.sum()) // 100)
        kinds = {name: "categorical" if name == "weathersit" else "numeric" for name in FEATURES}
        return [
            profile_feature(name, kinds[name], self.columns[name][chosen], block_rows=size)  # type: ignore[arg-type]
            for name in FEATURES
        ], size

    def alarms(
        self, reference: tuple[list[FeatureProfile], int], days: list[int], patience: int = 2
    ) -> list[set[str]]:
        """Features with an alert after each consecutive window of 500 rows of these days."""
        features, size = reference
        rows = np.flatnonzero(np.isin(self.day, days))
        history: list[Finding] = []
        found = []
        for place in range(len(rows) // WINDOW):
            chosen = rows[place * WINDOW : (place + 1) * WINDOW]
            samples = [
                Sample(feature, count(feature, self.columns[feature.name][chosen])) for feature in features
            ]
            verdicts = {one.name: one.as_json() for one in judge(samples, Options(), block_rows=size)}
            start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=place)
            end = start + timedelta(hours=1)
            history.insert(0, Finding("bikes", 1, "champion", "", start, end, WINDOW, "", verdicts))
            raised = set()
            for name in FEATURES:

                def verdict_of(window: Finding, name: str = name) -> Any:
                    return window.features[name]

                if decide(history, verdict_of, patience=patience).action == "raise":
                    raised.add(name)
            found.append(raised)
        return found


@pytest.fixture(scope="module")
def rentals() -> Rentals:
    return Rentals()


def split(season: str) -> tuple[list[int], list[int]]:
    """Days of the reference, and held-out ones: every fourth week."""
    days = list(SEASONS[season])
    held = [day for place, day in enumerate(days) if place // 7 % 4 == 3]
    return [day for day in days if day not in held], held


@pytest.mark.parametrize("season", ["spring", "summer", "autumn"])
def test_held_out_weeks_of_the_same_season_are_no_alarm(rentals: Rentals, season: str) -> None:
    trained, held = split(season)
    found = rentals.alarms(rentals.profile(trained), held)
    assert found == [set()] * len(found)
    assert found


@pytest.mark.parametrize(
    ("season", "following"), [("winter", "spring"), ("spring", "summer"), ("summer", "autumn")]
)
def test_a_turn_of_the_season_is_an_alarm_within_three_windows(
    rentals: Rentals, season: str, following: str
) -> None:
    trained, _ = split(season)
    found = rentals.alarms(rentals.profile(trained), list(SEASONS[following]))
    assert any(found[:3])


def test_as_a_shuffled_sample_the_same_season_would_be_flagged(rentals: Rentals) -> None:
    """Why the floor is there."""
    trained, held = split("summer")
    features, _ = rentals.profile(trained)
    shuffled = [FeatureProfile(**{**feature.__dict__, "blocks": None}) for feature in features]
    assert any(rentals.alarms((shuffled, 1), held, patience=1))
