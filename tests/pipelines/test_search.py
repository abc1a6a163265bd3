"""The search for parameters: what is tried, on how many rows, and what is best."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from pipelines import metrics
from pipelines.fitting import Fitter
from pipelines.search import Candidate, SearchResult, draw, parameter_names, plan_rounds, search
from pipelines.search_settings import SearchSettings
from pipelines.search_workers import LocalWorkers
from store.errors import SettingsError, TrainingError

GENERATOR = np.random.default_rng(5)
X = pd.DataFrame(GENERATOR.normal(size=(600, 4)), columns=list("abcd"))
Y = ((X["a"] * X["b"] > 0) ^ (GENERATOR.random(600) < 0.1)).to_numpy().astype(int)
FOLDS = list(StratifiedKFold(3, shuffle=True, random_state=0).split(X, Y))


def tree() -> Pipeline:
    return Pipeline([("scale", StandardScaler()), ("model", DecisionTreeClassifier(random_state=0))])


def run(settings: SearchSettings, log: list[Candidate] | None = None, **workers: Any) -> SearchResult:
    pipeline = tree()
    names = parameter_names(pipeline, settings.params)
    ended: list[Candidate] = [] if log is None else log
    return search(
        settings,
        pipeline,
        X,
        Y,
        Y,
        FOLDS,
        task="binary",
        classes=(0, 1),
        metric=metrics.find("roc_auc", "binary"),
        fitter=Fitter(None, None),
        workers=LocalWorkers(pipeline, X, Y, names, **workers),
        seed=0,
        on_fit=lambda candidate, done, total: None,
        on_end=ended.append,
    )


def wanted(**values: Any) -> SearchSettings:
    return SearchSettings.model_validate(values)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_grid_finds_what_scikit_learns_finds(n_jobs: int) -> None:
    grid = {"max_depth": [1, 2, 3, 6], "min_samples_leaf": [1, 20]}
    ended: list[Candidate] = []
    found = run(wanted(params=grid), ended, n_jobs=n_jobs)
    theirs = GridSearchCV(
        tree(), {f"model__{name}": values for name, values in grid.items()}, cv=FOLDS, scoring="roc_auc"
    ).fit(X, Y)
    assert {f"model__{name}": value for name, value in found.best.params.items()} == theirs.best_params_
    assert found.best.mean == pytest.approx(theirs.best_score_, abs=1e-12)
    means = [candidate.mean for candidate in found.candidates]
    assert means == pytest.approx(theirs.cv_results_["mean_test_score"], abs=1e-12)
    assert sorted(candidate.number for candidate in ended) == list(range(1, 9))


def test_halving_spends_more_rows_on_fewer_candidates() -> None:
    settings = wanted(
        method="halving",
        n_iter=9,
        cv=3,
        params={"max_depth": [2, 4, 6], "min_impurity_decrease": {"low": 1e-5, "high": 0.1, "log": True}},
    )
    assert plan_rounds(settings, 9, 600) == [(9, 67), (3, 200), (1, 600)]
    ended: list[Candidate] = []
    found = run(settings, ended)
    assert sorted(candidate.rows for candidate in found.candidates) == [67] * 6 + [200] * 2 + [600]
    assert found.best.rows == 600
    assert len(ended) == len({candidate.number for candidate in ended}) == 9


def test_few_rows_leave_out_the_first_rounds() -> None:
    settings = wanted(method="halving", cv=5, params={"max_depth": list(range(1, 28))})
    assert plan_rounds(settings, 27, 160) == [(27, 53), (9, 160)]
    assert plan_rounds(settings, 27, 40) == [(27, 40)]


@given(
    low=st.floats(1e-6, 10),
    width=st.floats(0.5, 1e4),
    log=st.booleans(),
    whole=st.booleans(),
    seed=st.integers(0, 99),
)
def test_what_is_drawn_lies_within_its_bounds_and_is_the_same_for_a_seed(
    low: float, width: float, log: bool, whole: bool, seed: int
) -> None:
    high = math.ceil(low + width) + 1.0
    drawn_from = {"low": low, "high": high, "log": log, "type": "int" if whole else "float"}
    settings = wanted(method="random", n_iter=5, params={"x": drawn_from, "y": ["a", "b"]})
    candidates = draw(settings, seed)
    assert candidates == draw(settings, seed)
    for candidate in candidates:
        assert low <= candidate["x"] <= high
        assert isinstance(candidate["x"], int if whole else float)
        assert candidate["y"] in ("a", "b")


def test_random_draws_of_lists_never_repeat() -> None:
    settings = wanted(method="random", n_iter=5, params={"max_depth": [1, 2, 3], "min_samples_leaf": [1, 2]})
    drawn = draw(settings, 1)
    assert len(drawn) == 5
    assert all(drawn.count(each) == 1 for each in drawn)
    assert len(draw(wanted(method="random", n_iter=99, params={"max_depth": [1, 2]}), 1)) == 2


def test_a_candidate_that_fails_is_passed_over_and_told() -> None:
    found = run(wanted(params={"max_depth": [-3, 2]}))
    assert found.best.params == {"max_depth": 2}
    assert "max_depth" in str(found.candidates[0].error)
    assert found.as_json()["candidates"][0]["mean"] is None
    with pytest.raises(TrainingError, match=r"every candidate of the search failed: .*max_depth"):
        run(wanted(params={"max_depth": [-3, -2]}))


def test_a_parameter_that_does_not_exist_names_the_nearest() -> None:
    with pytest.raises(SettingsError, match="max_dept"):
        parameter_names(tree(), {"max_dept": [1]})
    assert parameter_names(tree(), {"max_depth": 1, "scale__with_mean": 2}) == {
        "max_depth": "model__max_depth",
        "scale__with_mean": "scale__with_mean",
    }


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"params": {}}, "at least 1"),
        ({"params": {"a": []}}, "no values"),
        ({"params": {"a": {"low": 1, "high": 2}}}, "grid needs a list"),
        ({"method": "random", "params": {"a": {"low": 2, "high": 1}}}, "below high"),
        ({"method": "random", "params": {"a": {"low": 0, "high": 1, "log": True}}}, "above 0"),
        ({"params": {"a": [1]}, "backend": "dask"}, "address"),
        ({"params": {"a": [1]}, "n_jobs": 0}, "-1"),
    ],
)
def test_settings_that_make_no_sense_say_so(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        wanted(**values)
