"""The estimators that configuration files speak of, under the many names they have there."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

from pipelines.columns import TaskName
from pipelines.estimators import SHORT_NAMES, find_class
from store.errors import SettingsError, TrainingError
from workbench.starter.config_keys import normalized

# Other names for the short ones, as files and tutorials have them.
_ALSO = {
    "random_forest": "rf randomforest forest",
    "gradient_boosting": "gbm gb gbc gbr gbdt gradientboosting",
    "hist_gradient_boosting": "hgb hist_gbm histgradientboosting hist_gb hgbc hgbr",
    "extra_trees": "et extratrees",
    "ada_boost": "adaboost",
    "decision_tree": "dt tree decisiontree",
    "logistic_regression": "logistic logisticregression logreg lr logit",
    "linear_regression": "linearregression ols",
    "ridge": "ridge_regression",
    "lasso": "lasso_regression",
    "elastic_net": "elasticnet",
    "svm": "svc svr support_vector_machine",
    "knn": "k_neighbors kneighbors nearest_neighbors k_nearest_neighbors",
    "mlp": "neural_network nn neural_net multi_layer_perceptron",
    "naive_bayes": "nb gaussian_nb",
}
# Where a file names no estimator, the first of these that takes most of its parameters is meant.
_USUAL = (
    "random_forest", "gradient_boosting", "logistic_regression", "ridge", "svm", "decision_tree", "knn",
    "mlp", "hist_gradient_boosting",
)  # fmt: skip


@dataclass(frozen=True)
class Estimator:
    """An estimator by what to write in the settings, its class's name, and its parameters' defaults."""

    setting: str
    name: str
    parameters: Mapping[str, Any]


@cache
def find_estimator(word: str, task: str | None) -> Estimator | None:
    """The estimator that a file means by `RandomForestClassifier`, `rf` or `sklearn.svm.SVC`, else None.

    With a task of None, it is found for classes or else for numbers.
    """
    is_path = re.fullmatch(r"[A-Za-z_]\w*(\.\w+)+", word)
    short = _short_name(word.rpartition(".")[2]) if not is_path or word.startswith("sklearn.") else None
    short = short or (word if is_path else None)
    if short is None:
        return None
    for name in [task] if task else ["binary", "regression"]:
        try:
            found = find_class(short, cast("TaskName", name))
        except (SettingsError, TrainingError):
            continue
        parameters = inspect.signature(found).parameters
        return Estimator(short, found.__name__, {key: param.default for key, param in parameters.items()})
    return None


def closest_to(parameters: Sequence[str], task: str | None) -> Estimator | None:
    """The usual estimator that takes most of these parameters; None where none takes any."""
    candidates = [found for short in _USUAL if (found := find_estimator(short, task))]
    best = max(candidates, key=lambda found: len(found.parameters.keys() & set(parameters)))
    return best if best.parameters.keys() & set(parameters) else None


def _short_name(word: str) -> str | None:
    spelled = normalized(word)
    stem = re.sub(r"_?(classifier|classification|regressor|clf|reg|model)$", "", spelled)
    for short, (_, *classes) in SHORT_NAMES.items():
        names = {short, *_ALSO.get(short, "").split(), *(normalized(name) for name in classes if name)}
        if spelled in names or stem in names:
            return short
    return None
