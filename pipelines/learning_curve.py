"""How a fit went from one iteration to the next: what estimators keep of it, and staged answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines import metrics
from pipelines.answers import interpret
from pipelines.columns import TaskName

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

Curve = Sequence[tuple[int, float]]
"""Iterations, from 1, and a value for each of some of them."""

MOST_POINTS = 100
"""More than a terminal shows of a curve, and little enough for one call to MLflow."""
_MOST_ROWS = 1_000
_MOST_ITERATIONS = 1_000
"""Staged answers cost a look at every tree: beyond this the fit's own figures must do."""


def learning_curves(
    model: Any,
    X: pd.DataFrame,
    y: NDArray[Any],
    task: TaskName,
    classes: Sequence[Any],
    metric: str,
    *,
    seed: int,
) -> dict[str, Curve]:
    """By the name to log it under: what the fit of `model`, a fitted pipeline, tells of its iterations.

    `train_loss`, `validation_loss`, `validation_score` and `oob_loss` are the estimator's own, where it keeps
    them; `test_METRIC` is `metric` on held-out rows (a thousand of them at most) after so many iterations,
    where the estimator answers in stages. At most 100 points each; a curve has two or more.
    """
    steps, estimator = _unwrapped(model)
    found = {name: _thinned(values) for name, values in _kept(estimator).items()}
    if steps is not None and 1 < _iterations(estimator) <= _MOST_ITERATIONS:
        from threadpoolctl import threadpool_limits

        rows = np.arange(len(X))
        if len(rows) > _MOST_ROWS:
            rows = np.sort(np.random.default_rng(seed).choice(rows, _MOST_ROWS, replace=False))
        sample = X.iloc[rows].copy(deep=False)
        for step in steps:
            sample = step.transform(sample)
        # A stage is too little work for threads: on a busy machine they wait for each other.
        with threadpool_limits(1, user_api="openmp"):
            found[f"test_{metric}"] = list(_staged(estimator, sample, y[rows], task, classes, metric))
    return {
        name: curve
        for name, curve in found.items()
        if len(curve) > 1 and all(np.isfinite(value) for _, value in curve)
    }


def _unwrapped(model: Any) -> tuple[list[Any] | None, Any]:
    """The fitted steps before the estimator, and the estimator itself, out of what workbench and scikit-learn
    put around it; no steps where its answers are not those of the whole."""
    steps: list[Any] | None = []
    while True:
        if hasattr(model, "steps"):
            if steps is not None:
                steps += [step for _, step in model.steps[:-1] if step not in (None, "passthrough")]
            model = model.steps[-1][1]
        elif type(model).__name__ == "FixedThresholdClassifier":
            model = model.estimator_
        elif type(model).__name__ == "FrozenEstimator":
            model = model.estimator
        elif type(model).__name__ == "TransformedTargetRegressor":
            model, steps = model.regressor_, None
        else:
            return steps, model


def _kept(estimator: Any) -> Mapping[str, Sequence[float]]:
    """What scikit-learn's estimators keep of their iterations."""
    kept: dict[str, Any] = {"train_loss": getattr(estimator, "loss_curve_", None)}
    train, validation = (getattr(estimator, f"{part}_score_", None) for part in ("train", "validation"))
    if hasattr(estimator, "scoring"):  # histogram gradient boosting: scores, of which a loss is negative
        kind, sign = ("loss", -1.0) if estimator.scoring == "loss" else ("score", 1.0)
        for part, values in (("train", train), ("validation", validation)):
            kept[f"{part}_{kind}"] = None if values is None else [sign * value for value in values]
    elif train is not None:
        kept["train_loss"] = train
    kept["oob_loss"] = getattr(estimator, "oob_scores_", None)
    kept.setdefault("validation_score", getattr(estimator, "validation_scores_", None))
    return {
        name: [float(value) for value in values]
        for name, values in kept.items()
        if isinstance(values, list | np.ndarray) and np.ndim(values) == 1
    }


def _iterations(estimator: Any) -> int:
    """How many stages the estimator can answer in; 0 where it can't."""
    if not hasattr(estimator, "staged_predict"):
        return 0
    for name in ("n_iter_", "n_estimators_"):
        if isinstance(number := getattr(estimator, name, None), int | np.integer):
            return int(number)
    return len(getattr(estimator, "estimators_", ()))


def _staged(
    estimator: Any, X: Any, y: NDArray[Any], task: TaskName, classes: Sequence[Any], metric: str
) -> Iterator[tuple[int, float]]:
    has_probabilities = task != "regression" and hasattr(estimator, "staged_predict_proba")
    answers = estimator.staged_predict_proba(X) if has_probabilities else estimator.staged_predict(X)
    wanted = _spread(_iterations(estimator))
    for number, answer in enumerate(answers):
        if number not in wanted:
            continue
        given = {"probabilities": answer, "classes": estimator.classes_} if has_probabilities else {}
        scores = interpret({"predicted": answer, **given}, task, classes, None)
        for value in metrics.compute([metric], task, y, scores).values():
            yield number + 1, value


def _thinned(values: Sequence[float]) -> Curve:
    wanted = _spread(len(values))
    return [(number + 1, value) for number, value in enumerate(values) if number in wanted]


def _spread(count: int) -> set[int]:
    """The places of at most a hundred of `count`, first and last among them."""
    return set(np.linspace(0, count - 1, min(count, MOST_POINTS)).round().astype(int).tolist())
