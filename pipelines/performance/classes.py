"""Figures of classifications: from a confusion matrix, and from rows where probabilities are needed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.performance.calibration import expected_calibration_error, reliability
from pipelines.performance.figures import Figure, f1, plain, rate, roc_auc, wilson

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipelines.performance.rows import Rows

MAX_SEGMENTS = 20


def confusion(rows: Rows) -> NDArray[Any]:
    """Counts (n_classes + 1, n_classes + 1) of labelled rows, actual by predicted; last the other classes."""
    assert rows.classes is not None
    width = len(rows.classes) + 1
    actual, predicted = (np.where(codes < 0, width - 1, codes) for codes in (rows.actual, rows.predicted))
    chosen = rows.labelled
    counts = np.bincount(
        actual[chosen].astype(int) * width + predicted[chosen].astype(int), minlength=width * width
    )
    return counts.reshape(width, width)


def figures_of_confusion(matrix: NDArray[Any], n_classes: int) -> list[Figure]:
    """Accuracy, precision, recall and F1: of the second class for two, averaged over the classes for more."""
    total = float(matrix.sum())
    found = [rate("accuracy", float(np.trace(matrix[:n_classes, :n_classes])), total)]
    if n_classes == 2:
        hits, predicted, actual = _of_class(matrix, 1)
        found += [
            rate("precision", hits, predicted),
            rate("recall", hits, actual),
            f1(hits, predicted, actual),
        ]
    else:
        each = [_class_figures(*_of_class(matrix, k)) for k in range(n_classes)]
        found += [_macro(metric, [one[metric] for one in each]) for metric in ("precision", "recall", "f1")]
    return [figure for figure in found if figure is not None]


def figures_of_scores(rows: Rows) -> list[Figure]:
    """ROC AUC (one against the rest, averaged), Brier score and ECE of labelled rows with probabilities."""
    chosen = _scored(rows)
    if chosen is None or not len(chosen) or chosen.classes is None:
        return []
    scores = chosen.scores
    assert scores is not None
    found: list[Figure | None] = []
    if len(chosen.classes) == 2:
        positive = chosen.actual == 1
        found.append(roc_auc(positive, scores[:, 1]))
        squares = (scores[:, 1] - positive) ** 2
    else:
        each = [roc_auc(chosen.actual == k, scores[:, k]) for k in range(len(chosen.classes))]
        found.append(_macro("roc_auc", each))
        actual = np.equal.outer(chosen.actual, np.arange(len(chosen.classes)))
        squares = ((scores - actual) ** 2).sum(axis=1)
    n = len(squares)
    if n > 1:
        found.append(
            plain("brier", float(squares.mean()), n, float(squares.std(ddof=1)) / math.sqrt(n), is_error=True)
        )
        sure, right = _top(chosen)
        found.append(Figure("ece", expected_calibration_error(right, sure), n, is_error=True))
    return [figure for figure in found if figure is not None]


def per_class(matrix: NDArray[Any], classes: tuple[str, ...]) -> list[dict[str, Any]]:
    """Precision, recall and F1 of each class with intervals, and how many rows."""
    found = []
    for k, name in enumerate(classes):
        hits, predicted, actual = _of_class(matrix, k)
        figures = _class_figures(hits, predicted, actual)
        found.append(
            {
                "class": name,
                "actual": int(actual),
                "predicted": int(predicted),
                **{
                    metric: None
                    if figure is None
                    else {"value": figure.value, "low": figure.low, "high": figure.high}
                    for metric, figure in figures.items()
                },
            }
        )
    return found


def calibration_of(rows: Rows) -> dict[str, Any] | None:
    """Reliability bins, Brier score and ECE: of the second class for two, of the winning one for more."""
    chosen = _scored(rows)
    if chosen is None or not len(chosen) or chosen.scores is None or chosen.classes is None:
        return None
    if len(chosen.classes) == 2:
        positive, probability, of = chosen.actual == 1, chosen.scores[:, 1], chosen.classes[1]
    else:
        probability, positive = _top(chosen)
        of = "the predicted class"
    return {
        "of": of,
        "bins": reliability(positive, probability),
        "ece": expected_calibration_error(positive, probability),
        "brier": float(np.mean((probability - positive) ** 2)),
        "rows": len(positive),
    }


def by_segment(rows: Rows, feature: str) -> list[dict[str, Any]]:
    """Accuracy within each value of a feature, most frequent first."""
    values = rows.segments[feature]
    right = rows.actual == rows.predicted
    totals: dict[str | None, list[int]] = {}
    for value, labelled, hit in zip(values, rows.labelled.tolist(), right.tolist(), strict=True):
        counts = totals.setdefault(value, [0, 0, 0])
        counts[0] += 1
        counts[1] += labelled
        counts[2] += labelled and hit
    found = []
    for value, (n, labelled, hits) in sorted(totals.items(), key=lambda item: -item[1][0])[:MAX_SEGMENTS]:
        low, high = wilson(hits, labelled)
        found.append(
            {
                "feature": feature,
                "value": value,
                "predictions": n,
                "labelled": labelled,
                "metric": "accuracy",
                "mean": hits / labelled if labelled else None,
                "low": low if labelled else None,
                "high": high if labelled else None,
            }
        )
    return found


def _top(rows: Rows) -> tuple[NDArray[Any], NDArray[Any]]:
    assert rows.scores is not None
    winner = rows.scores.argmax(axis=1)
    return rows.scores[np.arange(len(winner)), winner], winner == rows.actual


def _scored(rows: Rows) -> Rows | None:
    """The labelled rows that have probabilities and one of the model's classes."""
    if rows.scores is None:
        return None
    known = rows.labelled & (rows.actual >= 0) & ~np.isnan(rows.scores).any(axis=1)
    return rows.select(known)


def _of_class(matrix: NDArray[Any], k: int) -> tuple[float, float, float]:
    return float(matrix[k, k]), float(matrix[:, k].sum()), float(matrix[k].sum())


def _class_figures(hits: float, predicted: float, actual: float) -> dict[str, Figure | None]:
    return {
        "precision": rate("precision", hits, predicted),
        "recall": rate("recall", hits, actual),
        "f1": f1(hits, predicted, actual),
    }


def _macro(metric: str, each: list[Figure | None]) -> Figure | None:
    """The mean over the classes that have a value; their errors are taken as independent."""
    known = [figure for figure in each if figure is not None]
    if not known:
        return None
    k = len(known)
    se = math.sqrt(sum((figure.se or 0.0) ** 2 for figure in known)) / k
    return plain(metric, sum(figure.value for figure in known) / k, min(figure.n for figure in known), se)
