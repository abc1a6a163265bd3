"""What a model answers for rows, with class positions instead of labels, whichever model it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.columns import TaskName
from pipelines.metrics import Scores

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from store.loaded_model import LoadedModel


def ask(
    estimator: Any, X: pd.DataFrame, task: TaskName, classes: Sequence[Any], threshold: float | None
) -> Scores:
    """Scores of a fitted scikit-learn estimator; one call of predict_proba where it has that."""
    X = X.copy(deep=False)  # a user's features() may add columns to what it is given
    if task == "regression":
        return Scores(np.asarray(estimator.predict(X), dtype="float64").ravel())
    if hasattr(estimator, "predict_proba"):
        own = np.asarray(estimator.predict_proba(X), dtype="float64")
        probabilities = np.zeros((len(own), len(classes)))
        probabilities[:, positions(estimator.classes_, classes)] = own
        return decide(probabilities, threshold)
    predicted = positions(estimator.predict(X), classes)
    decision = None
    if task == "binary" and hasattr(estimator, "decision_function"):
        decision = np.asarray(estimator.decision_function(X), dtype="float64").ravel()
    return Scores(predicted, decision=decision)


def ask_loaded(model: LoadedModel, X: pd.DataFrame, task: TaskName, classes: Sequence[Any]) -> Scores:
    """Scores of a registered version; ValueError where it doesn't answer in these classes."""
    answer = model.predict(X.copy(deep=False))
    if task == "regression":
        return Scores(np.asarray(answer.prediction, dtype="float64"))
    predicted = positions(answer.prediction, classes)
    if answer.probabilities is None or model.classes is None:
        return Scores(predicted)
    probabilities = np.zeros((len(predicted), len(classes)))
    probabilities[:, positions(model.classes, classes)] = answer.probabilities
    return Scores(predicted, probabilities)


def decide(probabilities: NDArray[np.float64], threshold: float | None) -> Scores:
    """Scores from probabilities: the likeliest class, or the second from `threshold` on."""
    if threshold is not None and probabilities.shape[1] == 2:
        return Scores((probabilities[:, 1] >= threshold).astype(np.intp), probabilities)
    return Scores(probabilities.argmax(axis=1), probabilities)


def positions(labels: Any, classes: Sequence[Any]) -> NDArray[np.intp]:
    """The place of each label in `classes`; ValueError for one that isn't there."""
    labels = np.asarray(labels).ravel()
    known = np.asarray(classes)
    if labels.dtype.kind in "OUS" or known.dtype.kind in "OUS":
        labels, known = labels.astype(str), known.astype(str)
    order = np.argsort(known)
    found = order[np.clip(np.searchsorted(known[order], labels), 0, len(known) - 1)]
    if not bool((known[found] == labels).all()):
        stranger = labels[known[found] != labels].tolist()[0]
        raise ValueError(f"class {stranger!r} is none of {', '.join(map(str, classes))}")
    codes: NDArray[np.intp] = found.astype(np.intp)
    return codes
