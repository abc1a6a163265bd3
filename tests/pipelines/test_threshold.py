"""The chosen threshold is the best one by brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.settings import CostsSettings
from pipelines.threshold import choose_threshold

scored_rows = st.lists(st.tuples(st.booleans(), st.sampled_from(np.linspace(0.05, 0.95, 19))), min_size=4)


def f1(y: np.ndarray, p: np.ndarray, threshold: float) -> float:
    predicted = p >= threshold
    return float(2 * (predicted & y).sum() / max(predicted.sum() + y.sum(), 1))


def cost(y: np.ndarray, p: np.ndarray, threshold: float, aim: CostsSettings) -> float:
    predicted = p >= threshold
    return float((predicted & ~y).sum() * aim.false_positive + (~predicted & y).sum() * aim.false_negative)


@settings(max_examples=100, deadline=None)
@given(scored_rows)
def test_no_threshold_has_a_better_f1(rows: list[tuple[bool, float]]) -> None:
    y, p = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    best = max(f1(y, p, threshold) for threshold in np.linspace(0.01, 0.99, 99))
    assert f1(y, p, choose_threshold(y, p, "f1")) == pytest.approx(best)


@settings(max_examples=100, deadline=None)
@given(scored_rows, st.floats(0.1, 10), st.floats(0.1, 10))
def test_no_threshold_costs_less(rows: list[tuple[bool, float]], wrong: float, missed: float) -> None:
    aim = CostsSettings(false_positive=wrong, false_negative=missed)
    y, p = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    least = min(cost(y, p, threshold, aim) for threshold in np.linspace(0.01, 0.99, 99))
    assert cost(y, p, choose_threshold(y, p, aim), aim) == pytest.approx(least)
