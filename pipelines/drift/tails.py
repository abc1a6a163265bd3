"""Tail probabilities of the distributions that the tests need."""

from __future__ import annotations

import math

_EXACT_UP_TO = 20_000
"""Effective sample size up to which the exact sum is used; beyond it the limit is as good."""


def normal_two_sided(z: float) -> float:
    """P(|Z| >= |z|) of a standard normal."""
    return math.erfc(abs(z) / math.sqrt(2.0))


def normal_above(z: float) -> float:
    """P(Z >= z) of a standard normal."""
    return 0.5 * math.erfc(z / math.sqrt(2.0))


def chi_square_above(statistic: float, degrees: int) -> float:
    """P(X >= statistic) of χ² with `degrees` of freedom; 1 for none."""
    from scipy.special import chdtrc

    return 1.0 if degrees < 1 else float(chdtrc(degrees, statistic))


def binomial_above(count: int, n: int, rate: float) -> float:
    """P(X > count) of a binomial of n trials with success rate `rate`."""
    from scipy.special import bdtrc

    if count >= n:
        return 0.0
    return float(bdtrc(count, n, rate)) if count >= 0 else 1.0


def poisson_upper(count: int, confidence: float = 0.95) -> float:
    """The largest mean that is still likely where `count` was seen: for 0 the 3 of the rule of three."""
    from scipy.special import gammaincinv

    return 3.0 if count == 0 else float(gammaincinv(count + 1, confidence))


def kolmogorov_smirnov_above(distance: float, n: int, m: int) -> float:
    """p-value of the two-sample Kolmogorov–Smirnov distance, asymptotic in n·m/(n + m).

    The tail of the one-sample statistic of that size, both sides added: the same as scipy's
    `ks_2samp(method="asymp")` where p is small, and never smaller than it.
    """
    from scipy.special import kolmogorov, smirnov

    if distance <= 0.0:
        return 1.0
    size = n * m / (n + m)
    if size > _EXACT_UP_TO:
        return float(kolmogorov(distance * math.sqrt(size)))
    return min(1.0, 2.0 * float(smirnov(max(1, round(size)), min(distance, 1.0))))
