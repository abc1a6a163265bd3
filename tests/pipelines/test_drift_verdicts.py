from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipelines.drift.bands import Bands
from pipelines.drift.floors import SURE_OF_REFERENCE, missing_floor, reference_floor, shape_floor
from pipelines.drift.own_reference import own_windows
from pipelines.drift.verdicts import FeatureDrift, Options, Sample, judge, judge_prediction, ranked
from store.profile import build_profile, count, profile_feature

RNG = np.random.default_rng(11)
NORMAL = RNG.normal(5, 2, 2000)


def verdict(reference: Any, current: Any, kind: Any = "numeric", **options: Any) -> FeatureDrift:
    feature = profile_feature("x", kind, reference)
    return judge([Sample(feature, count(feature, current))], Options(**options))[0]


def test_the_same_distribution_is_no_drift() -> None:
    found = verdict(NORMAL, RNG.normal(5, 2, 600))
    assert found.severity == "ok"
    assert not found.flagged


def test_a_shift_is_found_and_graded() -> None:
    severities = [verdict(NORMAL, RNG.normal(5 + by, 2, 600)).severity for by in (0.4, 0.9, 2.0)]
    assert severities == ["watch", "warning", "critical"]


def test_severity_follows_the_effect() -> None:
    found = verdict(NORMAL, RNG.normal(6, 2, 600), bands={"x": Bands(0.5, 0.6, 0.7)})
    assert found.severity == "ok"
    assert found.p_adjusted is not None
    assert found.p_adjusted < 1e-6
    assert "under" in found.reason


def test_under_100_rows_nothing_is_said() -> None:
    found = verdict(NORMAL, RNG.normal(50, 2, 99))
    assert found.severity == "insufficient"
    assert not found.flagged
    assert found.reason == "99 of 100 rows in the window"
    assert found.current.mean == pytest.approx(50, abs=1)


def test_constant_reference_that_changes() -> None:
    assert verdict(np.full(1000, 3.0), np.full(500, 3.0)).severity == "ok"
    assert verdict(np.full(1000, 3.0), np.full(500, 3.1)).severity == "critical"
    assert verdict(np.full(1000, 3.0), np.full(500, 2.9)).severity == "critical"
    # Of which all mass lies beyond the one bin: the earth is moved as far as the means are apart.
    assert verdict(np.full(1000, 3.0), np.full(500, 5.0)).statistics["wasserstein"] == pytest.approx(2.0)


def test_constant_current_of_a_spread_reference() -> None:
    assert verdict(NORMAL, np.full(500, 5.0)).severity == "critical"


def test_two_distinct_values() -> None:
    reference = np.repeat([0.0, 1.0], [700, 300])
    assert verdict(reference, np.repeat([0.0, 1.0], [350, 150])).severity == "ok"
    assert verdict(reference, np.repeat([0.0, 1.0], [200, 300])).severity == "critical"


def test_booleans() -> None:
    reference = np.repeat([True, False], [900, 100])
    assert verdict(reference, np.repeat([True, False], [450, 50]), "boolean").severity == "ok"
    assert verdict(reference, np.repeat([True, False], [300, 200]), "boolean").flagged


def test_bins_are_called_by_what_is_in_them() -> None:
    def labels(kind: Any, values: Any) -> Any:
        return verdict(values, values, kind).distribution["labels"]

    assert labels("numeric", [0, 1, 2] * 100) == ["< 0", "0", "1", "2", "> 2"]
    assert labels("numeric", [0.5, 1.5] * 100) == ["< 0.5", "0.5", "0.5 … 1.5", "> 1.5"]
    days = np.arange("2026-01-01", "2026-04-11", dtype="datetime64[D]").astype("datetime64[us]")
    found = labels("datetime", np.repeat(days, 3))
    assert (found[0], found[1]) == ("≤ 2026-01-10", "2026-01-10 … 2026-01-20")
    hours = np.arange("2026-01-01T00", "2026-01-01T10", dtype="datetime64[h]").astype("datetime64[us]")
    assert "2026-01-01 01:00" in labels("datetime", np.repeat(hours, 30))[2]


def test_datetimes() -> None:
    days = np.datetime64("2026-01-01") + np.arange(1000).astype("timedelta64[h]")
    assert verdict(days, days[::2], "datetime").severity == "ok"
    assert verdict(days, days[::2] + np.timedelta64(200, "D"), "datetime").severity == "critical"


def test_integers_with_ties() -> None:
    reference = RNG.poisson(3, 3000)
    assert verdict(reference, RNG.poisson(3, 600)).severity == "ok"
    assert verdict(reference, RNG.poisson(4.5, 600)).flagged


def test_all_missing_is_found_by_the_missing_share() -> None:
    found = verdict(NORMAL, np.full(500, np.nan))
    assert found.severity == "critical"
    assert found.effect_of == "missing"
    assert found.effect == pytest.approx(1.0)


def test_values_where_all_were_missing() -> None:
    found = verdict(np.full(1000, np.nan), NORMAL[:500])
    assert found.severity == "critical"
    assert found.effect_of == "missing"


def test_some_missing_values_must_be_two_points_more() -> None:
    def with_missing(share: float, n: int) -> Any:
        values = RNG.normal(5, 2, n)
        values[: round(share * n)] = np.nan
        return values

    reference = with_missing(0.10, 20_000)
    assert not verdict(reference, with_missing(0.115, 20_000)).flagged
    found = verdict(reference, with_missing(0.16, 20_000))
    assert found.flagged
    assert found.effect_of == "missing"
    assert found.effect == pytest.approx(0.06, abs=1e-9)


def test_nan_hides_nothing() -> None:
    current = RNG.normal(8, 2, 600)
    current[0] = np.nan
    assert verdict(NORMAL, current).severity == "critical"


def test_infinities_are_bins_of_their_own() -> None:
    current = RNG.normal(5, 2, 600)
    current[:200] = np.inf
    found = verdict(NORMAL, current)
    assert found.severity == "critical"
    assert found.effect is not None
    assert np.isfinite(found.effect)


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_scale_does_not_matter(scale: float) -> None:
    plain = verdict(NORMAL, NORMAL[:600] + 1)
    scaled = verdict(NORMAL * scale, (NORMAL[:600] + 1) * scale)
    assert scaled.severity == plain.severity
    assert scaled.effect == pytest.approx(plain.effect, abs=0.01)


def test_one_outlier_hides_no_shift_and_makes_no_alarm() -> None:
    current = RNG.normal(5, 2, 600)
    current[0] = 1e9
    assert verdict(NORMAL, current).severity == "ok"
    shifted = RNG.normal(7.5, 2, 600)
    shifted[0] = 1e9
    assert verdict(NORMAL, shifted).severity == "critical"
    reference = NORMAL.copy()
    reference[0] = 1e9
    assert verdict(reference, RNG.normal(7.5, 2, 600)).severity == "critical"


def test_one_row_and_no_rows() -> None:
    for n in (0, 1):
        found = verdict(NORMAL, NORMAL[:n])
        assert found.severity == "insufficient"
        assert found.current.n == n
    assert verdict(NORMAL[:1], NORMAL).severity == "insufficient"


def test_a_new_category_is_found() -> None:
    reference = RNG.choice(list("abc"), 50_000)
    current = np.append(RNG.choice(list("abc"), 95), ["d"] * 5)
    found = verdict(reference, current, "categorical")
    assert found.flagged
    assert "categories the reference doesn't have" in found.reason
    assert found.distribution["labels"][-1] == "new"


def test_categories_by_the_ten_thousand_are_no_alarm() -> None:
    """Of a column in which most values are there once, a window is bound to have others."""
    reference = RNG.integers(0, 40_000, 20_000).astype(str)
    assert verdict(reference, RNG.integers(0, 40_000, 600).astype(str), "categorical").severity == "ok"
    weights = 1.0 / np.arange(1, 30_001)
    names = np.arange(30_000).astype(str)
    reference = RNG.choice(names, 20_000, p=weights / weights.sum())
    same = RNG.choice(names, 600, p=weights / weights.sum())
    assert verdict(reference, same, "categorical").severity == "ok"
    other = RNG.choice(names[::-1], 600, p=weights / weights.sum())
    assert verdict(reference, other, "categorical").severity == "critical"


def test_identifiers_are_no_alarm() -> None:
    reference = np.array([f"id-{n}" for n in range(5000)])
    current = np.array([f"id-{n}" for n in range(5000, 5600)])
    assert verdict(reference, current, "categorical").severity == "ok"


def test_p_values_are_adjusted_for_the_number_of_features() -> None:
    feature = profile_feature("x", "numeric", NORMAL)
    shifted = count(feature, RNG.normal(6, 2, 500))
    alone = judge([Sample(feature, shifted)], Options())[0]
    same = count(feature, NORMAL[:500])
    among = judge([Sample(feature, shifted), *[Sample(feature, same)] * 29], Options())[0]
    assert alone.p_value == among.p_value
    assert alone.p_adjusted is not None
    assert among.p_adjusted == pytest.approx(min(1.0, alone.p_adjusted * 30))


def test_a_feature_without_enough_rows_does_not_count_among_the_tests() -> None:
    feature = profile_feature("x", "numeric", NORMAL)
    shifted = count(feature, RNG.normal(5.3, 2, 500))
    few = count(feature, NORMAL[:50])
    found = judge([Sample(feature, shifted), Sample(feature, few)], Options())
    assert found[0].p_adjusted == found[0].p_value


def test_the_references_own_windows_raise_the_floor() -> None:
    season = np.sin(np.arange(4000) / 4000 * 12 * np.pi) * 5 + RNG.normal(0, 1, 4000)
    shuffled = profile_feature("x", "numeric", season)
    ordered = replace(shuffled, own_windows=own_windows(shuffled, season))
    window = season[600:1000]
    assert judge([Sample(shuffled, count(shuffled, window))], Options())[0].flagged
    assert reference_floor(ordered, None, 400) > 0.25
    found = judge([Sample(ordered, count(ordered, window))], Options())[0]
    assert found.severity == "ok"
    assert "the reference's own" in found.reason
    elsewhere = count(ordered, window + 20)
    assert judge([Sample(ordered, elsewhere)], Options())[0].severity == "critical"


def test_a_holiday_where_the_reference_has_none_is_no_critical_drift_at_once() -> None:
    """One event, of 48 rows: an alert needs a second window, as critical drift does not."""
    never = profile_feature("holiday", "numeric", np.zeros(1700))
    ordered = replace(never, own_windows=own_windows(never, np.zeros(1700)))
    assert ordered.own_windows
    day, half = np.zeros(500), np.zeros(500)
    day[100:148], half[:250] = 1.0, 1.0

    def severity(feature: Any, values: Any) -> str:
        return judge([Sample(feature, count(feature, values))], Options())[0].severity

    assert severity(never, day) == "critical"
    assert severity(ordered, day) == "warning"
    assert severity(ordered, half) == "critical"
    one_class = profile_feature("kind", "categorical", ["work"] * 1700)
    one_class = replace(one_class, own_windows=own_windows(one_class, ["work"] * 1700))
    assert severity(one_class, ["work"] * 640 + ["holiday"] * 80) == "warning"
    assert severity(one_class, ["holiday"] * 720) == "critical"


def test_an_ordered_reference_without_seasons_has_hardly_a_floor() -> None:
    values = RNG.normal(0, 1, 10_000)
    feature = profile_feature("x", "numeric", values)
    assert reference_floor(replace(feature, own_windows=own_windows(feature, values)), None, 500) < 0.05


def test_severity_begins_anew_above_the_references_own_floor() -> None:
    """What just passes it is a warning, not critical: that takes the same step as without a floor."""
    raised = Bands().raised(0.40)
    assert raised.severity(0.39) == "ok"
    assert raised.severity(0.41) == "warning"
    assert raised.severity(0.54) == "warning"
    assert raised.severity(0.56) == "critical"
    assert Bands().raised(0.05) == Bands(0.05, 0.10, 0.25)
    assert Bands(0.3, 0.3, 0.3).raised(0.5) == Bands(0.5, 0.5, 0.5)


def test_a_small_reference_may_be_off_and_that_is_no_drift() -> None:
    """In every window alike, so that no second window tells: the effect must be more than that."""
    from scipy.stats import chi2, norm

    for degrees, rows, features in (
        (1, 1000, 30),
        (4, 1000, 30),
        (9, 1000, 30),
        (9, 50_000, 30),
        (9, 500, 1),
    ):
        most = chi2.isf(SURE_OF_REFERENCE / features, degrees)
        # The approximation errs to the safe side, most with two bins.
        assert 0.99 < shape_floor(degrees, rows, features) / ((most - degrees) / rows) < 1.15
    assert shape_floor(0, 1000, 30) == shape_floor(9, 0, 30) == 0.0
    z = norm.isf(SURE_OF_REFERENCE / 30)
    assert missing_floor(0.1, 1000, 30) == pytest.approx(z * (0.09 / 1000) ** 0.5)

    rng = np.random.default_rng(0)
    references = [profile_feature("x", "numeric", rng.normal(0, 1, 300)) for _ in range(300)]
    truth = rng.normal(0, 1, 50_000)
    found = [judge([Sample(one, count(one, truth))], Options())[0] for one in references]
    assert sum(one.flagged for one in found) <= 1
    off = [one for one in found if (one.effect or 0) > 0.02 and (one.p_adjusted or 1) < 0.05]
    assert len(off) > 3
    assert all(one.floor_of == "size" for one in found)
    assert "which a reference of 300 rows may be off" in off[0].reason


def test_a_gone_column_is_critical() -> None:
    feature = profile_feature("x", "numeric", NORMAL)
    found = judge([Sample(feature, count(feature, []), problem="the column is gone")], Options())[0]
    assert found.severity == "critical"
    assert found.reason == "the column is gone"


def test_classic_rules() -> None:
    found = verdict(NORMAL, RNG.normal(6, 2, 600), method="classic")
    assert found.p_adjusted == found.p_value
    assert found.severity in ("warning", "critical")
    assert "classic" in found.reason
    assert verdict(NORMAL, NORMAL[:600], method="classic").severity == "ok"


def test_what_cannot_be_compared_comes_first() -> None:
    gone, moved = (profile_feature(name, "numeric", NORMAL) for name in ("gone", "moved"))
    found = judge(
        [
            Sample(moved, count(moved, RNG.normal(9, 2, 500))),
            Sample(gone, count(gone, []), problem="the column is gone"),
        ],
        Options(),
    )
    assert [one.name for one in ranked(found)] == ["gone", "moved"]


def test_drift_matters_by_importance() -> None:
    names = ("a", "b")
    features = [profile_feature(name, "numeric", NORMAL) for name in names]
    windows = [RNG.normal(7, 2, 600), RNG.normal(6.4, 2, 600)]
    samples = [Sample(f, count(f, values)) for f, values in zip(features, windows, strict=True)]
    found = judge(samples, Options(importances={"a": 0.01, "b": 0.09}))
    assert [one.name for one in ranked(found)] == ["b", "a"]
    assert found[1].importance == pytest.approx(0.9)


def test_prediction_drift_has_bands_of_its_own() -> None:
    scores = RNG.beta(2, 5, 3000)
    profile = build_profile(
        {"x": RNG.normal(0, 1, 3000)},
        {"x": "numeric"},
        (scores > 0.5).astype(int),
        task="binary",
        classes=[0, 1],
        scores=scores,
    )
    assert profile.score is not None
    now = RNG.beta(2.9, 5, 1000)
    found = judge_prediction(
        profile,
        count(profile.prediction, (now > 0.5).astype(int)),
        count(profile.score, now),
        Options(),
    )
    assert found.bands.critical == 0.20
    assert found.flagged
    same = judge_prediction(
        profile,
        count(profile.prediction, [0] * 900 + [1] * 80),
        count(profile.score, scores[:980]),
        Options(),
    )
    assert same.severity == "ok"


def test_every_number_is_json() -> None:
    import json

    for current in (NORMAL[:500], np.full(500, np.nan), np.full(500, np.inf), NORMAL[:3]):
        json.dumps(verdict(NORMAL, current).as_json(), allow_nan=False)
