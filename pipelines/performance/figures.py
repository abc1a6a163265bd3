"""A metric as a figure: its value, how sure it is, and whether it has dropped against a reference."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

Z95 = 1.959963984540054
"""Half the width of a 95 % interval, in standard errors."""
MIN_ROWS = 30
"""Labelled rows below which no drop is tested: the tests are approximations for more."""
P_DROP = 0.01
POINT = 0.01


@dataclass(frozen=True)
class Figure:
    """One metric of some rows.

    `hits` of `n` where it is a plain share. `point` is what counts as one point: 0.01 of a rate; of an
    error, a hundredth of the target's standard deviation.
    """

    metric: str
    value: float
    n: int
    se: float | None = None
    hits: float | None = None
    low: float | None = None
    high: float | None = None
    is_error: bool = False
    point: float = POINT

    def as_json(self) -> dict[str, Any]:
        """Only what the reference of a later comparison needs."""
        values = {"value": self.value, "n": self.n, "se": self.se, "hits": self.hits}
        return {name: value for name, value in values.items() if value is not None and math.isfinite(value)}


@dataclass(frozen=True)
class Drop:
    """A one-sided test that a figure is worse than its reference; `amount` is by how much."""

    z: float
    p_value: float
    amount: float


def normal_tail(z: float) -> float:
    """P(Z > z) of a standard normal variable."""
    return 0.5 * math.erfc(z / math.sqrt(2))


def wilson(hits: float, n: float, z: float = Z95) -> tuple[float, float]:
    """Wilson's score interval of a share (J. Am. Stat. Assoc. 22, 1927); (0, 1) of nothing."""
    if n <= 0:
        return 0.0, 1.0
    share, square = hits / n, z * z
    center = (share + square / (2 * n)) / (1 + square / n)
    half = z / (1 + square / n) * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    return max(0.0, center - half), min(1.0, center + half)


def rate(metric: str, hits: float, n: float) -> Figure | None:
    """A share with its Wilson interval; None of nothing."""
    if n <= 0:
        return None
    share = hits / n
    return Figure(metric, share, int(n), math.sqrt(share * (1 - share) / n), hits, *wilson(hits, n))


def f1(true_positives: float, predicted: float, actual: float, metric: str = "f1") -> Figure | None:
    """F1 with an interval: it is 2J / (1 + J) of the Jaccard share J = TP / (TP + FP + FN), a plain rate."""
    union = predicted + actual - true_positives
    if union <= 0:
        return None
    share = true_positives / union
    low, high = (2 * bound / (1 + bound) for bound in wilson(true_positives, union))
    slope = 2 / (1 + share) ** 2
    se = slope * math.sqrt(share * (1 - share) / union)
    return Figure(metric, 2 * share / (1 + share), int(union), se, None, low, high)


def plain(
    metric: str, value: float, n: int, se: float, *, is_error: bool = False, point: float = POINT
) -> Figure:
    """A value with a normal interval, within 0 to 1 for a score."""
    low, high = value - Z95 * se, value + Z95 * se
    if not is_error:
        low, high = max(0.0, low), min(1.0, high)
    return Figure(metric, value, n, se, None, low, high, is_error, point)


def roc_auc(positive: NDArray[Any], ranking: NDArray[Any]) -> Figure | None:
    """Area under the ROC curve with DeLong's standard error; None where a class is (nearly) absent."""
    import numpy as np

    from pipelines.paired import midranks

    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if n_positive < 2 or n_negative < 2:
        return None
    above, below = ranking[positive], ranking[~positive]
    together = midranks(np.concatenate([above, below]))
    v10 = (together[:n_positive] - midranks(above)) / n_negative
    v01 = 1 - (together[n_positive:] - midranks(below)) / n_positive
    variance = float(np.var(v10, ddof=1) / n_positive + np.var(v01, ddof=1) / n_negative)
    return plain("roc_auc", float(v10.mean()), len(positive), math.sqrt(variance))


def drop_test(reference: Figure, now: Figure) -> Drop | None:
    """Whether `now` is worse: shares by a pooled two-sample z test, others by their standard errors.

    None where there are too few rows, or no standard error.
    """
    if now.n < MIN_ROWS or reference.n < MIN_ROWS:
        return None
    amount = now.value - reference.value if now.is_error else reference.value - now.value
    if reference.hits is not None and now.hits is not None:
        pooled = (reference.hits + now.hits) / (reference.n + now.n)
        spread = math.sqrt(pooled * (1 - pooled) * (1 / reference.n + 1 / now.n))
    elif reference.se is not None and now.se is not None:
        spread = math.hypot(reference.se, now.se)
    else:
        return None
    if spread == 0:
        z = math.copysign(math.inf, amount) if amount else 0.0
        return Drop(z, normal_tail(z), amount)
    return Drop(amount / spread, normal_tail(amount / spread), amount)


def is_below(drop: Drop | None, now: Figure) -> bool:
    """Whether one window counts as a drop: significant and at least a point."""
    return drop is not None and drop.p_value < P_DROP and drop.amount >= now.point


def figure_from_json(metric: str, values: Mapping[str, Any], *, is_error: bool = False) -> Figure:
    return Figure(
        metric,
        float(values["value"]),
        int(values["n"]),
        values.get("se"),
        values.get("hits"),
        is_error=is_error,
    )
