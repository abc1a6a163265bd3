"""Tail probabilities of the distributions that the tests need.

They are sums of few positive terms, so small p-values are as exact as large ones. scipy has them too, but its
import takes longer than a whole report.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

_EXACT_UP_TO = 1_000
"""Effective sample size up to which the exact sum is used; beyond it the limit is as good."""
_NEGLIGIBLE = 1e-17
_Z_95 = 1.6448536269514722


def normal_two_sided(z: float) -> float:
    """P(|Z| >= |z|) of a standard normal."""
    return math.erfc(abs(z) / math.sqrt(2.0))


def normal_above(z: float) -> float:
    """P(Z >= z) of a standard normal."""
    return 0.5 * math.erfc(z / math.sqrt(2.0))


def chi_square_above(statistic: float, degrees: int) -> float:
    """P(X >= statistic) of χ² with `degrees` of freedom, from its finite sum; 1 for none.

    Abramowitz and Stegun 26.4.4 and 26.4.5.
    """
    if degrees < 1 or statistic <= 0.0:
        return 1.0
    x = statistic / 2.0
    start = 0.0 if degrees % 2 == 0 else 0.5
    tail = 0.0 if degrees % 2 == 0 else math.erfc(math.sqrt(x))
    log_x = math.log(x)
    # Σ x^k e^−x / Γ(k + 1) over k from 0, or 1/2, in steps of 1 to below degrees / 2.
    tail += math.fsum(
        math.exp((start + k) * log_x - x - math.lgamma(start + k + 1)) for k in range(degrees // 2)
    )
    return min(1.0, tail)


def binomial_above(count: int, n: int, rate: float) -> float:
    """P(X > count) of a binomial of n trials with success rate `rate`."""
    if count < 0:
        return 1.0
    if count >= n or rate <= 0.0:
        return 0.0
    if rate >= 1.0:
        return 1.0
    if count + 1 > n * rate:
        return min(1.0, _binomial_sum(count + 1, n, rate, up=True))
    return max(0.0, 1.0 - _binomial_sum(count, n, rate, up=False))


def poisson_upper(count: int) -> float:
    """The largest mean that is still likely (95 %) where `count` was seen: for 0 the 3 of the rule of three.

    Above 0 by Wilson and Hilferty's approximation of the χ² quantile.
    """
    if count == 0:
        return 3.0
    a = count + 1.0
    return a * (1.0 - 1.0 / (9.0 * a) + _Z_95 / (3.0 * math.sqrt(a))) ** 3


def kolmogorov_smirnov_above(distance: float, n: int, m: int) -> float:
    """p-value of the two-sample Kolmogorov–Smirnov distance, asymptotic in n·m/(n + m).

    The tail of the one-sample statistic of that size, both sides added: the same as scipy's
    `ks_2samp(method="asymp")` where p is small, and never smaller than it.
    """
    if distance <= 0.0:
        return 1.0
    size = n * m / (n + m)
    if size > _EXACT_UP_TO:
        return _kolmogorov_above(distance * math.sqrt(size))
    return min(1.0, 2.0 * _smirnov_above(max(1, round(size)), distance))


def _binomial_sum(first: int, n: int, rate: float, *, up: bool) -> float:
    """The terms from `first` away from the mean, added up until they no longer count."""
    log_term = (
        math.lgamma(n + 1)
        - math.lgamma(first + 1)
        - math.lgamma(n - first + 1)
        + first * math.log(rate)
        + (n - first) * math.log1p(-rate)
    )
    odds = rate / (1.0 - rate)
    term = total = math.exp(log_term)
    k = first
    while term > _NEGLIGIBLE * total and (k < n if up else k > 0):
        if up:
            term *= (n - k) / (k + 1) * odds
            k += 1
        else:
            term *= k / (n - k + 1) / odds
            k -= 1
        total += term
    return total


def _kolmogorov_above(x: float) -> float:
    """P(K > x) of Kolmogorov's limiting distribution."""
    if x < 0.2:
        return 1.0
    total, k = 0.0, 1
    while True:
        term = math.exp(-2.0 * (k * x) ** 2)
        total += term if k % 2 else -term
        if term <= _NEGLIGIBLE * max(total, _NEGLIGIBLE) or k > 100:
            return min(1.0, max(0.0, 2.0 * total))
        k += 1


def _smirnov_above(n: int, distance: float) -> float:
    """P(D⁺ >= distance) of one sample of n, exactly (Birnbaum and Tingey, 1951)."""
    import numpy as np

    if distance >= 1.0:
        return 0.0
    factorials = _log_factorials()
    j = np.arange(0, math.floor(n * (1.0 - distance)) + 1)
    inside, outside = distance + j / n, 1.0 - distance - j / n
    kept = outside > 0.0
    j, inside, outside = j[kept], inside[kept], outside[kept]
    logs = (
        factorials[n]
        - factorials[j]
        - factorials[n - j]
        + (j - 1) * np.log(inside)
        + (n - j) * np.log(outside)
    )
    return float(distance * np.exp(logs).sum())


@lru_cache(maxsize=1)
def _log_factorials() -> NDArray[Any]:
    import numpy as np

    return np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, _EXACT_UP_TO + 1)))])
