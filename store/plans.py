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
    plan = unverified_plan(model)
    if plan is None:
        return None
    try:
        probes = probe_batches(model.estimator, len(model.columns), with_missing=True)
        is_same = all(_agrees(plan, model, rows) for rows in probes)
    except Exception:  # an estimator of a kind nobody thought of: scikit-learn itself predicts
        return None
    return plan if is_same else None


def unverified_plan(model: LoadedModel) -> Plan | None:
    """The plan of a model that takes an array, for what has agreed with it before."""
    steps = _steps(model.estimator)
    final = _final_plan(steps[-1], is_sparse=type(model.estimator) is SparseInput)
    return _prepared(steps[:-1], final, refuses_infinity=hasattr(steps[-1], "coef_"))


class SparseInput:
    """An estimator that is handed arrays as the sparse matrices it was fitted on."""

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def predict(self, X: np.ndarray) -> Any:
        """The estimator's own predict."""
        return self.estimator.predict(self.handed(X))

    def handed(self, X: np.ndarray) -> Any:
        """The rows as the estimator takes them."""
        return _as_sparse(X)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.__dict__["estimator"], name)
        return (lambda X: found(self.handed(X))) if name == "predict_proba" else found


class ObjectInput(SparseInput):
    """An estimator that was fitted on numbers as objects, which frames with booleans become."""

    def handed(self, X: np.ndarray) -> Any:
        """The rows as the estimator takes them."""
        return X.astype(object)


def _as_sparse(X: np.ndarray) -> Any:
    from scipy.sparse import csr_matrix

    return csr_matrix(X)


def _steps(estimator: Any) -> list[Any]:
    """The steps of a pipeline in order, without those that do nothing and without threshold wrappers."""
    from sklearn.pipeline import Pipeline

    if isinstance(estimator, SparseInput):
        return _steps(estimator.estimator)
    if type(estimator) is Pipeline:
        steps = [step for _, step in estimator.steps if step is not None and not isinstance(step, str)]
        return [*steps[:-1], *_steps(steps[-1])] if steps else [estimator]
    if type(estimator).__name__ in ("FixedThresholdClassifier", "TunedThresholdClassifierCV"):
        return _steps(estimator.estimator_)
    return [estimator]


def _prepared(
    transformers: Sequence[Any], final: Plan | None, *, refuses_infinity: bool = False
) -> Plan | None:
    """The plan of the last step, which may itself refuse infinity, after transformers of numbers."""
    if final is None or not transformers:
        return final
    from store.frame_encoder import through
    from store.frame_steps import array_step, is_scaler

    found = [array_step(transformer) for transformer in transformers]
    steps = [step for step in found if step is not None]
    if len(steps) < len(found):
        return None

    if refuses_infinity and all(map(is_scaler, transformers)):
        # What scaling brings out of range stays so until the last step refuses it: no other check is needed.
        def scaled(X: np.ndarray) -> Answer | None:
            found: np.ndarray | None = X
            for step in steps:
                if found is not None:
                    found = step(found)
            return None if found is None else final(found)

        return scaled

    def plan(X: np.ndarray) -> Answer | None:
        prepared = through(steps, X)
        return None if prepared is None else final(prepared)

    return plan


def _final_plan(estimator: Any, *, is_sparse: bool) -> Plan | None:
    import sklearn.ensemble as ensemble
    import sklearn.linear_model as linear
    import sklearn.tree as tree

    from store.plans_histogram import histogram_plan
    from store.tree_plans import boosting_plan, forest_plan

    kind = type(estimator)
    if kind in (linear.LogisticRegression, linear.LogisticRegressionCV):
        return _logistic(estimator, _times(estimator.coef_.T, is_sparse=is_sparse))
    if kind in (linear.LinearRegression, linear.Ridge, linear.RidgeCV, linear.Lasso, linear.ElasticNet):
        return _linear(estimator, is_sparse=is_sparse)
    if kind in (tree.DecisionTreeClassifier, tree.DecisionTreeRegressor):
        return forest_plan(estimator, [estimator], takes_missing=_takes_missing(estimator, is_sparse))
    if kind in (
        ensemble.RandomForestClassifier,
        ensemble.RandomForestRegressor,
        ensemble.ExtraTreesClassifier,
        ensemble.ExtraTreesRegressor,
    ):
        trees, takes_missing = estimator.estimators_, _takes_missing(estimator, is_sparse)
        return forest_plan(estimator, trees, takes_missing=takes_missing)
    if kind in (ensemble.GradientBoostingClassifier, ensemble.GradientBoostingRegressor):
        return boosting_plan(estimator)
    if kind in (ensemble.HistGradientBoostingClassifier, ensemble.HistGradientBoostingRegressor):
        return histogram_plan(estimator)
    return None


def _takes_missing(estimator: Any, is_sparse: bool) -> bool:
    from sklearn.utils import get_tags

    return bool(get_tags(estimator).input_tags.allow_nan) and not is_sparse


def _times(coefficients: np.ndarray, *, is_sparse: bool) -> Callable[[np.ndarray], np.ndarray]:
    """Multiplies rows by coefficients of shape (n_features, n_outputs), adding up as scikit-learn does."""
    import numpy as np

    if not is_sparse:
        return lambda X: X @ coefficients
    by_output = np.ascontiguousarray(coefficients.T)

    def product(X: np.ndarray) -> np.ndarray:
        if len(X) > MOST_ROWS:
            return np.asarray(_as_sparse(X) @ coefficients)
        # From the first column to the last, as through the entries of a sparse matrix; zeros add nothing.
        return np.add.accumulate(X[:, None, :] * by_output, axis=2)[:, :, -1]

    return product


def _logistic(estimator: Any, times: Callable[[np.ndarray], np.ndarray]) -> Plan:
    import numpy as np
    from scipy.special import expit

    intercept = estimator.intercept_
    is_binary = len(estimator.classes_) == 2

    def plan(X: np.ndarray) -> Answer | None:
        if not np.isfinite(X).all():
            return None
        scores = times(X) + intercept
        if is_binary:
            positive = expit(scores.reshape(-1))
            return Answer(np.stack([1 - positive, positive], axis=1))
        scores -= scores.max(axis=1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=1, keepdims=True)
        return Answer(scores)

    return plan


def _linear(estimator: Any, *, is_sparse: bool) -> Plan | None:
    import numpy as np

    coefficients, intercept = estimator.coef_, estimator.intercept_
    if coefficients.ndim != 1:
        return None
    product = _times(coefficients[:, None], is_sparse=True) if is_sparse else None

    def plan(X: np.ndarray) -> Answer | None:
        if not np.isfinite(X).all():
            return None
        return Answer((X @ coefficients if product is None else product(X)[:, 0]) + intercept)

    return plan


def probe_batches(estimator: Any, width: int, *, with_missing: bool = False) -> list[np.ndarray]:
    """Batches of rows that reach many leaves: values around the features' own, and exactly on thresholds.

    `with_missing`: in every other batch some values are missing, where the estimator takes that.
    """
    import numpy as np

    steps = _steps(estimator)
    takes_missing = with_missing and (
        _takes_missing(steps[-1], type(estimator) is SparseInput)
        or any(type(step).__name__ == "SimpleImputer" for step in steps)
    )
    random = np.random.default_rng(20)
    thresholds = _thresholds(steps[-1], width)
    batches: list[np.ndarray] = []
    for n_rows in _PROBE_BATCHES:
        rows = random.normal(size=(n_rows, width)) * 2
        for column, cuts in enumerate(thresholds):
            if len(cuts):
                chosen = random.choice(cuts, n_rows)
                shifts = random.choice([0.0, 1e-6, -1e-6, 0.1, -0.1], n_rows)
                rows[:, column] = chosen * (1 + shifts)
        rows = _before(steps[:-1], rows)
        if takes_missing and len(batches) % 2:
            rows[random.random(rows.shape) < 0.2] = np.nan
        batches.append(rows)
    return batches


def _before(transformers: Sequence[Any], rows: np.ndarray) -> np.ndarray:
    """Rows that the transformers turn into about these."""
    for transformer in reversed(transformers):
        if type(transformer).__name__ in ("StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler"):
            width = transformer.n_features_in_
            if rows.shape[1] == width:
                rows = transformer.inverse_transform(rows)
    return rows


def _thresholds(final: Any, width: int) -> list[np.ndarray]:
    import numpy as np

    trees = getattr(final, "estimators_", [final] if hasattr(final, "tree_") else [])
    every = np.ravel(np.array(trees, dtype=object))
    parts = [tree.tree_ for tree in every if hasattr(tree, "tree_")]
    found: list[list[np.ndarray]] = [[] for _ in range(width)]
    for part in parts[:50]:
        for column in range(width):
            found[column].append(part.threshold[part.feature == column])
    every_cut = [np.concatenate(cuts) if cuts else np.empty(0) for cuts in found]
    # A node that tells missing values from all others has an infinite one.
    return [cuts[np.isfinite(cuts)] for cuts in every_cut]


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
