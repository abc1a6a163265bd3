"""Bin edges from the reference: the same bins for training data and for every window of predictions.

Bin k holds (edges[k-1], edges[k]]; the first is open below, the last above. Edges are values of the
reference, so values that repeat lie exactly at the top of their bin.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

FINE_BINS = 50
"""For the Kolmogorov–Smirnov statistic: 49 quantile edges."""
COARSE_BINS = 10
"""For the population stability index and χ²: 9 of the same edges."""


def bin_edges(values: NDArray[Any]) -> tuple[list[float], list[int]]:
    """Fine edges of finite values (n,), and the positions among them of the coarse edges.

    Up to 50 distinct values get a bin each. Ties collapse. Where many values equal the smallest, what lies
    below it gets a bin of its own, as does what lies above the largest: a constant that changes is seen.
    """
    import numpy as np

    if values.size == 0:
        return [], []
    ordered = np.sort(values)
    distinct = np.unique(ordered)
    fine = distinct if distinct.size <= FINE_BINS else _quantiles(ordered, FINE_BINS)
    coarse = distinct if distinct.size <= COARSE_BINS else _quantiles(ordered, COARSE_BINS)
    fine, coarse = (_with_edge_below(edges, float(distinct[0])) for edges in (fine, coarse))
    return [float(edge) for edge in fine], [int(i) for i in np.searchsorted(fine, coarse)]


def bin_counts(values: NDArray[Any], edges: NDArray[Any]) -> NDArray[Any]:
    """How many of the finite values (n,) lie in each of the len(edges) + 1 bins."""
    import numpy as np

    places = np.searchsorted(edges, values, side="left")
    return np.bincount(places, minlength=len(edges) + 1).astype(np.int64)


def coarsen(counts: NDArray[Any], coarse: NDArray[Any]) -> NDArray[Any]:
    """Counts of the coarse bins, from those of the fine bins along the last axis."""
    import numpy as np

    starts = np.concatenate([[0], np.asarray(coarse, dtype=np.int64) + 1])
    return np.add.reduceat(counts, starts, axis=-1)


def _quantiles(ordered: NDArray[Any], bins: int) -> NDArray[Any]:
    """Values of the sample at i / bins of it, in integers: so every tenth is exactly the fifth fiftieth."""
    import numpy as np

    places = (len(ordered) * np.arange(1, bins) + bins - 1) // bins - 1
    return np.unique(ordered[places])


def _with_edge_below(edges: NDArray[Any], lowest: float) -> NDArray[Any]:
    import numpy as np

    below = math.nextafter(lowest, -math.inf)
    if edges[0] != lowest or math.isinf(below):
        return edges
    return np.concatenate([[below], edges])
