"""Metrics by their fixed names, computed from class positions and probabilities, with optional weights.

Several classes are averaged macro, over the classes that occur among true or predicted ones.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.columns import TaskName
from store.errors import SettingsError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

ALIASES = {"f1_score": "f1", "auc": "roc_auc", "mean_absolute_error": "mae"}
DEFAULTS: Mapping[TaskName, tuple[str, ...]] = {
    "binary": ("accuracy", "precision", "recall", "f1", "roc_auc"),
    "multiclass": ("accuracy", "precision", "recall", "f1", "roc_auc"),
    "regression": ("rmse", "mae", "r2"),
}
DECIDING: Mapping[TaskName, str] = {"binary": "roc_auc", "multiclass": "accuracy", "regression": "rmse"}
"""The gate's metric unless the settings name one."""


@dataclass(frozen=True)
class Scores:
    """What a model answers for rows: `predicted` holds class positions (int) or numbers (float).

    `probabilities` is of shape `(n_rows, n_classes)`; `decision`, `(n_rows,)`, ranks the rows of two classes
    where the model has no probabilities.
    """

    predicted: NDArray[Any]
    probabilities: Floats | None = None
    decision: Floats | None = None

    @property
    def ranking(self) -> Floats | None:
        """Higher is more surely the positive class."""
        if self.probabilities is not None and self.probabilities.shape[1] == 2:
            positive: Floats = self.probabilities[:, 1]
            return positive
        return self.decision

    def rows(self, selected: NDArray[Any]) -> Scores:
        return Scores(
            self.predicted[selected],
            None if self.probabilities is None else self.probabilities[selected],
            None if self.decision is None else self.decision[selected],
        )


MetricFunction = Callable[["NDArray[Any]", Scores, "Floats | None"], float]


@dataclass(frozen=True)
class Metric:
    name: str
    is_error: bool
    """Smaller is better."""
    for_classes: bool
    compute: MetricFunction
    two_classes_only: bool = False

    def better_by(self, value: float, other: float) -> float:
        """How much better `value` is than `other`; negative when worse."""
        return other - value if self.is_error else value - other


def canonical(name: str) -> str:
    """The fixed name of a metric that may be written otherwise."""
    lowered = name.strip().lower()
    return ALIASES.get(lowered, lowered)


def find(name: str, task: TaskName) -> Metric:
    """The metric of that name; SettingsError for one that is unknown or of another task."""
    metric = METRICS.get(canonical(name))
    fitting = [m.name for m in METRICS.values() if _fits(m, task)]
    if metric is None:
        close = difflib.get_close_matches(name, [*METRICS, *ALIASES], n=1, cutoff=0.5)
        hint = f"Did you mean {close[0]!r}?" if close else f"For {task} there are: {', '.join(fitting)}."
        raise SettingsError(f"no metric {name!r}", hint)
    if not _fits(metric, task):
        raise SettingsError(f"metric {name!r} is not for {task}", f"Take one of: {', '.join(fitting)}.")
    return metric


def compute(names: Iterable[str], task: TaskName, y: NDArray[Any], scores: Scores) -> dict[str, float]:
    """The metrics that can be computed: those that need probabilities are left out where there are none."""
    values = {}
    for name in names:
        metric = find(name, task)
        value = metric.compute(y, scores, None)
        if np.isfinite(value):
            values[metric.name] = float(value)
    return values


def auc(positive: NDArray[np.bool_], ranking: Floats, weights: Floats | None = None) -> float:
    """Area under the ROC curve by midranks; NaN where a class is absent."""
    weight = np.ones(len(ranking)) if weights is None else weights
    _, group = np.unique(ranking, return_inverse=True)
    positives = np.bincount(group, weight * positive)
    negatives = np.bincount(group, weight * ~positive)
    below = np.cumsum(negatives) - negatives / 2
    total = positives.sum() * negatives.sum()
    return float((positives * below).sum() / total) if total > 0 else float("nan")


def _fits(metric: Metric, task: TaskName) -> bool:
    return metric.for_classes == (task != "regression") and not (metric.two_classes_only and task != "binary")


def _confusion(y: NDArray[Any], scores: Scores, weights: Floats | None) -> Floats:
    n = int(max(y.max(initial=0), scores.predicted.max(initial=0))) + 1
    return np.bincount(y * n + scores.predicted, weights, minlength=n * n).reshape(n, n).astype(float)


def _share(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _class_metric(measure: Callable[[Floats, Floats, Floats], Floats]) -> MetricFunction:
    """Average of a measure of (true positives, predicted, actual) by class; of class 1 alone for two."""

    def compute_metric(y: NDArray[Any], scores: Scores, weights: Floats | None) -> float:
        matrix = _confusion(y, scores, weights)
        hits, predicted, actual = np.diag(matrix), matrix.sum(axis=0), matrix.sum(axis=1)
        values = measure(hits, predicted, actual)
        if scores.probabilities is not None:
            two = scores.probabilities.shape[1] == 2
        else:
            two = scores.decision is not None or len(matrix) <= 2
        if two:
            return float(values[1]) if len(values) > 1 else 0.0
        return float(values[(predicted + actual) > 0].mean())

    return compute_metric


def _accuracy(y: NDArray[Any], scores: Scores, weights: Floats | None) -> float:
    return float(np.average(y == scores.predicted, weights=weights))


def _balanced_accuracy(y: NDArray[Any], scores: Scores, weights: Floats | None) -> float:
    matrix = _confusion(y, scores, weights)
    actual = matrix.sum(axis=1)
    return float(_share(np.diag(matrix), actual)[actual > 0].mean())


def _roc_auc(y: NDArray[Any], scores: Scores, weights: Floats | None) -> float:
    if scores.ranking is not None:
        return auc(y == 1, scores.ranking, weights)
    if scores.probabilities is None:
        return float("nan")
    values = [auc(y == k, scores.probabilities[:, k], weights) for k in range(scores.probabilities.shape[1])]
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")


def _average_precision(y: NDArray[Any], scores: Scores, weights: Floats | None) -> float:
    ranking = scores.ranking
    if ranking is None:
        return float("nan")
    weight = np.ones(len(y)) if weights is None else weights
    _, group = np.unique(-ranking, return_inverse=True)
    hits = np.bincount(group, weight * (y == 1)).astype(float)
    found, taken = np.cumsum(hits), np.cumsum(np.bincount(group, weight).astype(float))
    return float((hits * _share(found, taken)).sum() / hits.sum()) if hits.sum() else float("nan")


def _log_loss(y: NDArray[Any], scores: Scores, weights: Floats | None) -> float:
    if scores.probabilities is None:
        return float("nan")
    own = np.clip(scores.probabilities[np.arange(len(y)), y], 1e-15, 1)
    return float(np.average(-np.log(own), weights=weights))


def _brier(y: NDArray[Any], scores: Scores, weights: Floats | None) -> float:
    if scores.probabilities is None:
        return float("nan")
    return float(np.average((scores.probabilities[:, 1] - (y == 1)) ** 2, weights=weights))


def _rmse(y: NDArray[Any], scores: Scores, weights: Floats | None) -> float:
    return float(np.sqrt(np.average((y - scores.predicted) ** 2, weights=weights)))


def _mae(y: NDArray[Any], scores: Scores, weights: Floats | None) -> float:
    return float(np.average(np.abs(y - scores.predicted), weights=weights))


def _mape(y: NDArray[Any], scores: Scores, weights: Floats | None) -> float:
    return float(np.average(np.abs(y - scores.predicted) / np.maximum(np.abs(y), 1e-12), weights=weights))


def _r2(y: NDArray[Any], scores: Scores, weights: Floats | None) -> float:
    spread = np.average((y - np.average(y, weights=weights)) ** 2, weights=weights)
    error = np.average((y - scores.predicted) ** 2, weights=weights)
    return float(1 - error / spread) if spread > 0 else float("nan")


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", False, True, _accuracy),
        Metric("balanced_accuracy", False, True, _balanced_accuracy),
        Metric("precision", False, True, _class_metric(lambda hit, predicted, _: _share(hit, predicted))),
        Metric("recall", False, True, _class_metric(lambda hit, _, actual: _share(hit, actual))),
        Metric("f1", False, True, _class_metric(lambda hit, pred, actual: _share(2 * hit, pred + actual))),
        Metric("roc_auc", False, True, _roc_auc),
        Metric("average_precision", False, True, _average_precision, two_classes_only=True),
        Metric("log_loss", True, True, _log_loss),
        Metric("brier", True, True, _brier, two_classes_only=True),
        Metric("rmse", True, False, _rmse),
        Metric("mae", True, False, _mae),
        Metric("mape", True, False, _mape),
        Metric("r2", False, False, _r2),
    )
}
