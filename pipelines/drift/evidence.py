"""What the counts of one feature say: the tests that can fire, the effect, further distances."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelines.drift.effects import (
    binned_wasserstein,
    classic_psi,
    hellinger,
    jensen_shannon,
    psi,
    psi_bias,
)
from pipelines.drift.significance import (
    Outcome,
    chi_square,
    combined,
    kolmogorov_smirnov,
    missing_share,
    pool_rare,
    unseen_categories,
    unseen_rate,
)
from store.counts import Counts
from store.profile import FeatureProfile

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_MISSING_CHANGE = 0.02
"""Share of missing values by which the two sides must differ at least."""
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Evidence:
    """One feature in one window against its reference."""

    outcomes: tuple[Outcome, ...]
    p_value: float
    """Of all tests together, not yet adjusted for the number of features."""
    effect: float
    """PSI less its bias, or the change in the share of missing values where that is larger."""
    effect_of: str
    """`shape` or `missing`: what the effect is of."""
    statistics: dict[str, float]
    degrees: int = 0
    """Bins that the effect is of, less one."""


def weigh(feature: FeatureProfile, reference: Counts, current: Counts) -> Evidence:
    """Test one feature's counts over the bins of `feature`: the reference's against a window's."""
    outcomes: list[Outcome] = []
    statistics: dict[str, float] = {}
    if feature.is_categorical:
        table = _category_table(reference, current)
        outcomes.append(chi_square(*table.for_test))
        if current.unseen:
            # Without a new value this test can't fire, and to count it would halve the level of the other.
            rate = unseen_rate(_present(reference), table.rare)
            outcomes.append(unseen_categories(current.unseen, _present(current), rate))
        statistics["unseen"] = _share(current.unseen, current.n)
        shape = outcomes[0]
        p_values = [outcome.p_value for outcome in outcomes]
    else:
        table = _number_table(feature, reference, current)
        ks, chi = (
            kolmogorov_smirnov(*_ordered(reference.bins, reference, current.bins, current)),
            chi_square(*table.for_test),
        )
        outcomes += [ks, chi]
        statistics["ks"] = ks.statistic
        shape = chi
        p_values = [combined([ks.p_value, chi.p_value])]
        statistics |= _earth_movers(feature, reference, current)
    statistics["chi_square"] = shape.statistic
    can_be_missing = reference.missing > 0 or current.missing > 0
    if can_be_missing:
        outcomes.append(missing_share(reference.missing, reference.n, current.missing, current.n))
        p_values.append(outcomes[-1].p_value)

    ref, cur = table.for_effect
    raw = psi(ref, cur)
    bias = psi_bias(len(ref), int(ref.sum()), int(cur.sum()))
    change = abs(_share(current.missing, current.n) - _share(reference.missing, reference.n))
    statistics |= {
        "psi": raw,
        "psi_bias": bias,
        "jensen_shannon": jensen_shannon(ref, cur),
        "hellinger": hellinger(ref, cur),
        "missing_change": change,
    }
    effect, effect_of = (max(0.0, raw - bias) if ref.sum() and cur.sum() else 0.0), "shape"
    if (
        change >= LEAST_MISSING_CHANGE
        and change > effect
        and len(p_values) * outcomes[-1].p_value < SIGNIFICANT
    ):
        effect, effect_of = change, "missing"
    return Evidence(tuple(outcomes), combined(p_values), effect, effect_of, statistics, max(0, len(ref) - 1))


def weigh_classic(feature: FeatureProfile, reference: Counts, current: Counts) -> Evidence:
    """The rules of tutorials: KS (χ² for categories) with p < 0.05, PSI on proportions, nothing adjusted."""
    if feature.is_categorical:
        table = _category_table(reference, current)
        ref, cur = _appended(reference, current)
        outcome = chi_square(ref, cur)
    else:
        table = _number_table(feature, reference, current)
        ref, cur = table.for_effect
        outcome = kolmogorov_smirnov(*_ordered(reference.bins, reference, current.bins, current))
    effect = classic_psi(ref, cur)
    return Evidence(
        (outcome,), outcome.p_value, effect, "shape", {outcome.name: outcome.statistic, "psi": effect}
    )


@dataclass(frozen=True)
class _Table:
    """Two rows of counts: for χ² with rare bins pooled, and for the effect."""

    for_test: tuple[NDArray[Any], NDArray[Any]]
    for_effect: tuple[NDArray[Any], NDArray[Any]]
    rare: int = 0
    """Values of the reference in categories that are there once, or have no bin."""


def _number_table(feature: FeatureProfile, reference: Counts, current: Counts) -> _Table:
    coarse = _ordered(
        feature.coarse_bins(reference.bins), reference, feature.coarse_bins(current.bins), current
    )
    pooled = pool_rare(*coarse)
    return _Table(pooled, pooled)


def _category_table(reference: Counts, current: Counts) -> _Table:
    import numpy as np

    ref, cur = np.asarray(reference.bins, dtype=np.int64), np.asarray(current.bins, dtype=np.int64)
    rare = int((ref == 1).sum()) + reference.unseen
    if rare:
        # Where the reference has categories that are there once, a window is bound to have some that are not
        # in it: they belong to the rare ones.
        pooled = pool_rare(ref, cur, (reference.unseen, current.unseen))
        return _Table(pooled, pooled, rare)
    pooled = pool_rare(ref, cur)
    if not current.unseen:
        return _Table(pooled, pooled)
    with_new = (np.append(pooled[0], 0), np.append(pooled[1], current.unseen))
    return _Table(pooled, with_new)


def _ordered(
    ref_bins: Any, reference: Counts, cur_bins: Any, current: Counts
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Bins of numbers between one for -inf and one for +inf."""
    import numpy as np

    def row(bins: Any, counts: Counts) -> NDArray[Any]:
        return np.asarray([counts.negative_infinite, *bins, counts.positive_infinite], dtype=np.int64)

    return row(ref_bins, reference), row(cur_bins, current)


def _appended(reference: Counts, current: Counts) -> tuple[NDArray[Any], NDArray[Any]]:
    import numpy as np

    return (
        np.asarray([*reference.bins, reference.unseen], dtype=np.int64),
        np.asarray([*current.bins, current.unseen], dtype=np.int64),
    )


def _earth_movers(feature: FeatureProfile, reference: Counts, current: Counts) -> dict[str, float]:
    import numpy as np

    if feature.minimum is None or feature.maximum is None or not current.in_bins:
        return {}
    with np.errstate(over="ignore", invalid="ignore"):
        distance = binned_wasserstein(
            np.asarray(feature.edges),
            np.asarray(reference.bins),
            np.asarray(current.bins),
            feature.minimum,
            feature.maximum,
        )
    if reference.mean is not None and current.mean is not None:
        # Values beyond the reference's are counted as its extremes; the means tell how far they are.
        distance = max(distance, abs(current.mean - reference.mean))
    if not math.isfinite(distance):
        return {}
    sd = reference.sd
    return {"wasserstein": distance} | ({"wasserstein_sd": distance / sd} if sd else {})


def _present(counts: Counts) -> int:
    return counts.n - counts.missing


def _share(part: int, n: int) -> float:
    return part / n if n else 0.0
