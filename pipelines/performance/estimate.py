"""Performance before any label has arrived, estimated from what the reference says of such answers.

Confidence-based performance estimation (CBPE): were the calibrated probabilities true, how often would the
model be right? It sees what a change of the inputs does, not a change of what they mean (concept drift).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.performance.figures import Figure, plain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipelines.performance.reference import PerformanceReference
    from pipelines.performance.rows import Rows


def estimated_figures(rows: Rows, reference: PerformanceReference) -> list[Figure]:
    """Accuracy, precision, recall, F1 and ROC AUC of all rows, or RMSE and MAE; labels are not looked at.

    Intervals are of the outcomes, given the probabilities.
    """
    if rows.classes is None:
        return _errors(rows.predicted, reference)
    if rows.scores is None or not reference.calibrators:
        return []
    known = ~np.isnan(rows.scores).any(axis=1)
    chosen = rows.select(known & (rows.predicted >= 0))
    if not len(chosen) or chosen.scores is None or chosen.classes is None:
        return []
    n_classes = len(chosen.classes)
    if n_classes == 2:
        positive = np.clip(reference.calibrators[0](chosen.scores[:, 1]), 0, 1)
        calibrated = np.column_stack([1 - positive, positive])
    elif len(reference.calibrators) == n_classes:
        calibrated = np.column_stack(
            [calibrate(chosen.scores[:, k]) for k, calibrate in enumerate(reference.calibrators)]
        )
        total = calibrated.sum(axis=1, keepdims=True)
        calibrated = np.divide(calibrated, total, out=chosen.scores.copy(), where=total > 0)
    else:
        return []
    n = len(chosen)
    own = calibrated[np.arange(n), chosen.predicted]
    found: list[Figure | None] = [
        plain("accuracy", float(own.mean()), n, math.sqrt(float((own * (1 - own)).sum())) / n)
    ]
    wanted = [1] if n_classes == 2 else list(range(n_classes))
    each = [_class_figures(chosen.predicted == k, calibrated[:, k]) for k in wanted]
    areas = [_area(calibrated[:, k], chosen.scores[:, k]) for k in wanted]
    for metric in ("precision", "recall", "f1"):
        found.append(_mean(metric, [one.get(metric) for one in each], n))
    found.append(_mean("roc_auc", areas, n))
    return [figure for figure in found if figure is not None]


def _class_figures(predicted: NDArray[Any], p: NDArray[Any]) -> dict[str, tuple[float, float]]:
    """(value, variance) of each metric; variances by the delta method for independent outcomes."""
    hits, actual, n_predicted = float(p[predicted].sum()), float(p.sum()), int(predicted.sum())
    variance = p * (1 - p)
    own, whole = float(variance[predicted].sum()), float(variance.sum())
    found: dict[str, tuple[float, float]] = {}
    if n_predicted:
        found["precision"] = hits / n_predicted, own / n_predicted**2
    if actual > 0:
        recall = hits / actual
        found["recall"] = recall, (own - 2 * recall * own + recall**2 * whole) / actual**2
    if n_predicted + actual > 0:
        score = 2 * hits / (n_predicted + actual)
        found["f1"] = score, (4 * own - 4 * score * own + score**2 * whole) / (n_predicted + actual) ** 2
    return found


def _area(p: NDArray[Any], ranking: NDArray[Any]) -> tuple[float, float] | None:
    """Expected area under the ROC curve, and its variance by Hanley and McNeil (Radiology 143, 1982)."""
    _, group = np.unique(ranking, return_inverse=True)
    positives, negatives = np.bincount(group, p), np.bincount(group, 1 - p)
    n_positive, n_negative = float(positives.sum()), float(negatives.sum())
    if n_positive < 1 or n_negative < 1:
        return None
    below = np.cumsum(negatives) - negatives / 2
    area = float((positives * below).sum() / (n_positive * n_negative))
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    spread = area * (1 - area) + (n_positive - 1) * (q1 - area**2) + (n_negative - 1) * (q2 - area**2)
    return area, max(spread, 0.0) / (n_positive * n_negative)


def _mean(metric: str, each: list[tuple[float, float] | None], n: int) -> Figure | None:
    known = [one for one in each if one is not None]
    if not known:
        return None
    value = sum(value for value, _ in known) / len(known)
    return plain(metric, value, n, math.sqrt(max(0.0, sum(v for _, v in known))) / len(known))


def _errors(predicted: NDArray[Any], reference: PerformanceReference) -> list[Figure]:
    """Errors as large as the reference's were for predictions of the same size."""
    held = reference.residuals
    predicted = predicted[np.isfinite(predicted)]
    if held is None or not held.get("edges") or not len(predicted):
        return []
    place = np.searchsorted(np.asarray(held["edges"]), predicted)
    n = len(predicted)
    squared, absolute = np.asarray(held["squared"])[place], np.asarray(held["absolute"])[place]
    rmse, mae = math.sqrt(float(squared.mean())), float(absolute.mean())
    # Of a residual that is normal, its square varies by twice its square; its size by what is left of it.
    rmse_se = math.sqrt(2 * float((squared**2).mean()) / n) / (2 * rmse) if rmse else 0.0
    mae_se = math.sqrt(max(0.0, float((squared - absolute**2).mean())) / n)
    return [
        plain("rmse", rmse, n, rmse_se, is_error=True),
        plain("mae", mae, n, mae_se, is_error=True),
    ]
