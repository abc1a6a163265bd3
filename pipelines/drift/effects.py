"""How much two samples differ, whatever their size: distances of distributions from counts and values."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray


def psi(reference: NDArray[Any], current: NDArray[Any], *, smoothing: float = 0.5) -> float:
    """Population stability index of counts (n_bins,), `smoothing` added to each."""
    import numpy as np

    if len(reference) < 2:
        return 0.0
    p = (reference + smoothing) / (reference.sum() + smoothing * len(reference))
    q = (current + smoothing) / (current.sum() + smoothing * len(current))
    return float(((q - p) * np.log(q / p)).sum())


def psi_bias(bins: int, n: int, m: int) -> float:
    """What `psi` is on average of two samples of the same distribution: (B − 1)(1/n + 1/m)."""
    return max(0, bins - 1) * (1 / n + 1 / m) if n and m else 0.0


def classic_psi(reference: NDArray[Any], current: NDArray[Any]) -> float:
    """PSI as tutorials have it: on proportions, empty bins as 0.0001, no correction."""
    import numpy as np

    n, m = reference.sum(), current.sum()
    if n == 0 or m == 0:
        return 0.0
    p, q = np.maximum(reference / n, 1e-4), np.maximum(current / m, 1e-4)
    return float(((q - p) * np.log(q / p)).sum())


def jensen_shannon(reference: NDArray[Any], current: NDArray[Any], *, base: float = math.e) -> float:
    """Jensen–Shannon distance (the root of the divergence) of counts (n_bins,)."""
    import numpy as np

    n, m = reference.sum(), current.sum()
    if n == 0 or m == 0:
        return 0.0
    p, q = reference / n, current / m
    middle = (p + q) / 2

    def divergence(part: NDArray[Any]) -> float:
        inside = part > 0
        return float((part[inside] * np.log(part[inside] / middle[inside])).sum())

    return math.sqrt(max(0.0, (divergence(p) + divergence(q)) / 2 / math.log(base)))


def hellinger(reference: NDArray[Any], current: NDArray[Any]) -> float:
    """Hellinger distance of counts (n_bins,): 0 for the same, 1 for nothing in common."""
    import numpy as np

    n, m = reference.sum(), current.sum()
    if n == 0 or m == 0:
        return 0.0
    return math.sqrt(max(0.0, 1.0 - float(np.sqrt(reference / n * (current / m)).sum())))


def wasserstein(reference: NDArray[Any], current: NDArray[Any]) -> float:
    """W1, the earth mover's distance, of two samples (n,) and (m,) of finite values."""
    import numpy as np

    if not reference.size or not current.size:
        return 0.0
    a, b = np.sort(reference), np.sort(current)
    both = np.sort(np.concatenate([a, b]))
    share_a = np.searchsorted(a, both[:-1], side="right") / a.size
    share_b = np.searchsorted(b, both[:-1], side="right") / b.size
    return float((np.abs(share_a - share_b) * np.diff(both)).sum())


def binned_wasserstein(
    edges: NDArray[Any], reference: NDArray[Any], current: NDArray[Any], low: float, high: float
) -> float:
    """W1 from counts over bins that end at `edges` (n_bins − 1,), values spread evenly within each.

    `low` and `high` bound the outer bins: the smallest and largest value of the reference. What lies beyond
    them counts as if at them, so of a sample far outside it is a lower bound.
    """
    import numpy as np

    n, m = reference.sum(), current.sum()
    if n == 0 or m == 0 or len(edges) == 0:
        return 0.0
    ends = np.concatenate([[min(low, edges[0])], edges, [max(high, edges[-1])]])
    gaps = np.concatenate([[0.0], np.cumsum(reference) / n - np.cumsum(current) / m])
    left, right, width = gaps[:-1], gaps[1:], np.diff(ends)
    same_side = left * right >= 0
    total = np.abs(left) + np.abs(right)
    # Where the distance changes sign within a bin, its absolute value is two triangles.
    crossing = (left * left + right * right) / np.where(total > 0, 2 * total, 1.0)
    return float((width * np.where(same_side, total / 2, crossing)).sum())
