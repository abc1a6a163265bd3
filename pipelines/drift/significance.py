"""Whether two samples differ by more than chance: tests on counts over the same bins."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelines.drift.tails import (
    binomial_above,
    chi_square_above,
    kolmogorov_smirnov_above,
    normal_above,
    normal_two_sided,
    poisson_upper,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

CATEGORY_WEIGHT = 2.0
LEAST_EXPECTED = 5.0
"""Expected counts below this are pooled before χ², whose tail holds for larger ones only."""


@dataclass(frozen=True)
class Outcome:
    """One test of one feature: its statistic and how likely one as large is without drift."""

    name: str
    statistic: float
    p_value: float
    degrees: int | None = None
    """Degrees of freedom, of χ²."""


def ks_distance(reference: NDArray[Any], current: NDArray[Any]) -> float:
    """Largest distance of the two cumulative shares over counts (n_bins,) of ordered bins."""
    import numpy as np

    n, m = reference.sum(), current.sum()
    if n == 0 or m == 0:
        return 0.0
    return float(np.abs(np.cumsum(reference) / n - np.cumsum(current) / m).max())


def kolmogorov_smirnov(reference: NDArray[Any], current: NDArray[Any]) -> Outcome:
    """The two-sample test on ordered bins: the distance between edges isn't seen, so p is never too small."""
    distance = ks_distance(reference, current)
    n, m = int(reference.sum()), int(current.sum())
    p = kolmogorov_smirnov_above(distance, n, m) if n and m else 1.0
    return Outcome("ks", distance, p)


def pool_rare(
    reference: NDArray[Any], current: NDArray[Any], rarest: tuple[int, int] = (0, 0)
) -> tuple[NDArray[Any], NDArray[Any]]:
    """The two rows of counts without empty bins, those with an expected count under 5 as one, the last.

    `rarest` are counts of both that belong there whatever they are: categories that have no bin.
    """
    import numpy as np

    used = reference + current > 0
    reference, current = reference[used], current[used]
    n, m = reference.sum() + rarest[0], current.sum() + rarest[1]
    if n == 0 or m == 0:
        return reference, current
    share = min(n, m) / (n + m)
    expected = (reference + current) * share
    if not (expected < LEAST_EXPECTED).any() and not any(rarest):
        return reference, current
    rare = rare_bins(expected, sum(rarest) * share)
    return (
        np.append(reference[~rare], reference[rare].sum() + rarest[0]),
        np.append(current[~rare], current[rare].sum() + rarest[1]),
    )


def rare_bins(expected: NDArray[Any], more: float = 0.0) -> NDArray[Any]:
    """Which bins (n_bins,) are pooled; `more` is expected in the pool besides."""
    import numpy as np

    rare = expected < LEAST_EXPECTED
    if (rare.any() or more) and expected[rare].sum() + more < LEAST_EXPECTED and not rare.all():
        # All rare ones together are still too few: the smallest of the others joins them.
        others = np.flatnonzero(~rare)
        rare[others[np.argmin(expected[others])]] = True
    return np.asarray(rare)


def chi_square(reference: NDArray[Any], current: NDArray[Any], *, name: str = "chi_square") -> Outcome:
    """The two-sample χ² test on counts (n_bins,), which knows that the reference is a sample too."""
    used = reference + current > 0
    reference, current = reference[used], current[used]
    n, m = float(reference.sum()), float(current.sum())
    if n == 0 or m == 0 or len(reference) < 2:
        return Outcome(name, 0.0, 1.0, max(0, len(reference) - 1))
    # With two rows of counts, Σ (observed − expected)² / expected over both is this one sum.
    statistic = float(
        ((reference * (m / n) ** 0.5 - current * (n / m) ** 0.5) ** 2 / (reference + current)).sum()
    )
    degrees = len(reference) - 1
    return Outcome(name, statistic, chi_square_above(statistic, degrees), degrees)


def missing_share(missing_reference: int, n: int, missing_current: int, m: int) -> Outcome:
    """The two-proportion test, two-sided, on the shares of missing values."""
    pooled = (missing_reference + missing_current) / (n + m) if n + m else 0.0
    if n == 0 or m == 0 or pooled in (0.0, 1.0):
        return Outcome("missing", 0.0, 1.0)
    z = (missing_current / m - missing_reference / n) / math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    return Outcome("missing", z, normal_two_sided(z))


def share_drop(successes: int, n: int, successes_now: int, m: int) -> tuple[float, float]:
    """z and one-sided p of the two-proportion test that a share has dropped."""
    pooled = (successes + successes_now) / (n + m)
    if pooled in (0.0, 1.0):
        return 0.0, 1.0
    z = (successes / n - successes_now / m) / math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    return z, normal_above(z)


def unseen_rate(reference_rows: int, seen_once: int = 0) -> float:
    """The largest likely rate of categories that a reference of so many rows doesn't have.

    3/R (the rule of three) where every category of the reference is there more than once. Otherwise as many
    new ones are to be expected as there are categories seen once (Good, 1953), with the same confidence.
    """
    return min(1.0, poisson_upper(seen_once) / max(1, reference_rows))


def unseen_categories(unseen: int, m: int, rate: float) -> Outcome:
    """The exact binomial test that at least `unseen` of m values are new where `rate` are at most."""
    return Outcome("unseen", float(unseen), binomial_above(unseen - 1, m, rate))


def combined(p_values: Sequence[float]) -> float:
    """One p-value of k tests of the same feature: k times the smallest (Bonferroni)."""
    return min(1.0, len(p_values) * min(p_values)) if p_values else 1.0


def benjamini_hochberg(p_values: Sequence[float], weights: Sequence[float] | None = None) -> list[float]:
    """p-values adjusted for their number, so that those under q hold a share of false ones of at most q.

    Each is divided by its weight first, where some are given; q holds with any whose mean is 1 and that were
    chosen without a look at the values (Genovese, Roeder and Wasserman, Biometrika 93, 2006).
    """
    if weights is not None:
        p_values = [min(1.0, p / weight) for p, weight in zip(p_values, weights, strict=True)]
    order = sorted(range(len(p_values)), key=lambda i: p_values[i], reverse=True)
    adjusted = [1.0] * len(p_values)
    smallest = 1.0
    for behind, place in enumerate(order):
        smallest = min(smallest, p_values[place] * len(p_values) / (len(p_values) - behind))
        adjusted[place] = smallest
    return adjusted


def weights_of(are_categories: Sequence[bool]) -> list[float]:
    """A weight of mean 1 for each feature of a window: twice the usual for categories among many numbers.

    χ² looks for any change of any category, so at the same level it finds less than what looks along an
    order. Numbers give up half of theirs at most.
    """
    categories = sum(are_categories)
    numbers = len(are_categories) - categories
    if not categories or not numbers:
        return [1.0] * len(are_categories)
    more = min(CATEGORY_WEIGHT, 1.0 + 0.5 * numbers / categories)
    less = (len(are_categories) - categories * more) / numbers
    return [more if one else less for one in are_categories]
