"""How sure it is that one model is better than another on the same rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.metrics import Metric, Scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_RESAMPLES = 1000
_WORK = 5_000_000
"""Rows drawn in all: many rows need fewer resamples."""


@dataclass(frozen=True)
class PairedTest:
    """`difference` is how much better the first is; `low` and `high` bound it with 95 %."""

    method: str
    difference: float
    low: float
    high: float
    probability_better: float


def compare(
    metric: Metric, y: NDArray[Any], first: Scores, second: Scores, *, seed: int = 0
) -> PairedTest | None:
    """DeLong's test for the ROC AUC of two classes, a paired bootstrap of rows for anything else.

    None where the metric can't be computed for both.
    """
    if metric.name == "roc_auc" and first.ranking is not None and second.ranking is not None:
        return delong(y == 1, first.ranking, second.ranking)
    return bootstrap(metric, y, first, second, seed=seed)


def delong(positive: NDArray[np.bool_], first: Floats, second: Floats) -> PairedTest | None:
    """DeLong, DeLong and Clarke-Pearson (Biometrics 44, 1988), by midranks (Sun and Xu, 2014)."""
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if n_positive < 2 or n_negative < 2:
        return None
    areas, by_positive, by_negative = [], [], []
    for ranking in (first, second):
        above, below = ranking[positive], ranking[~positive]
        together = midranks(np.concatenate([above, below]))
        v10 = (together[:n_positive] - midranks(above)) / n_negative
        v01 = 1 - (together[n_positive:] - midranks(below)) / n_positive
        areas.append(float(v10.mean()))
        by_positive.append(v10)
        by_negative.append(v01)
    covariance = np.cov(by_positive) / n_positive + np.cov(by_negative) / n_negative
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    difference = areas[0] - areas[1]
    spread = math.sqrt(max(variance, 0.0))
    if spread < 1e-12:
        sure = 0.5 if abs(difference) < 1e-12 else float(difference > 0)
    else:
        sure = 0.5 * math.erfc(-difference / spread / math.sqrt(2))
    return PairedTest("delong", difference, difference - 1.96 * spread, difference + 1.96 * spread, sure)


def bootstrap(
    metric: Metric, y: NDArray[Any], first: Scores, second: Scores, *, seed: int = 0
) -> PairedTest | None:
    """Resample rows, the same for both models; a tie counts half."""
    difference = metric.better_by(metric.compute(y, first, None), metric.compute(y, second, None))
    if not math.isfinite(difference):
        return None
    generator = np.random.default_rng(seed)
    n_rows = len(y)
    resamples = int(np.clip(_WORK // max(n_rows, 1), 100, _RESAMPLES))
    differences = np.empty(resamples)
    for turn in range(resamples):
        weights = np.bincount(generator.integers(0, n_rows, n_rows), minlength=n_rows).astype(float)
        differences[turn] = metric.better_by(
            metric.compute(y, first, weights), metric.compute(y, second, weights)
        )
    differences = differences[np.isfinite(differences)]
    if not len(differences):
        return None
    low, high = np.quantile(differences, [0.025, 0.975])
    sure = float(np.mean(differences > 0) + np.mean(differences == 0) / 2)
    return PairedTest("bootstrap", difference, float(low), float(high), sure)


def midranks(values: Floats) -> Floats:
    """Ranks from 1, ties sharing their mean."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: Floats = (last - (counts - 1) / 2)[group]
    return ranks
