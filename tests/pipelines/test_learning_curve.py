"""What a training logs over steps: how its fit went, out of scikit-learn's own estimators."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import (
    AdaBoostClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import mean_squared_error, roc_auc_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipelines.fitting import freeze_with_threshold, with_threshold
from pipelines.learning_curve import MOST_POINTS, Curve, learning_curves
from pipelines.request import TrainResult
from store.layout import Layout
from store.tracking import open_runs, resolve_uri

SMALL = {"max_iter": 12, "max_leaf_nodes": 4}


def rows(n: int = 300) -> tuple[pd.DataFrame, Any, Any]:
    """Three columns, a class (0, 1) and a number that depend on them."""
    generator = np.random.default_rng(7)
    X = pd.DataFrame(generator.normal(size=(n, 3)), columns=["a", "b", "c"])
    amount = X["a"] * 2 + X["b"] + generator.normal(size=n)
    return X, (amount > 0).to_numpy().astype(int), amount.to_numpy()


def curves_of(estimator: Any, *, n: int = 300) -> dict[str, Curve]:
    X, label, amount = rows(n)
    is_classifier = hasattr(estimator, "classes_") or "Classifier" in type(estimator).__name__
    is_classifier = is_classifier or "Logistic" in type(estimator).__name__
    y = label if is_classifier else amount
    model = make_pipeline(StandardScaler(), estimator).fit(X, y)
    if is_classifier:
        return learning_curves(model, X, y, "binary", (0, 1), "roc_auc", seed=0)
    return learning_curves(model, X, y, "regression", (), "rmse", seed=0)


@pytest.mark.parametrize(
    ("estimator", "names"),
    [
        (HistGradientBoostingClassifier(**SMALL), {"test_roc_auc"}),
        (
            HistGradientBoostingRegressor(**SMALL, early_stopping=True),
            {"train_loss", "validation_loss", "test_rmse"},
        ),
        (
            HistGradientBoostingClassifier(**SMALL, early_stopping=True, scoring="accuracy"),
            {"train_score", "validation_score", "test_roc_auc"},
        ),
        (GradientBoostingClassifier(n_estimators=8), {"train_loss", "test_roc_auc"}),
        (
            GradientBoostingRegressor(n_estimators=8, subsample=0.5),
            {"train_loss", "oob_loss", "test_rmse"},
        ),
        (AdaBoostClassifier(n_estimators=5), {"test_roc_auc"}),
        (RandomForestClassifier(n_estimators=5), set()),
        (LogisticRegression(), set()),
    ],
)
def test_estimators_that_learn_in_steps_have_curves(estimator: Any, names: set[str]) -> None:
    curves = curves_of(estimator)
    assert set(curves) == names
    for curve in curves.values():
        steps = [step for step, _ in curve]
        assert steps == sorted(set(steps))
        assert steps[0] == 1
        assert 1 < len(curve) <= MOST_POINTS


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_network_shows_its_loss_and_what_it_stops_by() -> None:
    curves = curves_of(MLPClassifier((4,), max_iter=6, early_stopping=True, n_iter_no_change=9))
    assert set(curves) == {"train_loss", "validation_score"}
    assert curves["train_loss"][-1][1] < curves["train_loss"][0][1]


def test_the_last_point_is_what_the_whole_model_answers() -> None:
    X, label, amount = rows()
    model = make_pipeline(StandardScaler(), HistGradientBoostingRegressor(**SMALL)).fit(X, amount)
    curve = learning_curves(model, X, amount, "regression", (), "rmse", seed=0)["test_rmse"]
    assert curve[-1][0] == 12
    assert curve[-1][1] == pytest.approx(mean_squared_error(amount, model.predict(X)) ** 0.5)
    assert curve[-1][1] < curve[0][1]

    classifier = make_pipeline(StandardScaler(), GradientBoostingClassifier(n_estimators=5)).fit(X, label)
    curve = learning_curves(classifier, X, label, "binary", (0, 1), "roc_auc", seed=0)["test_roc_auc"]
    assert curve[-1][1] == pytest.approx(roc_auc_score(label, classifier.predict_proba(X)[:, 1]))


def test_a_decision_threshold_around_the_estimator_hides_nothing() -> None:
    X, label, _ = rows()
    plain = make_pipeline(StandardScaler(), HistGradientBoostingClassifier(**SMALL))
    wrapped = with_threshold(plain, 0.3).fit(X, label)
    frozen = freeze_with_threshold(plain.fit(X, label), 0.3, X, label)
    for model in (wrapped, frozen):
        assert set(learning_curves(model, X, label, "binary", (0, 1), "roc_auc", seed=0)) == {"test_roc_auc"}


def test_stages_on_another_scale_than_the_target_are_not_shown_as_its_error() -> None:
    X, _, amount = rows()
    inner = GradientBoostingRegressor(n_estimators=5)
    model = make_pipeline(TransformedTargetRegressor(inner, func=np.arcsinh, inverse_func=np.sinh))
    curves = learning_curves(model.fit(X, amount), X, amount, "regression", (), "rmse", seed=0)
    assert set(curves) == {"train_loss"}


def test_a_long_fit_is_a_hundred_points_from_first_to_last() -> None:
    curve = curves_of(GradientBoostingRegressor(n_estimators=333, max_depth=1), n=60)["train_loss"]
    assert len(curve) == MOST_POINTS
    assert (curve[0][0], curve[-1][0]) == (1, 333)


@pytest.mark.slow
def test_a_training_logs_its_curve_which_the_runs_index_shows_as_stepped(
    layout: Layout, cancer_csv: Path, train_here: Callable[..., TrainResult]
) -> None:
    result = train_here(data="cancer.csv", target="target", params=SMALL, split={"cv_folds": 0})
    runs = open_runs(resolve_uri("mlruns", layout.root), layout)
    run = runs.get(result.run_id)
    assert run.stepped == ("test_roc_auc",)
    points = runs.history(result.run_id, "test_roc_auc")
    assert [step for _, step, _ in points] == list(range(1, 13))
    assert points[-1][2] == pytest.approx(run.metrics["roc_auc"])
    assert "test_roc_auc" not in result.metrics
