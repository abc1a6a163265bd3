from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from store.binning import COARSE_BINS, FINE_BINS, bin_counts, bin_edges, coarsen
from store.counts import Counts
from store.errors import DataError
from store.profile import MAX_CATEGORIES, Profile, build_profile, count, profile_feature

finite = st.floats(allow_nan=False, allow_infinity=False)
anything = st.floats()
samples = hnp.arrays(np.float64, st.integers(1, 300), elements=finite)
mixed = st.lists(st.one_of(anything, st.none(), st.sampled_from([0.0, 1.0, -1.0])), max_size=200)
words = st.lists(
    st.one_of(st.sampled_from(["a", "b", "ü", ""]), st.none(), st.text(max_size=3)), max_size=100
)


@given(samples)
def test_every_value_is_in_exactly_one_bin(values: Any) -> None:
    edges, coarse = bin_edges(values)
    counts = bin_counts(values, np.array(edges))

    assert edges == sorted(set(edges))
    assert len(edges) <= FINE_BINS + 1
    assert len(coarse) <= COARSE_BINS + 1
    assert counts.sum() == len(values)
    recount = [int((values <= edges[0]).sum())]
    recount += [int(((values > low) & (values <= high)).sum()) for low, high in pairwise(edges)]
    recount.append(int((values > edges[-1]).sum()))
    assert counts.tolist() == recount


@given(samples)
def test_coarse_counts_are_sums_of_fine_ones(values: Any) -> None:
    edges, coarse = bin_edges(values)
    fine = bin_counts(values, np.array(edges))

    again = bin_counts(values, np.array(edges)[coarse])
    assert coarsen(fine, np.array(coarse)).tolist() == again.tolist()


def test_a_continuous_feature_has_49_and_9_quantiles() -> None:
    values = np.random.default_rng(1).normal(size=10_000)
    edges, coarse = bin_edges(values)

    assert (len(edges), len(coarse)) == (49, 9)
    assert set(bin_counts(values, np.array(edges)).tolist()) == {200}
    assert edges[24] == np.sort(values)[4_999]
    assert coarse == [4, 9, 14, 19, 24, 29, 34, 39, 44]


def test_few_values_get_a_bin_each() -> None:
    edges, coarse = bin_edges(np.array([0.0, 1.0, 1.0, 5.0]))

    assert edges[1:] == [0.0, 1.0, 5.0]
    assert coarse == [0, 1, 2, 3]
    assert bin_counts(np.array([-1.0, 0.0, 1.0, 5.0, 6.0]), np.array(edges)).tolist() == [1, 1, 1, 1, 1]


def test_a_constant_that_changes_either_way_is_seen() -> None:
    feature = profile_feature("k", "numeric", [7.0] * 100)

    assert count(feature, [7.0, 7.0, 7.1, 6.9, 6.9]).bins == (2, 2, 1)


def test_ties_collapse() -> None:
    values = np.concatenate([np.zeros(600), np.linspace(0.001, 1, 400)])
    edges, coarse = bin_edges(values)

    assert edges == sorted(set(edges))
    assert bin_counts(values, np.array(edges))[:2].tolist() == [0, 600]
    assert len(coarse) == 5


@given(mixed, mixed)
def test_numbers_are_counted_as_numpy_counts_them(reference: list[Any], window: list[Any]) -> None:
    feature = profile_feature("x", "numeric", reference)
    counts = count(feature, window)

    given_values = np.array([v for v in window if v is not None], dtype=float)
    in_bins = given_values[np.isfinite(given_values)]
    recount = np.histogram(-in_bins, bins=[-math.inf, *(-e for e in reversed(feature.edges)), math.inf])[0][
        ::-1
    ]
    assert list(counts.bins) == recount.tolist()
    assert counts.null == window.count(None)
    assert counts.nan == int(np.isnan(given_values).sum())
    assert counts.positive_infinite == int((given_values == np.inf).sum())
    assert counts.negative_infinite == int((given_values == -np.inf).sum())
    assert counts.n == len(window)
    assert counts.missing == counts.null + counts.nan


@given(words, words)
def test_categories_are_counted_one_by_one(reference: list[Any], window: list[Any]) -> None:
    feature = profile_feature("x", "categorical", reference)
    counts = count(feature, window)

    assert set(feature.categories) == set(reference) - {None}
    assert counts.bins == tuple(window.count(category) for category in feature.categories)
    assert counts.unseen == sum(v is not None and v not in feature.categories for v in window)
    assert counts.null == window.count(None)
    assert counts.n == len(window)


@given(mixed, st.lists(mixed, min_size=1, max_size=5))
def test_counts_of_parts_merge_to_those_of_the_whole(reference: list[Any], parts: list[list[Any]]) -> None:
    feature = profile_feature("x", "numeric", reference)
    whole = count(feature, [value for part in parts for value in part])
    merged = count(feature, [])
    for part in parts:
        merged += count(feature, part)

    exact = ("bins", "null", "nan", "positive_infinite", "negative_infinite", "n")
    assert [getattr(merged, name) for name in exact] == [getattr(whole, name) for name in exact]


def test_the_mean_and_spread_survive_merging() -> None:
    values = np.random.default_rng(2).normal(1e9, 0.5, size=2_000)
    feature = profile_feature("x", "numeric", values)
    merged = sum((count(feature, part) for part in np.split(values, 8)), start=count(feature, []))

    assert merged.mean == pytest.approx(values.mean(), abs=1e-6)
    assert merged.sd == pytest.approx(values.std(ddof=1), rel=1e-6)


def test_counts_over_different_bins_do_not_merge() -> None:
    with pytest.raises(ValueError, match="different bins"):
        Counts((1, 2)).merge(Counts((1, 2, 3)))


def test_numbers_too_large_to_square_are_still_counted() -> None:
    feature = profile_feature("x", "numeric", [1e300, -1e300, 1e308, 1e308])

    assert feature.counts.in_bins == 4
    assert feature.counts.mean is None
    assert json.loads(json.dumps(feature.as_json(), allow_nan=False))


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("boolean", [True, False, None, True], {"minimum": 0.0, "maximum": 1.0, "missing": 1}),
        ("boolean", np.array([True, False]), {"minimum": 0.0, "maximum": 1.0, "missing": 0}),
        ("boolean", pd.array([True, pd.NA], dtype="boolean"), {"minimum": 1.0, "maximum": 1.0, "missing": 1}),
        ("numeric", pd.array([1, pd.NA, 3], dtype="Int64"), {"minimum": 1.0, "maximum": 3.0, "missing": 1}),
        ("numeric", pd.Series([1.5, None]), {"minimum": 1.5, "maximum": 1.5, "missing": 1}),
        ("numeric", [" 3.5 ", "oops", None], {"minimum": 3.5, "maximum": 3.5, "missing": 2}),
        (
            "datetime",
            pd.Series(pd.to_datetime(["1970-01-02", None])),
            {"minimum": 86400.0, "maximum": 86400.0, "missing": 1},
        ),
        (
            "datetime",
            pd.Series(pd.to_datetime(["1970-01-02T01:00+01:00"])),
            {"minimum": 86400.0, "maximum": 86400.0, "missing": 0},
        ),
        (
            "datetime",
            [date(1970, 1, 2), datetime(1970, 1, 2, tzinfo=UTC), None],
            {"minimum": 86400.0, "maximum": 86400.0, "missing": 1},
        ),
    ],
)
def test_every_kind_of_column_becomes_numbers(kind: Any, values: Any, expected: dict[str, float]) -> None:
    feature = profile_feature("x", kind, values)

    found = {"minimum": feature.minimum, "maximum": feature.maximum, "missing": feature.counts.missing}
    assert found == expected
    assert feature.log_kind == "numeric"


def test_a_number_used_as_a_category_matches_its_text() -> None:
    feature = profile_feature("season", "categorical", pd.Series([1, 1, 2]))

    assert feature.categories == ("1", "2")
    assert count(feature, ["1", "2", "3", None, 2.0, math.nan]).bins == (1, 2)
    assert count(feature, ["1", "2", "3", None, 2.0, math.nan]).null == 2


def test_rare_categories_beyond_the_limit_count_as_unseen() -> None:
    values = [f"c{i}" for i in range(MAX_CATEGORIES + 10)] + ["c0"]
    feature = profile_feature("x", "categorical", values)

    assert len(feature.categories) == MAX_CATEGORIES
    assert feature.categories[0] == "c0"
    assert feature.counts.unseen == 10


def columns(rows: int = 500) -> tuple[dict[str, Any], dict[str, Any]]:
    random = np.random.default_rng(3)
    values: dict[str, Any] = {
        "temp": random.normal(size=rows),
        "Größe (cm)": random.integers(0, 5, rows),
        "season": pd.Series(random.choice(["spring", "fall"], rows)),
        "holiday": random.random(rows) < 0.1,
        "at": pd.Series(pd.date_range("2011-01-01", periods=rows, freq="h")),
        "gone": [None] * rows,
    }
    kinds = dict.fromkeys(values, "numeric") | {
        "season": "categorical",
        "holiday": "boolean",
        "at": "datetime",
    }
    return values, kinds


@pytest.mark.parametrize("ordered_by_time", [True, False])
def test_a_profile_comes_back_from_its_file(ordered_by_time: bool) -> None:
    values, kinds = columns()
    profile = build_profile(
        values,
        kinds,
        values["temp"] * 2,
        task="regression",
        ordered_by_time=ordered_by_time,
        redact=["season"],
    )

    assert Profile.from_json(profile.to_json()) == profile
    assert Profile.from_json(profile.to_json().encode()) == profile
    assert [feature.name for feature in profile.features] == ["temp", "Größe (cm)", "holiday", "at", "gone"]
    assert profile.redacted == ("season",)
    assert "spring" not in profile.to_json()
    assert profile.feature("gone").counts.null == 500
    assert profile.score is None


def test_classes_and_scores_are_profiled() -> None:
    values, kinds = columns()
    random = np.random.default_rng(4)
    predicted = random.choice(["ham", "spam"], 500, p=[0.9, 0.1])
    scores = random.random(500)
    profile = build_profile(
        values, kinds, predicted, task="binary", classes=["ham", "spam", "other"], scores=scores
    )

    assert profile.prediction.categories == ("ham", "spam", "other")
    assert profile.prediction.counts.bins == ((predicted == "ham").sum(), (predicted == "spam").sum(), 0)
    assert profile.score is not None
    assert profile.score.counts.mean == pytest.approx(scores.mean())

    both = build_profile({}, {}, predicted, task="binary", scores=np.column_stack([1 - scores, scores]))
    assert both.score is not None
    assert both.score.edges == profile.score.edges
    three = build_profile({}, {}, [0, 1], task="multiclass", scores=[[0.2, 0.5, 0.3], [0.9, 0.1, 0.0]])
    assert three.score is not None
    assert (three.score.minimum, three.score.maximum) == (0.5, 0.9)


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"format": 1}', '{"format": "x"}'])
def test_what_is_no_profile_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="no reference profile"):
        Profile.from_json(text)


def test_a_profile_of_a_newer_format_is_refused() -> None:
    with pytest.raises(DataError, match="format 2"):
        Profile.from_json('{"format": 2}')
