"""How far probabilities can be believed: reliability, Brier score, ECE, and the map to calibrated ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

RELIABILITY_BINS = 10
MAX_STEPS = 1_000


@dataclass(frozen=True)
class Calibrator:
    """Isotonic regression of the outcome on the score.

    `rates` are the fitted shares of positives at `scores`, both ascending.
    """

    scores: tuple[float, ...]
    rates: tuple[float, ...]

    def __call__(self, scores: NDArray[Any]) -> NDArray[Any]:
        """Calibrated probabilities (n,): in straight lines between the points, constant beyond."""
        return np.asarray(np.interp(scores, self.scores, self.rates))

    @classmethod
    def fit(cls, positive: NDArray[Any], scores: NDArray[Any]) -> Calibrator:
        """Fit on scores (n,) and outcomes (n,) by pooling adjacent violators: few steps are left."""
        from sklearn.isotonic import IsotonicRegression

        fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(scores, positive)
        places = np.arange(len(fitted.X_thresholds_))
        if len(places) > MAX_STEPS:
            places = np.unique(np.linspace(0, len(places) - 1, MAX_STEPS).round().astype(int))
        return cls(tuple(fitted.X_thresholds_[places].tolist()), tuple(fitted.y_thresholds_[places].tolist()))

    def as_json(self) -> dict[str, list[float]]:
        return {
            "scores": [float(f"{value:.8g}") for value in self.scores],
            "rates": [float(f"{value:.8g}") for value in self.rates],
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Calibrator:
        return cls(tuple(values["scores"]), tuple(values["rates"]))


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
