"""The order of rows for trees: any rows have one, those that are treated alike follow one another, and the
answers stay scikit-learn's bits, whatever the trees and rows are like."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)

from store.loaded_model import LoadedModel, prepare
from store.model_files import ModelFile
from store.plans import make_plan
from store.plans_histogram import histogram_plan
from store.row_order import even_parts, row_order
from store.tree_plans import _Trees, forest_plan

N_ROWS = 300
RANDOM = np.random.default_rng(11)
X = RANDOM.normal(size=(N_ROWS, 6))
SCORE = X @ [2, 1, 1, 0.5, 0.5, 0]
TWO, FOUR = (SCORE > 0).astype(int), np.digitize(SCORE, [-2, 0, 2])
GAPS = np.where(RANDOM.random(X.shape) < 0.2, np.nan, X)
CODES = np.column_stack([RANDOM.integers(0, 5, N_ROWS), X[:, 1]])


def boosting(rows: np.ndarray, labels: np.ndarray, **settings: Any) -> tuple[Any, np.ndarray]:
    kind = GradientBoostingClassifier if labels.dtype.kind == "i" else GradientBoostingRegressor
    return kind(n_estimators=15, random_state=0, **settings).fit(rows, labels), rows


ODD: dict[str, tuple[Any, np.ndarray]] = {
    "one question": boosting(X[:, :1], TWO, max_depth=1, init="zero", learning_rate=1e-9),
    "a feature of two values": boosting((X > 0).astype(float), TWO),
    "nothing to ask": boosting(X, np.full(N_ROWS, 2.5)),
    "some trees are leaves": boosting(X, TWO, min_impurity_decrease=1.5e-3),
    "four classes": boosting(X, FOUR),
    "deep": boosting(X, SCORE, max_depth=None),
    "all rows equal": (boosting(X, TWO)[0], np.repeat(X[:1], N_ROWS, axis=0)),
    "a forest of leaves": (RandomForestRegressor(5, random_state=0).fit(X, np.ones(N_ROWS)), X),
    "missing values in a forest": (RandomForestClassifier(10, random_state=0).fit(GAPS, FOUR), GAPS),
    "nothing but missing values": (
        ExtraTreesClassifier(10, random_state=0).fit(GAPS, TWO),
        np.full((N_ROWS, 6), np.nan),
    ),
    "rows of no weight": (
        RandomForestClassifier(10, random_state=0).fit(X, TWO, sample_weight=np.arange(N_ROWS) % 2),
        X,
    ),
    "missing values in histograms": (
        HistGradientBoostingClassifier(max_iter=10, random_state=0).fit(GAPS, FOUR),
        GAPS,
    ),
    "histograms with nothing to ask": (
        HistGradientBoostingRegressor(max_iter=3).fit(X, np.ones(N_ROWS)),
        X,
    ),
}


def loaded(estimator: Any) -> LoadedModel:
    return prepare(
        ModelFile(
            Path("model"),
            inputs=None,
            n_inputs=estimator.n_features_in_,
            flavor="sklearn",
            serialization_format="skops",
            model_path="",
        ),
        estimator,
    )


@pytest.mark.parametrize("name", ODD)
def test_odd_trees_and_rows_give_the_same_bits(name: str) -> None:
    estimator, rows = ODD[name]
    model = loaded(estimator)
    model.plan = make_plan(model)
    assert model.plan is not None
    for n_rows in (31, 32, 100, N_ROWS):
        assert model.plan(rows[:n_rows]) is not None
        planned = model.predict(rows[:n_rows])
        assert planned.prediction == estimator.predict(rows[:n_rows]).tolist()
        if planned.probabilities is not None:
            assert planned.probabilities.tolist() == estimator.predict_proba(rows[:n_rows]).tolist()


@pytest.mark.parametrize("width", [1, 2], ids=["nothing but categories", "and a number"])
def test_categories_are_no_questions(width: int) -> None:
    rows = CODES[:, :width]
    estimator = HistGradientBoostingClassifier(max_iter=10, categorical_features=[0]).fit(rows, TWO)
    plan = histogram_plan(estimator)
    assert plan is not None
    answer = plan(rows)
    assert answer is not None
    assert answer.values.tolist() == estimator.predict_proba(rows).tolist()


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(0, 90).flatmap(lambda n: arrays(np.float32, (n, 6), elements=st.floats(width=32))),
    n_stages=st.integers(1, 15),
)
def test_every_row_has_one_place(rows: np.ndarray, n_stages: int) -> None:
    order = _Trees(ODD["four classes"][0].estimators_[:n_stages].ravel()).row_order()(rows)
    assert sorted(order.tolist()) == list(range(len(rows)))


@pytest.mark.parametrize("labels", [TWO, FOUR, SCORE], ids=["two classes", "four classes", "numbers"])
def test_rows_that_are_treated_alike_follow_one_another(labels: np.ndarray) -> None:
    estimator, rows = boosting(X, labels)
    leaves = estimator.apply(rows).reshape(N_ROWS, -1)
    order = _Trees(estimator.estimators_.ravel()).row_order()(rows.astype(np.float32))

    def n_changes(leaves: np.ndarray) -> int:
        return int((leaves[1:] != leaves[:-1]).sum())

    assert n_changes(leaves[order]) < 0.6 * n_changes(leaves)


def test_the_most_telling_question_comes_first() -> None:
    # Two stumps: the first one parts few of its rows from the others, the second one halves them.
    order = row_order(
        feature=np.array([0, 0, 0, 1, 0, 0]),
        threshold=np.array([0.0, np.inf, np.inf, 7.0, np.inf, np.inf]),
        left=np.array([1, 1, 2, 4, 4, 5]),
        right=np.array([2, 1, 2, 5, 4, 5]),
        count=np.array([10.0, 9.0, 1.0, 10.0, 5.0, 5.0]),
    )
    rows = np.array([[1.0, 8.0], [0.0, 8.0], [1.0, 7.0], [0.0, 7.0], [1.0, np.nan]])
    found = rows[order(rows)]
    assert (found[:, 1] > 7).tolist() == [False, False, False, True, True]
    assert (found[:, 0] > 0).tolist() == [False, True, True, False, True]


def test_a_batch_longer_than_a_piece_is_sorted_as_a_whole() -> None:
    order = row_order(
        np.array([0, 0, 0]),
        np.array([0.0, np.inf, np.inf]),
        np.array([1, 1, 2]),
        np.array([2, 1, 2]),
        np.ones(3),
    )
    rows = np.resize([[-1.0], [1.0]], (40_001, 1))
    assert (np.diff(rows[order(rows), 0]) >= 0).all()


def test_parts_leave_no_row_over() -> None:
    for n_rows in (0, 1, 2, 63, 64, 65, 1_025, 4_033):
        parts = [range(n_rows)[part] for part in even_parts(n_rows, 64)]
        assert [row for part in parts for row in part] == list(range(n_rows))
        assert all(1 < len(part) <= 64 for part in parts) or n_rows == 1


def test_a_forest_adds_up_alike_whatever_the_number_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.tree_plans._BLOCK_ROWS", 8)
    forest = RandomForestRegressor(60, max_depth=3, random_state=0).fit(X, SCORE)
    plan = forest_plan(forest, forest.estimators_)
    assert plan is not None
    for n_rows in range(65, 130, 8):
        answer = plan(X[:n_rows])
        assert answer is not None
        assert answer.values.tolist() == forest.predict(X[:n_rows]).tolist()
