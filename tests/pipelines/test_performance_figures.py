"""Golden values: Wilson from scipy, the z of a drop in closed form, isotonic fits from scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipelines.performance.calibration import Calibrator, expected_calibration_error, reliability
from pipelines.performance.figures import Figure, drop_test, f1, is_below, rate, roc_auc, wilson


def test_wilson() -> None:
    assert wilson(87, 100) == pytest.approx((0.7901964855992357, 0.9224283257275948), abs=1e-12)
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(0, 10)[0] == 0.0
    assert wilson(10, 10)[1] == pytest.approx(1.0)


def test_the_z_of_a_drop() -> None:
    reference, now = rate("accuracy", 4500, 5000), rate("accuracy", 430, 500)
    assert reference is not None
    assert now is not None
    drop = drop_test(reference, now)
    assert drop is not None
    assert drop.z == pytest.approx(2.7980176707837825, abs=1e-12)
    assert drop.p_value == pytest.approx(0.002570864978426473, abs=1e-14)
    assert drop.amount == pytest.approx(0.04)
    assert is_below(drop, now)


def test_a_drop_needs_a_point_and_enough_rows() -> None:
    many, few = rate("accuracy", 900_000, 1_000_000), rate("accuracy", 895_000, 1_000_000)
    assert many is not None
    assert few is not None
    assert not is_below(drop_test(many, few), few), "half a point, however sure"
    tiny = rate("accuracy", 5, 20)
    assert tiny is not None
    assert drop_test(many, tiny) is None
    better = rate("accuracy", 480, 500)
    assert better is not None
    assert not is_below(drop_test(many, better), better)


def test_an_error_drops_when_it_grows() -> None:
    before = Figure("mae", 10.0, 500, se=0.3, is_error=True)
    after = Figure("mae", 12.0, 500, se=0.4, is_error=True, point=0.5)
    drop = drop_test(before, after)
    assert drop is not None
    assert drop.z == pytest.approx(4.0)
    assert is_below(drop, after)


def test_f1_has_the_interval_of_its_jaccard_share() -> None:
    figure = f1(60, 80, 90)
    assert figure is not None
    assert figure.value == pytest.approx(2 * 60 / 170)
    low, high = wilson(60, 110)
    assert (figure.low, figure.high) == pytest.approx((2 * low / (1 + low), 2 * high / (1 + high)))
    assert f1(0, 0, 0) is None


def test_auc_and_its_error_by_delong() -> None:
    positive = np.array([False, False, True, True])
    figure = roc_auc(positive, np.array([0.1, 0.4, 0.35, 0.8]))
    assert figure is not None
    assert figure.value == 0.75
    assert figure.se == pytest.approx(math.sqrt(0.125 / 2 + 0.125 / 2))
    assert roc_auc(np.array([True, True]), np.array([0.1, 0.2])) is None


def test_a_calibrator_is_scikit_learns_isotonic_regression_where_bins_are_single_scores() -> None:
    from sklearn.isotonic import IsotonicRegression

    rng = np.random.default_rng(5)
    scores = rng.integers(0, 100, 5000) / 100
    positive = rng.random(5000) < scores**2
    expected = IsotonicRegression(out_of_bounds="clip").fit(scores, positive)
    asked = np.linspace(0, 1, 101)
    assert Calibrator.fit(positive, scores)(asked) == pytest.approx(expected.predict(asked), abs=1e-9)


def test_a_calibrator_of_many_scores_has_two_hundred_bins_and_survives_json() -> None:
    rng = np.random.default_rng(6)
    scores = rng.random(20_000)
    positive = rng.random(20_000) < scores**2
    fitted = Calibrator.fit(positive, scores)
    assert len(fitted.scores) == 200
    again = Calibrator.from_json(fitted.as_json())
    asked = np.linspace(0, 1, 50)
    assert again(asked) == pytest.approx(fitted(asked), abs=1e-7)
    assert np.abs(fitted(asked) - asked**2).max() < 0.06


def test_reliability_bins_and_the_calibration_error() -> None:
    positive = np.array([True, False, True, True])
    probability = np.array([0.15, 0.11, 0.95, 1.0])
    bins = reliability(positive, probability)
    assert [(one["rows"], one["observed"]) for one in bins] == [(2, 0.5), (2, 1.0)]
    assert expected_calibration_error(positive, probability) == pytest.approx(0.5 * 0.37 + 0.5 * 0.025)
