"""Cross-validation: a model for each fold, and what it answers for the rows it has not seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines import metrics
from pipelines.answers import ask, decide
from pipelines.columns import TaskName
from pipelines.metrics import Scores

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


@dataclass(frozen=True)
class FoldAnswer:
    """What one fold's model answered for the rows held out from it (positions within the training rows)."""

    rows: NDArray[np.intp]
    scores: Scores


def cross_validate(
    pipeline: Any,
    X: pd.DataFrame,
    labels: NDArray[Any],
    folds: Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]],
    task: TaskName,
    classes: Sequence[Any],
    fit: Callable[[Any, pd.DataFrame, NDArray[Any]], Any],
    on_fold: Callable[[int], None],
) -> list[FoldAnswer]:
    """Fit a clone of `pipeline` on each fold's training part with `fit` and ask it for the rest."""
    from sklearn.base import clone

    answers = []
    for number, (train, test) in enumerate(folds):
        on_fold(number)
        fitted = fit(clone(pipeline), X.iloc[train], labels[train])
        answers.append(FoldAnswer(test, ask(fitted, X.iloc[test], task, classes, None)))
    return answers


def out_of_fold(answers: Sequence[FoldAnswer]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Rows and probabilities of the positive class over all folds, where the model has probabilities."""
    rows = np.concatenate([answer.rows for answer in answers])
    parts = [answer.scores.ranking for answer in answers if answer.scores.probabilities is not None]
    return rows, np.concatenate([part for part in parts if part is not None])


def summarise(
    answers: Sequence[FoldAnswer],
    y: NDArray[Any],
    task: TaskName,
    names: Sequence[str],
    threshold: float | None,
) -> dict[str, float]:
    """Mean and standard deviation of each metric over the folds: `cv_METRIC_mean`, `cv_METRIC_std`."""
    rows = []
    for answer in answers:
        scores = answer.scores
        if threshold is not None and scores.probabilities is not None:
            scores = decide(scores.probabilities, threshold)
        rows.append(metrics.compute(names, task, y[answer.rows], scores))
    summary = {}
    for name in names:
        values = [row[name] for row in rows if name in row]
        if values:
            summary[f"cv_{name}_mean"] = float(np.mean(values))
            summary[f"cv_{name}_std"] = float(np.std(values))
    return summary
