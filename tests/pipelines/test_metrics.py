"""Metrics agree with scikit-learn's, weights included."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk

from pipelines import metrics
from pipelines.metrics import Scores
from store.errors import SettingsError


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def binary(rng: np.random.Generator) -> tuple[Any, Scores]:
    y = rng.integers(0, 2, 300)
    p = np.clip(np.round(rng.random(300) * 0.7 + y * 0.25, 2), 0.01, 0.99)
    return y, Scores((p >= 0.5).astype(int), np.column_stack([1 - p, p]))


def multiclass(rng: np.random.Generator) -> tuple[Any, Scores]:
    y = rng.integers(0, 4, 300)
    raw = rng.random((300, 4)) + np.eye(4)[y]
    p = raw / raw.sum(axis=1, keepdims=True)
    return y, Scores(p.argmax(axis=1), p)


def test_two_classes(rng: np.random.Generator) -> None:
    y, s = binary(rng)
    p = s.probabilities
    assert p is not None
    expected = {
        "accuracy": sk.accuracy_score(y, s.predicted),
        "balanced_accuracy": sk.balanced_accuracy_score(y, s.predicted),
        "precision": sk.precision_score(y, s.predicted),
        "recall": sk.recall_score(y, s.predicted),
        "f1": sk.f1_score(y, s.predicted),
        "roc_auc": sk.roc_auc_score(y, p[:, 1]),
        "average_precision": sk.average_precision_score(y, p[:, 1]),
        "log_loss": sk.log_loss(y, p),
        "brier": sk.brier_score_loss(y, p[:, 1]),
    }
    assert metrics.compute(expected, "binary", y, s) == pytest.approx(expected)


def test_several_classes_are_averaged_macro(rng: np.random.Generator) -> None:
    y, s = multiclass(rng)
    expected = {
        "precision": sk.precision_score(y, s.predicted, average="macro"),
        "recall": sk.recall_score(y, s.predicted, average="macro"),
        "f1": sk.f1_score(y, s.predicted, average="macro"),
        "roc_auc": sk.roc_auc_score(y, s.probabilities, multi_class="ovr", average="macro"),
        "log_loss": sk.log_loss(y, s.probabilities),
    }
    assert metrics.compute(expected, "multiclass", y, s) == pytest.approx(expected)


def test_numbers(rng: np.random.Generator) -> None:
    y = rng.normal(10, 3, 200)
    s = Scores(y + rng.normal(0, 1, 200))
    expected = {
        "rmse": sk.root_mean_squared_error(y, s.predicted),
        "mae": sk.mean_absolute_error(y, s.predicted),
        "r2": sk.r2_score(y, s.predicted),
        "mape": sk.mean_absolute_percentage_error(y, s.predicted),
    }
    assert metrics.compute(expected, "regression", y, s) == pytest.approx(expected)


@pytest.mark.parametrize(
    "name", ["accuracy", "precision", "recall", "f1", "roc_auc", "average_precision", "log_loss"]
)
def test_a_weight_counts_like_a_repeated_row(rng: np.random.Generator, name: str) -> None:
    y, s = binary(rng)
    counts = rng.integers(0, 4, len(y))
    repeated = np.repeat(np.arange(len(y)), counts)
    metric = metrics.find(name, "binary")
    weighted = metric.compute(y, s, counts.astype(float))
    assert weighted == pytest.approx(metric.compute(y[repeated], s.rows(repeated), None))


def test_other_spellings_are_taken_and_unknown_names_explained() -> None:
    assert metrics.find("f1_score", "binary").name == "f1"
    with pytest.raises(SettingsError, match="Did you mean 'accuracy'"):
        metrics.find("acuracy", "binary")
    with pytest.raises(SettingsError, match="not for regression"):
        metrics.find("roc_auc", "regression")


def test_what_cannot_be_computed_is_left_out() -> None:
    y = np.array([0, 1, 1])
    assert metrics.compute(["accuracy", "roc_auc"], "multiclass", y, Scores(y)) == {"accuracy": 1.0}
