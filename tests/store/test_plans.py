"""Plans give scikit-learn's own bits, for every family that has one, and leave all else to scikit-learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, PolynomialFeatures, RobustScaler, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from store.loaded_model import LoadedModel, prepare
from store.model_files import ModelFile
from store.plans import MOST_ROWS, make_plan
from tests.conftest import UNHURRIED_IN_ONE_FIXTURE

WIDTH = 5
RANDOM = np.random.default_rng(3)
X = RANDOM.normal(size=(200, WIDTH)) * [1, 2, 0.5, 3, 1]
X[:, 4] = RANDOM.integers(0, 6, size=200)
GAPS = np.where(RANDOM.random(X.shape) < 0.1, np.nan, X)
SCORE = X @ [1, 0.5, 2, 0.3, 0]
LABELS: dict[str, Any] = {
    "two classes": (SCORE > 0).astype(int),
    "three classes": np.array(["low", "mid", "top"])[np.digitize(SCORE, [-1, 1])],
    "numbers": SCORE,
}

CLASSIFIERS: dict[str, Any] = {
    "logistic": LogisticRegression(max_iter=2000),
    "scaled logistic": make_pipeline(StandardScaler(), LogisticRegression()),
    "scaled without mean": make_pipeline(StandardScaler(with_mean=False), LogisticRegression(max_iter=2000)),
    "passthrough": Pipeline([("none", "passthrough"), ("model", LogisticRegression(max_iter=2000))]),
    "tree": DecisionTreeClassifier(random_state=0),
    "forest": RandomForestClassifier(20, random_state=0),
    "weighted forest": RandomForestClassifier(20, class_weight="balanced", max_depth=3, random_state=0),
    "extra trees": ExtraTreesClassifier(20, random_state=0),
    "scaled forest": make_pipeline(StandardScaler(), RandomForestClassifier(10, random_state=0)),
    "boosting": GradientBoostingClassifier(n_estimators=20, random_state=0),
    "boosting from zero": GradientBoostingClassifier(n_estimators=10, init="zero", random_state=0),
    "histogram": HistGradientBoostingClassifier(max_iter=15, max_leaf_nodes=8, random_state=0),
    "imputed logistic": make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True), StandardScaler(), LogisticRegression()
    ),
}
REGRESSORS: dict[str, Any] = {
    "least squares": LinearRegression(),
    "scaled ridge": make_pipeline(StandardScaler(), Ridge()),
    "tree": DecisionTreeRegressor(random_state=0),
    "forest": RandomForestRegressor(20, random_state=0),
    "boosting": GradientBoostingRegressor(n_estimators=20, random_state=0),
    "histogram": HistGradientBoostingRegressor(max_iter=15, random_state=0),
    "robust": make_pipeline(RobustScaler(), MaxAbsScaler(), Ridge()),
    "clipped": make_pipeline(MinMaxScaler(clip=True), LinearRegression()),
}
TAKE_MISSING = ("tree", "forest", "weighted forest", "extra trees", "histogram", "imputed logistic")
FAMILIES = [(kind, name) for name in CLASSIFIERS for kind in ("two classes", "three classes")]
FAMILIES += [("numbers", name) for name in REGRESSORS]


def loaded(estimator: Any) -> LoadedModel:
    file = ModelFile(
        Path("model"),
        inputs=None,
        n_inputs=WIDTH,
        flavor="sklearn",
        serialization_format="skops",
        model_path="",
    )
    return prepare(file, estimator)


@pytest.fixture(scope="module")
def models() -> dict[tuple[str, str], LoadedModel]:
    """Every family, fitted; each with its plan."""
    from sklearn.base import clone

    found = {}
    for kind, name in FAMILIES:
        estimator = (REGRESSORS if kind == "numbers" else CLASSIFIERS)[name]
        model = loaded(clone(estimator).fit(GAPS if name in TAKE_MISSING else X, LABELS[kind]))
        model.plan = make_plan(model)
        found[kind, name] = model
    return found


def answers(model: LoadedModel, rows: np.ndarray) -> tuple[Any, Any]:
    predictions = model.predict(rows)
    table = predictions.probabilities
    return predictions.prediction, None if table is None else table.tolist()


@pytest.mark.parametrize(("kind", "name"), FAMILIES)
@settings(max_examples=60, suppress_health_check=UNHURRIED_IN_ONE_FIXTURE)
@given(data=st.data())
def test_a_plan_gives_the_same_bits(models: Any, kind: str, name: str, data: Any) -> None:
    model = models[kind, name]
    assert model.plan is not None
    n_rows = data.draw(st.sampled_from([1, 2, 5, 17, MOST_ROWS, MOST_ROWS + 1, 1000, 2500]))
    seed = data.draw(st.integers(0, 2**32 - 1))
    # Larger ones pass the end of float32 when they are scaled, which scikit-learn refuses.
    special = data.draw(st.floats(-(2.0**120), 2.0**120, width=32))
    if name in TAKE_MISSING and data.draw(st.booleans()):
        special = np.nan
    rows = X[np.random.default_rng(seed).integers(0, len(X), n_rows)].copy()
    rows[0, data.draw(st.integers(0, WIDTH - 1))] = special
    planned = answers(model, rows)
    plan, model.plan = model.plan, None
    try:
        assert planned == answers(model, rows)
    finally:
        model.plan = plan


@pytest.mark.parametrize("name", ["tree", "forest", "boosting"])
@pytest.mark.parametrize("n_rows", [1, MOST_ROWS + 1])
@pytest.mark.parametrize("width", [WIDTH - 1, WIDTH + 1])
def test_rows_of_another_width_are_left_to_scikit_learn(
    models: Any, name: str, n_rows: int, width: int
) -> None:
    model = models["two classes", name]
    assert model.plan(np.zeros((n_rows, width))) is None
    with pytest.raises(ValueError, match=f"expecting {WIDTH} features"):
        model.predict(np.zeros((n_rows, width)))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
@pytest.mark.parametrize("name", ["scaled logistic", "forest", "boosting", "histogram"])
def test_what_scikit_learn_treats_otherwise_is_left_to_it(models: Any, name: str, value: float) -> None:
    plan = models["two classes", name].plan
    rows = X[:2].copy()
    rows[0, 0] = value
    answer = plan(rows)
    ways = {
        "forest": [np.nan],
        "histogram": [np.nan, np.inf, 1e300],
        "scaled logistic": [1e300],
        "boosting": [],
    }
    assert (answer is not None) == any(value is known for known in ways[name])


@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_what_scaling_brings_out_of_range_is_left_to_scikit_learn(models: Any) -> None:
    model = loaded(make_pipeline(StandardScaler(), LogisticRegression()).fit(X / 1e3, LABELS["two classes"]))
    model.plan = plan = make_plan(model)
    assert plan is not None
    rows = X[:2].copy()
    rows[0, 0] = 1e300
    planned = answers(model, rows)
    model.plan = None
    assert planned == answers(model, rows)
    rows[0, 0] = 1.7e308
    assert plan(rows) is None
    with pytest.raises(ValueError, match="infinity"):
        model.predict(rows)


@pytest.mark.parametrize(
    "estimator",
    [
        SVC(),
        make_pipeline(PolynomialFeatures(), StandardScaler(), LogisticRegression()),
        GradientBoostingClassifier(n_estimators=3, init=LogisticRegression(max_iter=2000)),
    ],
    ids=["svm", "another transformer", "boosting upon a model"],
)
def test_other_families_have_none(estimator: Any) -> None:
    assert make_plan(loaded(estimator.fit(X, LABELS["two classes"]))) is None


def test_a_threshold_of_the_model_is_followed() -> None:
    wrapped = FixedThresholdClassifier(LogisticRegression(max_iter=2000), threshold=0.9)
    model = loaded(make_pipeline(StandardScaler(), wrapped).fit(X, LABELS["two classes"]))
    model.plan = make_plan(model)
    assert model.plan is not None
    assert model.predict(X[:50]).prediction == model.estimator.predict(X[:50]).tolist()


def test_a_subclass_with_ideas_of_its_own_has_none() -> None:
    class Contrary(LogisticRegression):  # type: ignore[misc]
        def predict_proba(self, rows: Any) -> Any:
            return 1 - super().predict_proba(rows)

    assert make_plan(loaded(Contrary(max_iter=2000).fit(X, LABELS["two classes"]))) is None


def test_an_estimator_that_disagrees_with_its_plan_keeps_scikit_learns_answers() -> None:
    forest = RandomForestClassifier(5, random_state=0).fit(X, LABELS["two classes"])
    model = loaded(forest)
    original = forest.predict_proba
    forest.predict_proba = lambda rows: original(rows) + 1e-16 * rows[:, :1]
    assert make_plan(model) is None
