"""Golden values: Wilson from scipy, the z of a drop in closed form, CBPE from NannyML."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipelines.metrics import Scores
from pipelines.performance.calibration import Calibrator, expected_calibration_error, reliability
from pipelines.performance.estimate import estimated_figures
from pipelines.performance.figures import Figure, drop_test, f1, is_below, rate, roc_auc, wilson
from pipelines.performance.reference import PerformanceReference, reference_of
from pipelines.performance.rows import Rows


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


def test_a_calibrator_is_isotonic_small_and_survives_json() -> None:
    rng = np.random.default_rng(6)
    scores = rng.random(20_000)
    positive = rng.random(20_000) < scores**2
    fitted = Calibrator.fit(positive, scores)
    assert len(fitted.scores) < 400
    assert list(fitted.rates) == sorted(fitted.rates)
    asked = np.linspace(0, 1, 50)
    assert np.abs(fitted(asked) - asked**2).max() < 0.06
    again = Calibrator.from_json(fitted.as_json())
    assert again(asked) == pytest.approx(fitted(asked), abs=1e-7)


def test_estimates_are_those_of_nannyml() -> None:
    """Golden values: CBPE of NannyML 0.13.1, one chunk, on these very numbers."""
    rng = np.random.default_rng(11)
    before = np.clip(rng.beta(2, 2, 50000), 0.001, 0.999)
    y = (rng.random(50000) < before**1.5).astype(int)
    now = np.clip(rng.beta(2, 3.5, 20000), 0.001, 0.999)
    scores = Scores((before >= 0.5).astype(int), np.column_stack([1 - before, before]))
    held = PerformanceReference.from_json(reference_of("binary", y, scores, ["0", "1"]).as_json())
    assert held is not None
    rows = Rows(
        ("0", "1"),
        (now >= 0.5).astype(int),
        np.full(20000, -1),
        np.zeros(20000, dtype=bool),
        np.column_stack([1 - now, now]),
    )
    found = {figure.metric: figure.value for figure in estimated_figures(rows, held)}
    assert found == pytest.approx(
        {
            "accuracy": 0.7552229444524017,
            "precision": 0.49719711375906545,
            "recall": 0.4869022371046344,
            "f1": 0.49199582696358457,
            "roc_auc": 0.7624570438577246,
        },
        abs=1e-6,
    )


def test_reliability_bins_and_the_calibration_error() -> None:
    positive = np.array([True, False, True, True])
    probability = np.array([0.15, 0.11, 0.95, 1.0])
    bins = reliability(positive, probability)
    assert [(one["rows"], one["observed"]) for one in bins] == [(2, 0.5), (2, 1.0)]
    assert expected_calibration_error(positive, probability) == pytest.approx(0.5 * 0.37 + 0.5 * 0.025)
