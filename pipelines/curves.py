"""The data behind the usual pictures: ROC, precision-recall, calibration, confusion, residuals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.columns import TaskName
from pipelines.metrics import Scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

_POINTS = 200
_BINS = 10
_SAMPLE = 1000


def curves(
    task: TaskName, y: NDArray[Any], scores: Scores, classes: Sequence[Any], *, seed: int
) -> dict[str, Any]:
    """Contents by file name: `curves/roc.json` and so on; several classes one against the rest."""
    if task == "regression":
        return {"curves/residuals.json": residuals(y, scores.predicted, seed=seed)}
    matrix = np.zeros((len(classes), len(classes)), dtype=int)
    np.add.at(matrix, (y, scores.predicted), 1)
    labels = [str(label) for label in classes]
    contents: dict[str, Any] = {
        "confusion_matrix.json": {"classes": labels, "matrix": matrix.tolist(), "rows": "actual"}
    }
    rankings: dict[str, NDArray[Any]] = {}
    if scores.ranking is not None:
        rankings[labels[1]] = scores.ranking
    elif scores.probabilities is not None:
        rankings = {label: scores.probabilities[:, k] for k, label in enumerate(labels)}
    by_class = {label: y == labels.index(label) for label in rankings}
    contents["curves/roc.json"] = {label: roc(by_class[label], rank) for label, rank in rankings.items()}
    contents["curves/precision_recall.json"] = {
        label: precision_recall(by_class[label], rank) for label, rank in rankings.items()
    }
    if scores.probabilities is not None:
        contents["curves/calibration.json"] = {
            label: calibration(by_class[label], rank) for label, rank in rankings.items()
        }
    return contents


def roc(positive: NDArray[np.bool_], ranking: NDArray[Any]) -> dict[str, list[float]]:
    """False and true positive rates from (0, 0) to (1, 1)."""
    hits, taken, levels = _cumulative(positive, ranking)
    total, others = max(hits[-1], 1), max(taken[-1] - hits[-1], 1)
    keep = _thin(len(hits))
    return {
        "fpr": [0.0, *_rounded((taken - hits)[keep] / others)],
        "tpr": [0.0, *_rounded(hits[keep] / total)],
        "threshold": [1.0, *_rounded(levels[keep])],
    }


def precision_recall(positive: NDArray[np.bool_], ranking: NDArray[Any]) -> dict[str, list[float]]:
    """Precision at each recall, from the strictest threshold down."""
    hits, taken, levels = _cumulative(positive, ranking)
    keep = _thin(len(hits))
    return {
        "recall": _rounded(hits[keep] / max(hits[-1], 1)),
        "precision": _rounded(hits[keep] / taken[keep]),
        "threshold": _rounded(levels[keep]),
    }


def calibration(positive: NDArray[np.bool_], probability: NDArray[Any]) -> dict[str, list[float]]:
    """Mean probability and share of positives in ten bins of equal width; empty bins are left out."""
    bins = np.clip((probability * _BINS).astype(int), 0, _BINS - 1)
    counts = np.bincount(bins, minlength=_BINS)
    used = counts > 0
    return {
        "predicted": _rounded(np.bincount(bins, probability, minlength=_BINS)[used] / counts[used]),
        "observed": _rounded(np.bincount(bins, positive, minlength=_BINS)[used] / counts[used]),
        "rows": [float(count) for count in counts[used]],
    }


def residuals(y: NDArray[Any], predicted: NDArray[Any], *, seed: int) -> dict[str, Any]:
    """Quantiles of actual minus predicted over all rows, and up to 1,000 pairs of both."""
    difference = y - predicted
    shares = [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99]
    rows = np.arange(len(y))
    if len(y) > _SAMPLE:
        rows = np.sort(np.random.default_rng(seed).choice(len(y), _SAMPLE, replace=False))
    return {
        "quantiles": dict(zip(map(str, shares), _rounded(np.quantile(difference, shares)), strict=True)),
        "actual": _rounded(y[rows]),
        "predicted": _rounded(predicted[rows]),
    }


def _cumulative(positive: NDArray[np.bool_], ranking: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    """True positives and rows taken at each distinct level, from the highest down."""
    order = np.argsort(-ranking, kind="stable")
    last = np.append(np.diff(ranking[order]) != 0, True)
    return np.cumsum(positive[order])[last], np.arange(1, len(order) + 1)[last], ranking[order][last]


def _thin(n: int) -> NDArray[np.intp]:
    return np.unique(np.linspace(0, n - 1, min(n, _POINTS)).round().astype(np.intp))


def _rounded(values: NDArray[Any]) -> list[float]:
    return [float(f"{value:.6g}") for value in values]
