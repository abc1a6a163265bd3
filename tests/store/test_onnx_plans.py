"""Graphs of ONNX answer as scikit-learn does, within the tolerance, or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import LinearSVC

pytest.importorskip("skl2onnx", reason="the extra onnx is not installed")
pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

from store.loaded_model import LoadedModel, Predictions, prepare
from store.model_files import ModelFile
from store.onnx_plans import TOLERANCE, make_onnx_plan
from store.plans import make_plan

WIDTH = 5
RANDOM = np.random.default_rng(4)
X = RANDOM.normal(size=(300, WIDTH)) * [1, 200, 0.5, 3, 1] + [0, 500, 0, 0, 0]
SCORE = (X - [0, 500, 0, 0, 0]) @ [1, 0.005, 2, 0.3, 0]
LABELS: dict[str, Any] = {
    "two classes": (SCORE > 0).astype(int),
    "three classes": np.array(["low", "mid", "top"])[np.digitize(SCORE, [-1, 1])],
    "numbers": SCORE * 1000,
}
CLASSIFIERS: dict[str, Any] = {
    "logistic": make_pipeline(StandardScaler(), LogisticRegression()),
    "imputed": make_pipeline(SimpleImputer(), MinMaxScaler(), LogisticRegression()),
    "forest": RandomForestClassifier(10, random_state=0),
    "scaled forest": make_pipeline(MinMaxScaler(), RandomForestClassifier(10, random_state=0)),
    "boosting": GradientBoostingClassifier(n_estimators=10, random_state=0),
    "naive": GaussianNB(),
    "calibrated": make_pipeline(StandardScaler(), CalibratedClassifierCV(LogisticRegression(), cv=2)),
}
REGRESSORS: dict[str, Any] = {
    "ridge": make_pipeline(StandardScaler(), Ridge()),
    "forest": RandomForestRegressor(10, random_state=0),
    "boosting": GradientBoostingRegressor(n_estimators=10, random_state=0),
}
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
    model = prepare(file, estimator)
    model.plan = make_plan(model)
    return model


def both(model: LoadedModel, rows: np.ndarray) -> tuple[Predictions, Predictions]:
    """The answers with a graph, and those without."""
    native, found = model.plan, make_onnx_plan(model, X[:2])
    assert found.plan is not None, found.note
    model.plan = found.plan
    with_graph = model.predict(rows)
    model.plan = native
    return with_graph, model.predict(rows)


@pytest.mark.parametrize(("kind", "name"), FAMILIES)
def test_a_graph_gives_the_classes_and_nearly_the_numbers(kind: str, name: str) -> None:
    estimator = (REGRESSORS if kind == "numbers" else CLASSIFIERS)[name]
    model = loaded(estimator.fit(X, LABELS[kind]))
    rows = RANDOM.permutation(X, axis=0) * RANDOM.normal(1, 0.3, X.shape)
    for n_rows in (1, 2, len(rows)):
        found, right = both(model, rows[:n_rows])
        if model.classes is None:
            np.testing.assert_allclose(found.prediction, right.prediction, rtol=0, atol=TOLERANCE * 10_000)
            continue
        assert found.prediction == right.prediction
        assert found.probabilities is not None
        assert right.probabilities is not None
        np.testing.assert_allclose(found.probabilities, right.probabilities, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("is_scaled", [False, True])
def test_rows_at_the_threshold_get_the_class_scikit_learn_gives(is_scaled: bool) -> None:
    """A forest of ten has many rows at exactly 0.7, which float32 sums put on either side."""
    inner = RandomForestClassifier(10, max_depth=None, random_state=0)
    noisy = np.where(RANDOM.random(len(X)) < 0.3, 1 - LABELS["two classes"], LABELS["two classes"])
    wrapped = FixedThresholdClassifier(inner, threshold=0.7, response_method="predict_proba")
    model = loaded((make_pipeline(StandardScaler(), wrapped) if is_scaled else wrapped).fit(X, noisy))
    rows = np.concatenate([X, X * 1.05, X * 0.9])
    native = model.estimator.predict_proba(rows)[:, 1]
    assert (np.abs(native - 0.7) < 1e-9).sum() > 10
    found = make_onnx_plan(model)
    assert found.plan is not None, found.note
    model.plan = found.plan
    assert model.predict(rows).prediction == (native >= 0.7).astype(int).tolist()


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e35])
def test_what_a_graph_may_treat_otherwise_is_left_to_scikit_learn(value: float) -> None:
    model = loaded(CLASSIFIERS["forest"].fit(X, LABELS["two classes"]))
    plan = make_onnx_plan(model).plan
    assert plan is not None
    rows = X[:2].copy()
    rows[1, 0] = value
    assert plan(rows) is None


@pytest.mark.parametrize(
    ("estimator", "kind", "reason"),
    [
        (HistGradientBoostingRegressor(max_iter=3), "numbers", "float64"),
        (LinearSVC(), "two classes", "without probabilities"),
        (VotingClassifier([("a", GaussianNB())], voting="soft"), "two classes", "NotImplementedError"),
    ],
)
def test_a_model_that_cannot_be_converted_says_why(estimator: Any, kind: str, reason: str) -> None:
    found = make_onnx_plan(loaded(estimator.fit(X, LABELS[kind])))
    assert found.plan is None
    assert reason in found.note


def test_a_graph_that_is_too_far_from_scikit_learn_is_not_used() -> None:
    model = loaded(CLASSIFIERS["forest"].fit(X, LABELS["two classes"]))
    answers = model.estimator.predict_proba
    model.plan = None
    model.estimator.predict_proba = lambda rows: answers(rows)[:, ::-1]
    try:
        found = make_onnx_plan(model)
    finally:
        del model.estimator.predict_proba
    assert found.plan is None
    assert "from scikit-learn on probe rows" in found.note
