"""Plans: what a linear model or a forest computes, without scikit-learn's checks.

scikit-learn spends far more time on checking one row than on predicting it, and with each of a forest's trees
more on calling it than on going down it. A plan does the arithmetic alone, in the same order, and is used
only after it gave the same bits as scikit-learn for probe rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from store.loaded_model import LoadedModel

MOST_ROWS = 64
"""Rows up to which a forest's trees are gone down all at once; the loop over each is quicker for more."""
_PROBE_BATCHES = (1, 1, 1, 1, 1, 1, 1, 1, 2, 3, 7, 33, MOST_ROWS, 4 * MOST_ROWS)


@dataclass(frozen=True)
class Answer:
    """Probabilities of shape (n_rows, n_classes), or values of shape (n_rows,). `chosen` holds the positions
    of the classes where they don't follow from the probabilities."""

    values: np.ndarray
    chosen: np.ndarray | None = None


Plan = Callable[["np.ndarray"], "Answer | None"]
"""Takes float64 rows; None leaves rows that scikit-learn would refuse or treat otherwise to scikit-learn."""


def make_plan(model: LoadedModel) -> Plan | None:
    """A plan that agrees bit for bit with the model's estimator on probe rows; None where there is none."""
    if model.needs_frame or model.dtype != "float64":
        return None
    steps = _steps(model.estimator)
    plan = _scaled(steps[:-1], _final_plan(steps[-1]))
    if plan is None:
        return None
    try:
        probes = probe_batches(model.estimator, len(model.columns))
        is_same = all(_agrees(plan, model, rows) for rows in probes)
    except Exception:  # an estimator of a kind nobody thought of: scikit-learn itself predicts
        return None
    return plan if is_same else None


def _steps(estimator: Any) -> list[Any]:
    """The steps of a pipeline in order, without those that do nothing and without threshold wrappers."""
    from sklearn.pipeline import Pipeline

    if type(estimator) is Pipeline:
        steps = [step for _, step in estimator.steps if step is not None and not isinstance(step, str)]
        return [*steps[:-1], *_steps(steps[-1])] if steps else [estimator]
    if type(estimator).__name__ in ("FixedThresholdClassifier", "TunedThresholdClassifierCV"):
        return _steps(estimator.estimator_)
    return [estimator]


def _scaled(scalers: Sequence[Any], final: Plan | None) -> Plan | None:
    """The plan of the last step after at most one StandardScaler."""
    from sklearn.preprocessing import StandardScaler

    if final is None or not scalers:
        return final
    if len(scalers) > 1 or type(scalers[0]) is not StandardScaler:
        return None
    mean = scalers[0].mean_ if scalers[0].with_mean else None
    scale = scalers[0].scale_ if scalers[0].with_std else None

    def plan(X: np.ndarray) -> Answer | None:
        if mean is not None:
            X = X - mean
        if scale is not None:
            X = X / scale
        return final(X)

    return plan


def _final_plan(estimator: Any) -> Plan | None:
    import sklearn.ensemble as ensemble
    import sklearn.linear_model as linear
    import sklearn.tree as tree

    from store.tree_plans import boosting_plan, forest_plan

    kind = type(estimator)
    if kind in (linear.LogisticRegression, linear.LogisticRegressionCV):
        return _logistic(estimator)
    if kind in (linear.LinearRegression, linear.Ridge, linear.RidgeCV, linear.Lasso, linear.ElasticNet):
        return _linear(estimator)
    if kind in (tree.DecisionTreeClassifier, tree.DecisionTreeRegressor):
        return forest_plan(estimator, [estimator])
    if kind in (
        ensemble.RandomForestClassifier,
        ensemble.RandomForestRegressor,
        ensemble.ExtraTreesClassifier,
        ensemble.ExtraTreesRegressor,
    ):
        return forest_plan(estimator, estimator.estimators_)
    if kind in (ensemble.GradientBoostingClassifier, ensemble.GradientBoostingRegressor):
        return boosting_plan(estimator)
    return None


def _logistic(estimator: Any) -> Plan:
    import numpy as np
    from scipy.special import expit

    coefficients, intercept = estimator.coef_.T, estimator.intercept_
    is_binary = len(estimator.classes_) == 2

    def plan(X: np.ndarray) -> Answer | None:
        if not np.isfinite(X).all():
            return None
        scores = X @ coefficients + intercept
        if is_binary:
            positive = expit(scores.reshape(-1))
            return Answer(np.stack([1 - positive, positive], axis=1))
        scores -= scores.max(axis=1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=1, keepdims=True)
        return Answer(scores)

    return plan


def _linear(estimator: Any) -> Plan | None:
    import numpy as np

    coefficients, intercept = estimator.coef_, estimator.intercept_
    if coefficients.ndim != 1:
        return None

    def plan(X: np.ndarray) -> Answer | None:
        return Answer(X @ coefficients + intercept) if np.isfinite(X).all() else None

    return plan


def probe_batches(estimator: Any, width: int) -> list[np.ndarray]:
    """Batches of rows that reach many leaves: values around the features' own, and exactly on thresholds."""
    import numpy as np
    from sklearn.preprocessing import StandardScaler

    steps = _steps(estimator)
    random = np.random.default_rng(20)
    mean, scale = np.zeros(width), np.ones(width)
    if len(steps) > 1 and type(steps[0]) is StandardScaler:
        scaler = steps[0]
        mean = scaler.mean_ if scaler.with_mean else mean
        scale = scaler.scale_ if scaler.with_std else scale
    thresholds = _thresholds(steps[-1], width)
    batches = []
    for n_rows in _PROBE_BATCHES:
        rows = random.normal(size=(n_rows, width)) * 2
        for column, cuts in enumerate(thresholds):
            if len(cuts):
                chosen = random.choice(cuts, n_rows)
                shifts = random.choice([0.0, 1e-6, -1e-6, 0.1, -0.1], n_rows)
                rows[:, column] = chosen * (1 + shifts)
        batches.append(rows * scale + mean)
    return batches


def _thresholds(final: Any, width: int) -> list[np.ndarray]:
    import numpy as np

    trees = getattr(final, "estimators_", [final] if hasattr(final, "tree_") else [])
    every = np.ravel(np.array(trees, dtype=object))
    parts = [tree.tree_ for tree in every if hasattr(tree, "tree_")]
    found: list[list[np.ndarray]] = [[] for _ in range(width)]
    for part in parts[:50]:
        for column in range(width):
            found[column].append(part.threshold[part.feature == column])
    return [np.concatenate(cuts) if cuts else np.empty(0) for cuts in found]


def _agrees(plan: Plan, model: LoadedModel, rows: np.ndarray) -> bool:
    import numpy as np

    answer = plan(rows)
    if answer is None:
        return False
    if model.classes is None:
        return np.array_equal(answer.values, model.estimator.predict(rows))
    if not np.array_equal(answer.values, model.estimator.predict_proba(rows)):
        return False
    if answer.chosen is None or model.threshold is not None:
        return model.one_call or model.threshold is not None
    labels = [model.classes[position] for position in answer.chosen.tolist()]
    return bool(labels == model.estimator.predict(rows).tolist())
