"""How far probabilities can be believed: reliability, Brier score, ECE, and the map to calibrated ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

RELIABILITY_BINS = 10
SCORE_BINS = 200


@dataclass(frozen=True)
class Calibrator:
    """Isotonic regression of the outcome on the score, fitted on score bins.

    `scores` are the bins' mean scores, ascending, `rates` the fitted shares of positives.
    """

    scores: tuple[float, ...]
    rates: tuple[float, ...]

    def __call__(self, scores: NDArray[Any]) -> NDArray[Any]:
        """Calibrated probabilities (n,): between the bins' means in a straight line, constant beyond."""
        return np.asarray(np.interp(scores, self.scores, self.rates))

    @classmethod
    def fit(cls, positive: NDArray[Any], scores: NDArray[Any]) -> Calibrator:
        """Fit on scores (n,) and outcomes (n,): 200 bins of as many rows, ties together."""
        distinct, group = np.unique(scores, return_inverse=True)
        n = np.bincount(group).astype(float)
        if distinct.size > SCORE_BINS:
            # A bin is where half of a score's rows have been passed, so ties never lie in two.
            middle = np.cumsum(n) - n / 2
            bin_of = np.minimum((middle * SCORE_BINS / n.sum()).astype(int), SCORE_BINS - 1)
        else:
            bin_of = np.arange(distinct.size)
        place = bin_of[group]
        rows = np.bincount(place)
        used = rows > 0
        weight = rows[used].astype(float)
        means = np.bincount(place, scores)[used] / weight
        rates = np.bincount(place, positive.astype(float))[used] / weight
        return cls(tuple(means.tolist()), tuple(_isotonic(rates, weight).tolist()))

    def as_json(self) -> dict[str, list[float]]:
        return {
            "scores": [float(f"{value:.8g}") for value in self.scores],
            "rates": [float(f"{value:.8g}") for value in self.rates],
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Calibrator:
        return cls(tuple(values["scores"]), tuple(values["rates"]))


def _isotonic(values: NDArray[Any], weights: NDArray[Any]) -> NDArray[Any]:
    """The closest non-decreasing sequence, by pooling adjacent violators."""
    levels: list[tuple[float, float, int]] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        level = (value, weight, 1)
        while levels and levels[-1][0] >= level[0]:
            before = levels.pop()
            together = before[1] + level[1]
            level = ((before[0] * before[1] + level[0] * level[1]) / together, together, before[2] + level[2])
        levels.append(level)
    return np.repeat([level for level, _, _ in levels], [length for _, _, length in levels])


def reliability(positive: NDArray[Any], probability: NDArray[Any]) -> list[dict[str, float]]:
    """Ten bins of equal width: rows, mean probability, observed share with its Wilson interval."""
    from pipelines.performance.figures import wilson

    place = np.clip((probability * RELIABILITY_BINS).astype(int), 0, RELIABILITY_BINS - 1)
    rows = np.bincount(place, minlength=RELIABILITY_BINS)
    hits = np.bincount(place, positive.astype(float), minlength=RELIABILITY_BINS)
    sums = np.bincount(place, probability, minlength=RELIABILITY_BINS)
    found = []
    for n, hit, total in zip(rows.tolist(), hits.tolist(), sums.tolist(), strict=True):
        if n:
            low, high = wilson(hit, n)
            found.append({"rows": n, "predicted": total / n, "observed": hit / n, "low": low, "high": high})
    return found


def expected_calibration_error(positive: NDArray[Any], probability: NDArray[Any]) -> float:
    """Mean distance between probability and observed share over ten bins, weighted by rows (Naeini 2015)."""
    bins = reliability(positive, probability)
    total = sum(one["rows"] for one in bins)
    if not total:
        return float("nan")
    return float(sum(one["rows"] * abs(one["predicted"] - one["observed"]) for one in bins) / total)
