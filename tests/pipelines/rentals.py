"""Real data that is no shuffled sample: hourly bike rentals of a year, whose reference is ordered in time."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

import workbench
from pipelines.drift.own_reference import own_windows
from pipelines.drift.persistence import Verdict, decide
from pipelines.drift.verdicts import Options, Sample, judge
from pipelines.drift.windows import Window, extended
from store.findings import Finding
from store.profile import FeatureProfile, count, profile_feature
from store.slices import CountsByName

DATA = Path(workbench.__file__).parent / "demo" / "data" / "bikes"
SEASONS = {
    "winter": range(1, 80),
    "spring": range(80, 172),
    "summer": range(172, 266),
    "autumn": range(266, 355),
}
TURNS = (("winter", "spring"), ("spring", "summer"), ("summer", "autumn"))
WEATHER_AND_CLOCK = (
    "hr",
    "weekday",
    "workingday",
    "holiday",
    "weathersit",
    "temp",
    "atemp",
    "hum",
    "windspeed",
)
FEATURES = ("season", "mnth", *WEATHER_AND_CLOCK)
"""What a model of this table sees: all but the day of the year, which never comes again, and the outcome."""
CATEGORICAL = ("mnth", "weathersit")
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)

Length = int | str
"""Of a window: so many rows, a `day` or a `week`."""


class Rentals:
    """The columns of these features, and the day of each row."""

    def __init__(self, features: Sequence[str] = FEATURES) -> None:
        self.features = features
        rows: list[dict[str, str]] = []
        for path in sorted(DATA.glob("*.csv")):
            with path.open(encoding="utf-8", newline="") as file:
                rows.extend(csv.DictReader(file))
        self.day = np.array([int(row["day"]) for row in rows])
        self.columns: dict[str, Any] = {}
        for name in features:
            values = np.array([row[name] for row in rows])
            self.columns[name] = values if name in CATEGORICAL else values.astype(float)

    def reference(self, days: Sequence[int]) -> list[FeatureProfile]:
        """Features of an ordered reference."""
        chosen = np.isin(self.day, days)
        found = []
        for name in self.features:
            values = self.columns[name][chosen]
            feature = profile_feature(name, "categorical" if name in CATEGORICAL else "numeric", values)
            found.append(replace(feature, own_windows=own_windows(feature, values)))
        return found

    def stretches(self, days: Sequence[int], length: Length) -> Iterator[Any]:
        """Places of the rows of consecutive windows; days with others between them follow without a gap."""
        rows = np.flatnonzero(np.isin(self.day, days))
        if isinstance(length, int):
            yield from (rows[at : at + length] for at in range(0, len(rows) - length + 1, length))
            return
        step = 7 if length == "week" else 1
        known = np.unique(self.day[rows])
        for at in range(0, len(known) - step + 1, step):
            yield rows[np.isin(self.day[rows], known[at : at + step])]

    def alarms(
        self, reference: Sequence[FeatureProfile], *spans: Sequence[int], length: Length, patience: int = 2
    ) -> list[list[set[str]]]:
        """Of each span of days the features about which there is an alert after each of its windows.

        As the monitor does it with a log in which one span follows the other: a window of few rows reaches
        back, into the span before too.
        """
        parts: list[Window] = []
        history: list[Finding] = []
        found: list[list[set[str]]] = []
        hours = 0
        for days in spans:
            found.append([])
            for rows in self.stretches(days, length):
                counts: CountsByName = {
                    ("feature", one.name): count(one, self.columns[one.name][rows]) for one in reference
                }
                start, hours = EPOCH + timedelta(hours=hours), hours + len(rows)
                end = EPOCH + timedelta(hours=hours)
                parts.append(Window(start, end, len(rows), counts))
                window = extended(parts)
                assert window is not None
                samples = [Sample(one, window.counts["feature", one.name]) for one in reference]
                verdicts = {one.name: one.as_json() for one in judge(samples, Options())}
                finding = Finding(
                    "bikes", 1, "champion", "", window.start, window.end, window.rows, "", verdicts
                )
                history.insert(0, finding)
                found[-1].append({name for name in self.features if _is_raised(history, name, patience)})
        return found


def _is_raised(history: Sequence[Finding], name: str, patience: int) -> bool:
    def verdict_of(window: Finding) -> Verdict:
        return window.features[name]

    features = len(history[0].features)
    return decide(history, verdict_of, patience=patience, features=features).action == "raise"
