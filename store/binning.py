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
_MANY = 2_000
"""Values from which on ways that cost more at the start are quicker."""
_CELLS = 4_096


def bin_edges(values: NDArray[Any]) -> tuple[list[float], list[int]]:
    """Fine edges of finite values (n,), and the positions among them of the coarse edges.

    Up to 50 distinct values get a bin each. Ties collapse. Where many values equal the smallest, what lies
    below it gets a bin of its own, as does what lies above the largest: a constant that changes is seen.
    """
    import numpy as np

    if values.size == 0:
        return [], []
    if values.size > _MANY and np.unique(values[:_MANY]).size > FINE_BINS:
        # Surely more distinct values than bins: only the quantiles need their place in order.
        lowest = float(values.min())
        ordered = np.partition(values, _quantile_places(values.size, FINE_BINS))
        fine, coarse = _quantiles(ordered, FINE_BINS), _quantiles(ordered, COARSE_BINS)
    else:
        ordered = np.sort(values)
        distinct = np.unique(ordered)
        lowest = float(distinct[0])
        fine = distinct if distinct.size <= FINE_BINS else _quantiles(ordered, FINE_BINS)
        coarse = distinct if distinct.size <= COARSE_BINS else _quantiles(ordered, COARSE_BINS)
    fine, coarse = (_with_edge_below(edges, lowest) for edges in (fine, coarse))
    return [float(edge) for edge in fine], [int(i) for i in np.searchsorted(fine, coarse)]


def bin_counts(values: NDArray[Any], edges: NDArray[Any]) -> NDArray[Any]:
    """How many of the finite values (n,) lie in each of the len(edges) + 1 bins."""
    import numpy as np

    if values.size > _MANY and len(edges) > 1:
        counts = _counted_by_cell(values, edges)
        if counts is not None:
            return counts
    places = np.searchsorted(edges, values, side="left")
    return np.bincount(places, minlength=len(edges) + 1).astype(np.int64)


def _counted_by_cell(values: NDArray[Any], edges: NDArray[Any]) -> NDArray[Any] | None:
    """The same counts in a third of the time: only values in a cell that has an edge are searched for.

    Values keep their order when they are turned into cells, so below an edge's cell all are below the edge.
    None where most values share cells with edges, or the edges are too far apart for cells.
    """
    import numpy as np

    low, high = float(edges[0]), float(edges[-1])
    with np.errstate(over="ignore", invalid="ignore"):
        scale = _CELLS / (high - low) if high > low else math.inf
        if not 0.0 < scale < math.inf:
            return None

        def cells_of(numbers: NDArray[Any]) -> NDArray[Any]:
            cells = (numbers - low) * scale
            np.clip(cells, -1.0, _CELLS + 1.0, out=cells)
            cells += 1.0
            return cells.astype(np.int32)

        cells = cells_of(values)
        edge_cells = cells_of(edges)
    by_cell = np.bincount(cells, minlength=_CELLS + 3)
    has_edge = np.zeros(_CELLS + 3, dtype=bool)
    has_edge[edge_cells] = True
    if by_cell[has_edge].sum() > values.size // 4:
        return None
    searched = values[has_edge[cells]]
    counts = np.bincount(np.searchsorted(edges, searched, side="left"), minlength=len(edges) + 1)
    clear = np.flatnonzero(~has_edge)
    bins = np.searchsorted(edge_cells, clear, side="left")
    counts += np.bincount(bins, by_cell[clear], minlength=len(edges) + 1).astype(np.int64)
    return counts.astype(np.int64)


def coarsen(counts: NDArray[Any], coarse: NDArray[Any]) -> NDArray[Any]:
    """Counts of the coarse bins, from those of the fine bins along the last axis."""
    import numpy as np

    starts = np.concatenate([[0], np.asarray(coarse, dtype=np.int64) + 1])
    return np.add.reduceat(counts, starts, axis=-1)


def _quantiles(ordered: NDArray[Any], bins: int) -> NDArray[Any]:
    """Values of the sample at i / bins of it."""
    import numpy as np

    return np.unique(ordered[_quantile_places(len(ordered), bins)])


def _quantile_places(n: int, bins: int) -> NDArray[Any]:
    """Where i / bins of n values end, in integers: so every tenth is exactly the fifth fiftieth."""
    import numpy as np

    return (n * np.arange(1, bins) + bins - 1) // bins - 1


def _with_edge_below(edges: NDArray[Any], lowest: float) -> NDArray[Any]:
    import numpy as np

    below = math.nextafter(lowest, -math.inf)
    if edges[0] != lowest or math.isinf(below):
        return edges
    return np.concatenate([[below], edges])
