"""The paired tests give the numbers of their papers and are sure about as often as they should be."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipelines import metrics, paired
from pipelines.metrics import Scores


def naive_delong(y: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Difference and its standard error straight from the definition, every pair compared."""
    parts = []
    for scores in (a, b):
        wins = (scores[y][:, None] > scores[~y][None, :]) + 0.5 * (scores[y][:, None] == scores[~y][None, :])
        parts.append((wins.mean(), wins.mean(axis=1), wins.mean(axis=0)))
    by_positive = np.cov(parts[0][1], parts[1][1]) / y.sum()
    by_negative = np.cov(parts[0][2], parts[1][2]) / (~y).sum()
    total = by_positive + by_negative
    return parts[0][0] - parts[1][0], math.sqrt(total[0, 0] + total[1, 1] - 2 * total[0, 1])


def test_delong_agrees_with_the_definition() -> None:
    rng = np.random.default_rng(3)
    y = rng.random(120) < 0.4
    a, b = np.round(rng.normal(y, 1), 1), np.round(rng.normal(y * 0.5, 1), 1)
    difference, error = naive_delong(y, a, b)
    test = paired.delong(y, a, b)
    assert test is not None
    assert test.difference == pytest.approx(difference)
    assert test.high - test.low == pytest.approx(2 * 1.96 * error)
    assert test.probability_better == pytest.approx(0.5 * (1 + math.erf(difference / error / math.sqrt(2))))


def test_equal_models_are_a_coin_flip() -> None:
    y = np.array([True, False] * 20)
    scores = np.linspace(0, 1, 40)
    test = paired.delong(y, scores, scores)
    assert test is not None
    assert (test.difference, test.probability_better) == (0.0, 0.5)


def test_one_member_of_a_class_cannot_be_tested() -> None:
    assert paired.delong(np.array([True, False, False]), np.arange(3.0), np.arange(3.0)) is None


def test_the_bootstrap_finds_a_clear_difference_and_no_other() -> None:
    rng = np.random.default_rng(1)
    y = rng.normal(0, 1, 400)
    good, bad = Scores(y + rng.normal(0, 0.5, 400)), Scores(y + rng.normal(0, 1, 400))
    rmse = metrics.find("rmse", "regression")
    better = paired.compare(rmse, y, good, bad)
    same = paired.compare(rmse, y, good, Scores(good.predicted.copy()))
    assert better is not None
    assert better.probability_better > 0.99
    assert better.low > 0
    assert same is not None
    assert same.probability_better == 0.5


def test_midranks_share_ties() -> None:
    assert paired.midranks(np.array([3.0, 1.0, 3.0, 2.0])).tolist() == [3.5, 1.0, 3.5, 2.0]
