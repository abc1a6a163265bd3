"""Leaves without going down trees: scikit-learn's bits for any rows, in threads, in blocks of any size."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor
from sklearn.ensemble._gradient_boosting import predict_stages

from store import flat_trees
from store.flat_trees import LEAST_ROWS, FlatTrees
from store.tree_plans import _Trees, boosting_plan

RANDOM = np.random.default_rng(5)
X = RANDOM.normal(size=(300, 4))
SCORE = X @ [2, 1, 1, 0.5]
TWO, FOUR = (SCORE > 0).astype(int), np.digitize(SCORE, [-2, 0, 2])
FITTED: dict[str, Any] = {
    "one level": GradientBoostingClassifier(n_estimators=30, max_depth=1, random_state=0).fit(X, TWO),
    "two levels": GradientBoostingRegressor(n_estimators=30, max_depth=2, random_state=0).fit(X, SCORE),
    "three levels": GradientBoostingClassifier(n_estimators=30, random_state=0).fit(X, TWO),
    "six levels": GradientBoostingRegressor(
        n_estimators=20, max_depth=6, min_samples_leaf=12, random_state=0
    ).fit(X, SCORE),
    "lopsided": GradientBoostingClassifier(
        n_estimators=20, max_depth=None, max_leaf_nodes=9, random_state=0
    ).fit(X, FOUR),
    "of any depth": GradientBoostingClassifier(
        n_estimators=30, min_impurity_decrease=1e-3, random_state=0
    ).fit(X, TWO),
    "four classes": GradientBoostingClassifier(n_estimators=15, random_state=0).fit(X, FOUR),
    "of huge numbers": GradientBoostingRegressor(n_estimators=10, random_state=0).fit(X * 1e36, SCORE),
}


def flattened(estimator: Any) -> FlatTrees:
    stages = estimator.estimators_
    trees = _Trees(stages.ravel()).flat(stages.shape, estimator.learning_rate)
    assert trees is not None
    return trees


def added_up(trees: FlatTrees, estimator: Any, rows: np.ndarray) -> np.ndarray:
    total = np.full((len(rows), estimator.estimators_.shape[1]), 0.1)
    trees.add_up(rows, total)
    return total


def expected(estimator: Any, rows: np.ndarray) -> np.ndarray:
    total = np.full((len(rows), estimator.estimators_.shape[1]), 0.1)
    predict_stages(estimator.estimators_, rows, estimator.learning_rate, total)
    return total


@pytest.mark.parametrize("name", FITTED)
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n_rows=st.integers(2, 400), least=st.sampled_from([3, 7, 64]))
def test_sums_have_the_same_bits(name: str, seed: int, n_rows: int, least: int) -> None:
    estimator = FITTED[name]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flat_trees, "_BYTES_AT_ONCE", 0)
        patch.setattr(flat_trees, "_LEAST_AT_ONCE", least)
        trees = flattened(estimator)
    random = np.random.default_rng(seed)
    rows = random.normal(size=(n_rows, 4)).astype(np.float32) * (1e36 if name == "of huge numbers" else 1)
    # On a threshold, or the next number to it: a float32 beside one of twice its digits.
    for row in rows[::2]:
        nodes = estimator.estimators_[random.integers(10), 0].tree_
        node = random.integers(nodes.node_count)
        if nodes.feature[node] >= 0:
            value = np.float32(nodes.threshold[node])
            way = np.float32(random.choice([-np.inf, np.inf]))
            row[nodes.feature[node]] = random.choice([value, np.nextafter(value, way)])
    assert added_up(trees, estimator, rows).tolist() == expected(estimator, rows).tolist()


def test_threads_have_their_own_memory() -> None:
    estimator = FITTED["three levels"]
    trees = flattened(estimator)
    batches = [RANDOM.normal(size=(n_rows, 4)).astype(np.float32) for n_rows in (1_500, 700, 300)]
    wrong: list[int] = []

    def work(rows: np.ndarray) -> None:
        right = expected(estimator, rows)
        wrong.extend(len(rows) for _ in range(40) if (added_up(trees, estimator, rows) != right).any())

    threads = [threading.Thread(target=work, args=(rows,)) for rows in batches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_where_sums_differ_scikit_learn_adds_up(monkeypatch: pytest.MonkeyPatch) -> None:
    estimator = FITTED["three levels"]
    rows = np.resize(X, (LEAST_ROWS, 4))
    taken: list[int] = []
    plain = FlatTrees.add_up

    def noted(self: FlatTrees, rows: np.ndarray, total: np.ndarray, shift: float = 0.0) -> None:
        plain(self, rows, total)
        total += shift
        taken.append(len(rows))

    monkeypatch.setattr(FlatTrees, "add_up", noted)
    for shift, n_calls in ((0.0, 2), (1e-16, 1)):
        taken.clear()
        monkeypatch.setattr(noted, "__defaults__", (shift,))
        plan = boosting_plan(estimator)
        assert plan is not None
        answer = plan(rows)
        assert answer is not None
        assert answer.values.tolist() == estimator.predict_proba(rows).tolist()
        assert len(taken) == n_calls


def test_large_trees_are_gone_down() -> None:
    estimator = GradientBoostingRegressor(n_estimators=3, max_depth=None, random_state=0).fit(X, SCORE)
    stages = estimator.estimators_
    assert _Trees(stages.ravel()).flat(stages.shape, 0.1) is None
