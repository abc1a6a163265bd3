"""Estimators are found by name, and what they refuse is explained."""

from __future__ import annotations

import pytest

from pipelines.estimators import SHORT_NAMES, algorithm, find_class, make_estimator, needs_scaling
from store.errors import SettingsError


@pytest.mark.parametrize("name", sorted(SHORT_NAMES))
def test_every_short_name_exists(name: str) -> None:
    _, classifier, regressor = SHORT_NAMES[name]
    for task, expected in (("multiclass", classifier), ("regression", regressor)):
        if expected is not None:
            assert find_class(name, task).__name__ == expected  # type: ignore[arg-type]


def test_a_dotted_path_and_a_class_name_are_taken() -> None:
    for name in ("sklearn.ensemble.RandomForestClassifier", "RandomForestClassifier", "random_forest"):
        model = make_estimator(name, "binary", {"n_estimators": 3}, seed=7)
        assert (algorithm(model), model.n_estimators, model.random_state) == ("random_forest", 3, 7)


@pytest.mark.parametrize(
    ("name", "task", "params", "message"),
    [
        ("random_forrest", "binary", {}, "no estimator 'random_forrest'.* Did you mean 'random_forest'"),
        ("sklearn.ensemble.RandomForrestClassifier", "binary", {}, "Did you mean 'RandomForestClassifier'"),
        ("sklearn.nothing.Forest", "binary", {}, "no estimator"),
        ("no_such_package.Model", "binary", {}, "pip install no_such_package"),
        ("random_forest", "binary", {"max_dept": 3}, "no parameter 'max_dept'.* Did you mean 'max_depth'"),
        ("linear_regression", "binary", {}, "is for numbers, and the task is binary"),
        ("sklearn.svm.SVR", "multiclass", {}, "is a regressor"),
        ("sklearn.svm.SVC", "regression", {}, "is a classifier"),
        ("collections.OrderedDict", "binary", {}, "no estimator|lacks fit"),
    ],
)
def test_what_cannot_be_is_explained(name: str, task: str, params: dict[str, int], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        make_estimator(name, task, params, seed=0)  # type: ignore[arg-type]


def test_scale_matters_to_linear_models_and_not_to_trees() -> None:
    assert needs_scaling(make_estimator("logistic_regression", "binary", {}, 0))
    assert needs_scaling(make_estimator("knn", "regression", {}, 0))
    assert not needs_scaling(make_estimator("random_forest", "binary", {}, 0))


def test_a_parameter_from_an_environment_variable_finds_its_capitals() -> None:
    assert make_estimator("logistic_regression", "binary", {"c": 0.5}, seed=1).C == 0.5
