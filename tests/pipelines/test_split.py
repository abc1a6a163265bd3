"""Held-out rows are drawn as the settings say, and never leak."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.settings import SplitSettings
from pipelines.split import make_folds, split_rows
from store.errors import DataError


def test_random_is_stratified_and_the_same_as_scikit_learns() -> None:
    from sklearn.model_selection import train_test_split

    y = np.array([0] * 90 + [1] * 10)
    split = split_rows(SplitSettings(), "binary", y)
    expected = train_test_split(np.arange(100), test_size=0.2, random_state=42, stratify=y)
    assert split.test.tolist() == expected[1].tolist()
    assert y[split.test].sum() == 2


def test_by_time_the_last_rows_are_held_out_and_a_moment_is_not_torn() -> None:
    time = np.array([3, 1, 2, 5, 4, 4, 4, 4, 1, 2])
    split = split_rows(SplitSettings(test_size=0.3, strategy="time"), "regression", time * 1.0, time=time)
    assert time[split.train].max() < time[split.test].min()
    assert time[split.train].tolist() == sorted(time[split.train])


def test_groups_stay_together_in_split_and_folds() -> None:
    groups = np.repeat(np.arange(20), 5)
    y = np.tile([0, 1, 0, 1, 1], 20)
    settings = SplitSettings(strategy="group", group_column="g")
    split = split_rows(settings, "binary", y, groups=groups)
    assert not set(groups[split.train]) & set(groups[split.test])
    folds, note = make_folds(settings, "binary", y, split, 4)
    assert (len(folds), note) == (4, None)
    for train, test in folds:
        assert not set(groups[split.train][train]) & set(groups[split.train][test])


def test_time_folds_learn_from_the_past_only() -> None:
    time = np.arange(50)
    settings = SplitSettings(strategy="time")
    split = split_rows(settings, "regression", time * 1.0, time=time)
    for train, test in make_folds(settings, "regression", time * 1.0, split, 5)[0]:
        assert train.max() < test.min()


def test_few_members_mean_fewer_folds_and_a_note() -> None:
    y = np.array([0] * 40 + [1] * 4)
    split = split_rows(SplitSettings(), "binary", y)
    folds, note = make_folds(SplitSettings(), "binary", y, split, 5)
    assert len(folds) == 3
    assert note is not None
    assert "3 folds instead of 5" in note


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(DataError, match="4 rows cannot be split"):
        split_rows(SplitSettings(), "binary", np.array([0, 0, 1, 1]))
