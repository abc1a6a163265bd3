"""Real data that is no shuffled sample: hourly bike rentals of a year, whose reference is ordered in time."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import workbench
from pipelines.drift.own_reference import own_windows
from store.profile import FeatureProfile, profile_feature

DATA = Path(workbench.__file__).parent / "demo" / "data" / "bikes"
SEASONS = {
    "winter": range(1, 80),
    "spring": range(80, 172),
    "summer": range(172, 266),
    "autumn": range(266, 355),
}


class Rentals:
    """The columns of these features, and the day of each row."""

    def __init__(self, features: Sequence[str]) -> None:
        self.features = features
        rows: list[dict[str, str]] = []
        for path in sorted(DATA.glob("*.csv")):
            with path.open(encoding="utf-8", newline="") as file:
                rows.extend(csv.DictReader(file))
        self.day = np.array([int(row["day"]) for row in rows])
        self.columns: dict[str, Any] = {}
        for name in features:
            values = np.array([row[name] for row in rows])
            self.columns[name] = values if name == "weathersit" else values.astype(float)

    def reference(self, days: Sequence[int]) -> list[FeatureProfile]:
        """Features of an ordered reference."""
        chosen = np.isin(self.day, days)
        found = []
        for name in self.features:
            values = self.columns[name][chosen]
            feature = profile_feature(name, "categorical" if name == "weathersit" else "numeric", values)
            found.append(replace(feature, own_windows=own_windows(feature, values)))
        return found
