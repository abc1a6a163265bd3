"""Figures of regressions: errors with Welch's or bootstrap intervals, and what the residuals look like."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.performance.classes import MAX_SEGMENTS
from pipelines.performance.figures import POINT, Z95, Figure, normal_tail

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipelines.performance.rows import Rows

_RESAMPLES = 400
_WORK = 4_000_000
"""Rows drawn in all by the bootstrap: many rows need fewer resamples."""


def figures(actual: NDArray[Any], predicted: NDArray[Any], *, spread: float | None = None) -> list[Figure]:
    """RMSE, MAE and R² of n rows; `spread` is the target's standard deviation in the reference.

    MAE by its standard error (so that two compare by Welch's test), RMSE and R² by a bootstrap of rows.
    """
    n = len(actual)
    if n < 2:
        return []
    residual = actual - predicted
    sd = float(np.std(actual, ddof=1))
    point = POINT * (spread if spread else sd)
    absolute = np.abs(residual)
    mae, mae_se = float(absolute.mean()), float(absolute.std(ddof=1)) / math.sqrt(n)
    rmse = math.sqrt(float(np.mean(residual**2)))
    draws = _bootstrap(actual, residual)
    found = [
        Figure("rmse", rmse, n, float(draws[0].std(ddof=1)), None, *_middle(draws[0]), True, point),
        Figure("mae", mae, n, mae_se, None, max(0.0, mae - Z95 * mae_se), mae + Z95 * mae_se, True, point),
    ]
    if sd > 0:
        r2 = 1 - float(np.mean(residual**2)) / float(np.var(actual))
        known = draws[1][np.isfinite(draws[1])]
        if known.size > 1:
            found.append(Figure("r2", r2, n, float(known.std(ddof=1)), None, *_middle(known)))
    return found


def residual_change(residual: NDArray[Any], reference: dict[str, Any] | None) -> dict[str, Any] | None:
    """Bias and spread of actual minus predicted, tested against the reference's by Welch's test."""
    n = len(residual)
    if n < 2:
        return None
    mean, sd = float(residual.mean()), float(residual.std(ddof=1))
    se = sd / math.sqrt(n)
    shares = np.quantile(residual, [0.05, 0.25, 0.5, 0.75, 0.95]).tolist()
    found: dict[str, Any] = {
        "rows": n,
        "bias": mean,
        "low": mean - Z95 * se,
        "high": mean + Z95 * se,
        "sd": sd,
        "quantiles": dict(zip(("p5", "p25", "p50", "p75", "p95"), shares, strict=True)),
    }
    if reference and reference.get("n", 0) > 1:
        spread = math.hypot(se, reference["sd"] / math.sqrt(reference["n"]))
        z = abs(mean - reference["mean"]) / spread if spread else 0.0
        found |= {
            "reference_bias": reference["mean"],
            "reference_sd": reference["sd"],
            "p_value": 2 * normal_tail(z),
        }
    return found


def by_segment(rows: Rows, feature: str) -> list[dict[str, Any]]:
    """Mean absolute error within each value of a feature, most frequent first."""
    values = rows.segments[feature]
    error = np.abs(rows.actual - rows.predicted)
    places: dict[str | None, list[int]] = {}
    for place, value in enumerate(values):
        places.setdefault(value, []).append(place)
    found = []
    for value, chosen in sorted(places.items(), key=lambda item: -len(item[1]))[:MAX_SEGMENTS]:
        mask = rows.labelled[chosen]
        errors = error[chosen][mask]
        n = len(errors)
        se = float(errors.std(ddof=1)) / math.sqrt(n) if n > 1 else None
        mean = float(errors.mean()) if n else None
        found.append(
            {
                "feature": feature,
                "value": value,
                "predictions": len(chosen),
                "labelled": n,
                "metric": "mae",
                "mean": mean,
                "low": None if mean is None or se is None else max(0.0, mean - Z95 * se),
                "high": None if mean is None or se is None else mean + Z95 * se,
            }
        )
    return found


def _bootstrap(actual: NDArray[Any], residual: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """RMSE and R² of resampled rows, from one fixed seed."""
    n = len(actual)
    generator = np.random.default_rng(0)
    resamples = int(np.clip(_WORK // n, 60, _RESAMPLES))
    squares = residual**2
    centered = actual - actual.mean()
    errors, totals = np.empty(resamples), np.empty(resamples)
    for turn in range(resamples):
        rows = generator.integers(0, n, n)
        errors[turn] = squares[rows].mean()
        drawn = centered[rows]
        totals[turn] = (drawn * drawn).mean() - drawn.mean() ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sqrt(errors), 1 - errors / totals


def _middle(draws: NDArray[Any]) -> tuple[float, float]:
    low, high = np.quantile(draws, [0.025, 0.975]).tolist()
    return low, high
