"""Which way a metric is better, by its name."""

from __future__ import annotations

import pytest

from workbench.directions import has_direction, is_lower_better


@pytest.mark.parametrize(
    "name",
    ["rmse", "mae", "log_loss", "cv_rmse_mean", "val_loss", "brier", "latency_ms", "MSE", "cv_roc_auc_std"],
)
def test_less_of_an_error_is_better(name):
    assert is_lower_better(name)


@pytest.mark.parametrize(
    "name",
    ["accuracy", "roc_auc", "f1_score", "r2", "cv_f1_mean", "neg_log_loss", "neg_root_mean_squared_error"],
)
def test_more_of_a_score_is_better(name):
    assert not is_lower_better(name)


@pytest.mark.parametrize("name", ["train_samples", "n_features", "threshold", "epoch"])
def test_counts_are_neither(name):
    assert not has_direction(name)
