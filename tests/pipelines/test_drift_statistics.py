"""Golden values of scipy 1.17, Evidently 0.7 and NannyML, and closed forms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from pipelines.drift.effects import (
    binned_wasserstein,
    classic_psi,
    hellinger,
    jensen_shannon,
    psi,
    psi_bias,
    wasserstein,
)
from pipelines.drift.significance import (
    benjamini_hochberg,
    chi_square,
    combined,
    kolmogorov_smirnov,
    ks_distance,
    missing_share,
    pool_rare,
    share_drop,
    unseen_categories,
    unseen_rate,
    weights_of,
)
from pipelines.drift.tails import (
    binomial_above,
    chi_square_above,
    kolmogorov_smirnov_above,
    normal_above,
    normal_two_sided,
    poisson_upper,
)
from store.binning import bin_counts, bin_edges, coarsen

REF = np.arange(1000) / 100
CUR = np.arange(500) / 50 * 1.1 + 0.3
CATEGORIES = np.array([500, 300, 200, 0]), np.array([110, 60, 25, 5])


def counted(values: Any, edges: Any) -> Any:
    return np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1)


@pytest.fixture
def tenths() -> tuple[Any, Any]:
    edges = np.quantile(REF, np.arange(1, 10) / 10)
    return counted(REF, edges), counted(CUR, edges)


def test_ks_is_that_of_scipy() -> None:
    values = np.unique(np.concatenate([REF, CUR]))
    test = kolmogorov_smirnov(counted(REF, values), counted(CUR, values))
    assert test.statistic == pytest.approx(0.119, abs=1e-12)
    assert test.p_value == pytest.approx(1.4463446345773777e-4, rel=1e-9)


def test_wasserstein_is_that_of_scipy_and_evidently() -> None:
    distance = wasserstein(REF, CUR)
    assert distance == pytest.approx(0.794, abs=1e-12)
    assert distance / REF.std() == pytest.approx(0.2750498057668752, rel=1e-12)


def test_wasserstein_from_bins_is_near_where_bins_are_narrow() -> None:
    edges = np.linspace(0, 12, 400)
    shifted = REF + 0.5
    found = binned_wasserstein(edges, counted(REF, edges), counted(shifted, edges), 0.0, 12.0)
    assert found == pytest.approx(0.5, rel=0.01)


def test_chi_square_on_ten_bins(tenths: tuple[Any, Any]) -> None:
    assert tenths[1].tolist() == [32, 46, 45, 46, 45, 45, 46, 45, 46, 104]
    test = chi_square(*tenths)
    assert test.statistic == pytest.approx(35.75334887680326, rel=1e-12)
    assert test.degrees == 9
    assert test.p_value == pytest.approx(4.3847e-5, rel=1e-4)


def test_psi_with_half_a_count_and_without_its_bias(tenths: tuple[Any, Any]) -> None:
    value = psi(*tenths)
    assert value == pytest.approx(0.10021444896473113, rel=1e-12)
    assert value - psi_bias(10, 1000, 500) == pytest.approx(0.07321444896473113, rel=1e-12)
    assert ks_distance(*tenths) == pytest.approx(0.108, abs=1e-12)


def test_categories() -> None:
    test = chi_square(*CATEGORIES)
    assert test.statistic == pytest.approx(30.81967213114754, rel=1e-12)
    assert test.p_value == pytest.approx(9.277037e-7, rel=1e-6)
    assert jensen_shannon(*CATEGORIES) == pytest.approx(0.11673034293979914, rel=1e-9)
    assert jensen_shannon(*CATEGORIES, base=2) == pytest.approx(0.14020743069031974, rel=1e-9)
    assert hellinger(*CATEGORIES) == pytest.approx(0.13221835, rel=1e-7)


def test_unseen_category_is_an_exact_binomial() -> None:
    assert unseen_categories(5, 200, 0.003).p_value == pytest.approx(3.7952e-4, rel=1e-4)
    assert unseen_rate(1000) == pytest.approx(0.003)
    assert unseen_categories(0, 200, 0.003).p_value == 1.0


def test_where_categories_are_rare_new_ones_are_to_be_expected() -> None:
    """A reference in which 100 of 1,000 values are there once promises about a tenth of new ones (Good)."""
    assert 0.10 < unseen_rate(1000, seen_once=100) < 0.13


def test_benjamini_hochberg() -> None:
    p = [0.001, 0.008, 0.039, 0.041, 0.042, 0.06, 0.074, 0.205, 0.212, 0.216]
    wanted = [0.01, 0.04, 0.084, 0.084, 0.084, 0.1, 0.105714, 0.216, 0.216, 0.216]
    assert benjamini_hochberg(p) == pytest.approx(wanted, abs=1e-6)
    assert benjamini_hochberg(p[::-1]) == pytest.approx(wanted[::-1], abs=1e-6)
    assert benjamini_hochberg([]) == []


def test_weights_move_the_level_between_features_and_add_nothing_to_it() -> None:
    p = [0.001, 0.008, 0.039, 0.5]
    assert benjamini_hochberg(p, [1.0] * 4) == benjamini_hochberg(p)
    assert benjamini_hochberg(p, [0.5, 2.0, 0.5, 1.0]) == pytest.approx([0.008, 0.008, 0.104, 0.5])
    for numbers, categories in ((25, 5), (5, 25), (1, 1), (29, 1), (1, 29)):
        weights = weights_of([False] * numbers + [True] * categories)
        assert sum(weights) == pytest.approx(numbers + categories)
        assert 0.499 < weights[0] <= 1.0 <= weights[-1] <= 2.0
    assert weights_of([True] * 3) == weights_of([False] * 3) == [1.0] * 3
    assert weights_of([]) == []


def test_a_drop_of_a_share() -> None:
    z, p = share_drop(4500, 5000, 430, 500)
    assert z == pytest.approx(2.7980176707837825, rel=1e-12)
    assert p == pytest.approx(0.002570864978426473, rel=1e-9)


def test_combining_is_bonferroni() -> None:
    assert combined([0.01, 0.5]) == pytest.approx(0.02)
    assert combined([0.9, 0.8]) == 1.0
    assert combined([]) == 1.0


def test_missing_shares() -> None:
    test = missing_share(0, 1000, 50, 1000)
    assert test.p_value < 1e-10
    assert missing_share(0, 1000, 0, 1000).p_value == 1.0
    assert missing_share(1000, 1000, 10, 10).p_value == 1.0


def test_bins_with_few_expected_are_pooled() -> None:
    ref, cur = pool_rare(np.array([500, 300, 200, 3, 2]), np.array([110, 60, 30, 1, 0]))
    assert ref.tolist() == [500, 300, 205]
    assert cur.tolist() == [110, 60, 31]


def test_pooling_keeps_all_values() -> None:
    rng = np.random.default_rng(3)
    for _ in range(200):
        ref, cur = rng.poisson(3, 12), rng.poisson(1, 12)
        pooled = pool_rare(ref, cur)
        assert [row.sum() for row in pooled] == [ref.sum(), cur.sum()]


def test_empty_sides_give_no_evidence() -> None:
    nothing, some = np.zeros(4, dtype=int), np.array([3, 4, 5, 6])
    for pair in ((nothing, some), (some, nothing), (nothing, nothing)):
        assert chi_square(*pair).p_value == 1.0
        assert kolmogorov_smirnov(*pair).p_value == 1.0
        assert jensen_shannon(*pair) == hellinger(*pair) == classic_psi(*pair) == 0.0


def test_tails_are_those_of_scipy() -> None:
    special = pytest.importorskip("scipy.special")
    for degrees in (1, 2, 3, 9, 10, 49, 999):
        for x in (0.1, 1.0, degrees * 1.0, degrees * 2.0 + 10):
            assert chi_square_above(x, degrees) == pytest.approx(special.chdtrc(degrees, x), rel=1e-9)
    for count, n, rate in (
        (4, 200, 0.003),
        (0, 100, 0.05),
        (300, 1000, 0.3),
        (250, 1000, 0.3),
        (99, 100, 0.5),
    ):
        assert binomial_above(count, n, rate) == pytest.approx(special.bdtrc(count, n, rate), rel=1e-7)
    assert kolmogorov_smirnov_above(0.01, 10**6, 10**6) == pytest.approx(
        special.kolmogorov(0.01 * math.sqrt(5e5)), rel=1e-9
    )
    assert poisson_upper(0) == 3.0
    assert poisson_upper(10) == pytest.approx(special.gammaincinv(11, 0.95), rel=0.001)
    assert normal_two_sided(1.959963984540054) == pytest.approx(0.05)
    assert normal_above(1.6448536269514722) == pytest.approx(0.05)


def test_tails_at_their_ends() -> None:
    assert chi_square_above(0.0, 5) == chi_square_above(3.0, 0) == 1.0
    assert chi_square_above(1e6, 3) == 0.0
    assert binomial_above(-1, 10, 0.1) == 1.0
    assert binomial_above(10, 10, 0.1) == 0.0
    assert binomial_above(3, 10, 1.0) == 1.0
    assert kolmogorov_smirnov_above(1.0, 100, 100) == 0.0
    assert kolmogorov_smirnov_above(0.0, 100, 100) == 1.0


@pytest.mark.parametrize("scale", [1.0, 1e-9, 1e12])
def test_quick_counting_is_counting(scale: float) -> None:
    rng = np.random.default_rng(5)
    for values in (
        rng.normal(0, scale, 5000),
        rng.lognormal(0, 3, 5000) * scale,
        rng.integers(0, 300, 5000) * scale,
        np.append(rng.normal(0, scale, 5000), [1e9, 1.7e308, -1.7e308]),
    ):
        edges, coarse = bin_edges(values)
        fine = np.array(edges)
        for window in (values, values * 0.9, rng.choice(fine, 4000), np.nextafter(fine.repeat(60), np.inf)):
            window = window[np.isfinite(window)]
            wanted = np.bincount(np.searchsorted(fine, window, side="left"), minlength=len(fine) + 1)
            assert bin_counts(window, fine).tolist() == wanted.tolist()
        assert coarsen(bin_counts(values, fine), np.array(coarse)).sum() == len(values)
