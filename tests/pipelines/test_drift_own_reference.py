"""How much an ordered reference's own windows differ, and what its segments are like."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipelines.drift.evidence import weigh
from pipelines.drift.floors import reference_floor
from pipelines.drift.own_reference import own_windows, segment_in, segment_texts, with_own_reference
from store.errors import UsageError
from store.profile import FeatureProfile, Profile, build_profile, count, profile_feature
from store.slices import Segment

RNG = np.random.default_rng(3)


def wandering(n: int, steps: int = 40) -> Any:
    """Values (n,) around a level that changes in the course of time."""
    return np.repeat(RNG.normal(0, 1, -(-n // steps)), steps)[:n] + RNG.normal(0, 1, n)


def test_a_segment_is_asked_for_as_a_person_writes_it() -> None:
    columns = {"season": [1.0, 2.0], "open": [True, False], "city": ["1", "b"]}
    profile = build_profile(
        columns,
        {"season": "numeric", "open": "boolean", "city": "categorical"},
        [1.0, 2.0],
        task="regression",
    )
    asked = [("season", "1"), ("season", "1.0"), ("open", "True"), ("city", "1")]
    found = [segment_in(profile, Segment(*one)).value for one in asked]
    assert found == ["1.0", "1.0", "1.0", "1"]
    with pytest.raises(UsageError, match="no column 'where'"):
        segment_in(profile, Segment("where", "1"))
    with pytest.raises(UsageError, match="'spring' is no number"):
        segment_in(profile, Segment("season", "spring"))


def of(feature: FeatureProfile, values: Any) -> FeatureProfile:
    return replace(feature, own_windows=own_windows(feature, values))


@pytest.mark.parametrize("kind", ["numeric", "categorical"])
def test_it_is_the_effect_that_windows_are_judged_by(kind: Any) -> None:
    values = wandering(4000)
    if kind == "categorical":
        values = np.array(list("abcdefg"))[np.clip(np.round(values) + 3, 0, 6).astype(int)]
    feature = profile_feature("x", kind, values)
    known = {rows: (mean, sd) for rows, mean, sd in own_windows(feature, values)}
    rows = 192
    assert rows in known
    effects = []
    for start in range(0, len(values) - rows, 24):
        window = values[start : start + rows]
        rest = np.concatenate([values[:start], values[start + rows :]])
        effects.append(weigh(feature, count(feature, rest), count(feature, window)).effect)
    assert known[rows] == pytest.approx((np.mean(effects), np.std(effects, ddof=1)), rel=0.03)


def test_short_windows_of_a_long_reference_have_a_floor_of_their_own() -> None:
    """A hundredth of the reference is no measure for windows that are much shorter."""
    values = wandering(60_000, steps=400)
    feature = of(profile_feature("x", "numeric", values), values)
    floors = [reference_floor(feature, None, rows) for rows in (100, 200, 500, 2_000, 10_000, 30_000)]
    assert floors[1:] == sorted(floors[1:], reverse=True)
    assert floors[0] > 2 * floors[3] > 4 * floors[5]
    assert reference_floor(feature, None, 10) == pytest.approx(floors[0], rel=0.05)
    assert reference_floor(feature, None, 10**9) < floors[4]


def test_a_week_with_a_gap_is_no_news() -> None:
    weekday = np.repeat(np.tile(np.arange(7.0), 30), 24)
    feature = of(profile_feature("weekday", "numeric", weekday), weekday)
    window = np.delete(weekday[: 24 * 7], np.arange(24, 42))  # a day of which a quarter is left
    found = weigh(feature, feature.counts, count(feature, window))
    assert 0.02 < found.effect < reference_floor(feature, None, len(window))


def test_too_short_and_empty_columns_tell_nothing() -> None:
    for values in ([], [1.0, 2.0], [None] * 500, [7.0] * 500, RNG.normal(0, 1, 150)):
        feature = profile_feature("x", "numeric", values)
        assert reference_floor(of(feature, values), None, 100) == pytest.approx(0.0, abs=1e-9)


def test_missing_infinite_and_rare_values_have_their_place() -> None:
    values: list[Any] = RNG.normal(0, 1, 1000).tolist()
    values[::10] = [None] * 100
    values[5:500:10] = [float("inf")] * 50
    feature = profile_feature("x", "numeric", values)
    assert reference_floor(of(feature, values), None, 200) > 0.02
    texts = [f"id-{place}" for place in range(3000)]
    rare = profile_feature("x", "categorical", texts)
    assert reference_floor(of(rare, texts), None, 200) < 0.05


def test_profiles_with_blocks_go_on_having_a_floor() -> None:
    season = np.sin(np.arange(4000) / 4000 * 12 * np.pi) * 5 + RNG.normal(0, 1, 4000)
    feature = profile_feature("x", "numeric", season)
    blocks = tuple(
        tuple(feature.coarse_bins(count(feature, season[start : start + 40]).bins))
        for start in range(0, 4000, 40)
    )
    older = replace(feature, blocks=blocks)
    assert reference_floor(older, 40, 400) > 0.25
    assert reference_floor(older, None, 400) == 0.0


def a_profile(ordered: bool = False, segments: tuple[str, ...] = ("shop", "open")) -> Profile:
    frame = pd.DataFrame(
        {
            "shop": ["north"] * 300 + ["south"] * 100,
            "open": [True] * 200 + [False] * 200,
            "price": [*RNG.normal(10, 1, 300), *RNG.normal(50, 1, 100)],
        }
    )
    scores = np.linspace(0, 1, 400)
    columns, answers = {str(name): frame[name] for name in frame}, (scores > 0.5).astype(int)
    profile = build_profile(
        columns,
        {"shop": "categorical", "open": "boolean", "price": "numeric"},
        answers,
        task="binary",
        classes=[0, 1],
        scores=np.column_stack([1 - scores, scores]),
        ordered_by_time=ordered,
    )
    return with_own_reference(
        profile, columns, answers, np.column_stack([1 - scores, scores]), segments=segments
    )


def test_segments_are_counted_over_the_bins_of_the_whole() -> None:
    profile = a_profile()
    north, south = profile.segments["shop"]["north"], profile.segments["shop"]["south"]
    assert (north.rows, south.rows) == (300, 100)
    whole = profile.feature("price").counts
    both = north.features["price"] + south.features["price"]
    assert both.bins == whole.bins
    assert south.features["price"].mean == pytest.approx(50, abs=1)
    assert set(south.features) == {"open", "price"}
    assert north.prediction.n == 300
    assert south.score is not None
    assert south.score.mean == pytest.approx(0.875, abs=0.01)
    assert set(profile.segments["open"]) == {"1.0", "0.0"}  # as the log has truths


def test_a_profile_with_all_of_it_comes_back_from_its_file() -> None:
    profile = a_profile(ordered=True)
    assert profile.feature("price").own_windows
    assert profile.prediction.own_windows
    assert profile.score is not None
    assert profile.score.own_windows
    assert Profile.from_json(profile.to_json()) == profile
    assert a_profile(segments=("nothing",)).segments == {}


def test_values_of_segments_are_written_as_the_log_has_them() -> None:
    import duckdb

    values = [1.0, 0.1, -2.5, 1e20, 3.0, None]
    written = segment_texts(profile_feature("x", "numeric", values), values)
    rows = duckdb.sql("SELECT unnest([1.0, 0.1, -2.5, 1e20, 3.0, NULL]::DOUBLE[])::VARCHAR").fetchall()
    assert written == [text for (text,) in rows]
