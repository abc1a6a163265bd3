"""What a model answers for rows, with class positions instead of labels, whichever model it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.columns import TaskName
from pipelines.fold_task import raw_answers
from pipelines.metrics import Scores

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from store.loaded_model import LoadedModel


def ask(
    estimator: Any, X: pd.DataFrame, task: TaskName, classes: Sequence[Any], threshold: float | None
) -> Scores:
    """Scores of a fitted scikit-learn estimator; one call of predict_proba where it has that."""
    if task == "regression":
        X = X.copy(deep=False)  # a user's features() may add columns to what it is given
        return interpret({"predicted": estimator.predict(X)}, task, classes, threshold)
    return interpret(raw_answers(estimator, X), task, classes, threshold)


def interpret(
    answers: Mapping[str, Any], task: TaskName, classes: Sequence[Any], threshold: float | None
) -> Scores:
    """Scores from what `fold_task.raw_answers` gives."""
    if task == "regression":
        return Scores(np.asarray(answers["predicted"], dtype="float64").ravel())
    own = answers.get("probabilities")
    if own is not None:
        probabilities = np.zeros((len(own), len(classes)))
        probabilities[:, positions(answers["classes"], classes)] = own
        return decide(probabilities, threshold)
    decision = answers.get("decision") if task == "binary" else None
    return Scores(positions(answers["predicted"], classes), decision=decision)


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
