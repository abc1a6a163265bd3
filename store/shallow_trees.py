"""The leaves of shallow trees for many rows at once, without going down any tree.

All conditions of all trees are asked of all rows, and the answers say which leaf a row ends in: some logic on
bytes, which takes the processor no guess. Trees of more levels have too many conditions for that, and a few
rows are too few.
"""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np

from store.row_order import even_parts

MOST_LEVELS = 3
"""Of trees with four, scikit-learn's loop over rows in `store.row_order` takes as long."""
LEAST_ROWS = 256
"""For half as many rows that loop takes as long."""
_AT_ONCE = 100_000
"""Leaves found at once: more don't stay in the processor's cache, and with less the calls cost most."""
_LEAST_AT_ONCE = 64


class ShallowTrees:
    """Adds up what trees say about rows, output by output, in the order of the trees.

    `root` has the trees, shape (n_stages, n_outputs), as places among the nodes: the condition at one is
    `row[feature] > threshold`, `children` has two places for each node, a leaf's being its own, and `value`
    is what a leaf says.
    """

    def __init__(
        self,
        root: np.ndarray,
        n_levels: int,
        feature: np.ndarray,
        threshold: np.ndarray,
        children: np.ndarray,
        value: np.ndarray,
    ) -> None:
        self._n_stages, self._n_outputs = root.shape
        self._n_levels = n_levels
        node = root.reshape(1, -1)
        features, thresholds = [], []
        for _ in range(n_levels):
            left, right = children.take(2 * node), children.take(2 * node + 1)
            features.append(feature.take(node))
            thresholds.append(np.where(left == node, np.inf, threshold.take(node)))
            node = np.stack([left, right], axis=1).reshape(2 * len(node), -1)
        asked = np.stack([np.concatenate(features).ravel(), np.concatenate(thresholds).ravel()])
        (asked_of, limits), self._place = np.unique(asked, axis=1, return_inverse=True)
        self._place = self._place.reshape(-1)
        self._n_asked = len(limits)
        found, starts = np.unique(asked_of, return_index=True)
        self._features = found.astype(np.intp).tolist()
        self._parts = [slice(*ends) for ends in zip(starts, [*starts[1:], len(limits)], strict=True)]
        limits = _rounded_down(limits)[:, None]
        self._limits = [limits[part] for part in self._parts]
        n_trees = root.size
        self._values = value.take(node.T).ravel()
        self._first_leaf = (np.arange(n_trees, dtype=np.intp) << n_levels)[:, None]
        self._block = max(_AT_ONCE // n_trees, _LEAST_AT_ONCE)
        self._room = _Room()
        self._is_in_use = threading.Lock()

    def add_up(self, rows: np.ndarray, total: np.ndarray) -> None:
        """Add what all trees say to the totals of rows: float32, two at least, and no value is missing."""
        # Memory that is taken anew has to be fetched page by page, which takes longer than all the rest.
        if self._is_in_use.acquire(blocking=False):
            try:
                self._add_up(rows, total, self._room)
            finally:
                self._is_in_use.release()
        else:
            self._add_up(rows, total, _Room())

    def _add_up(self, rows: np.ndarray, total: np.ndarray, room: _Room) -> None:
        for part in even_parts(len(rows), self._block):
            values = self._values_of(rows[part], room)
            values = values.reshape(self._n_stages, self._n_outputs, -1)
            # Along the first axis numpy adds one after the other, as scikit-learn does.
            values[0] += total[part].T
            total[part] = np.add.reduce(values, axis=0).T

    def _values_of(self, rows: np.ndarray, room: _Room) -> np.ndarray:
        """What each tree says about each row, shape (n_trees, n_rows)."""
        n_rows, n_trees = len(rows), len(self._first_leaf)
        columns = room.take("columns", rows.shape[::-1], np.float32)
        columns[:] = rows.T
        answers = room.take("answers", (self._n_asked, n_rows), bool)
        for feature, limit, part in zip(self._features, self._limits, self._parts, strict=True):
            np.greater(columns[feature], limit, out=answers[part])
        by_node = room.take("by node", (len(self._place), n_rows), bool)
        answers.take(self._place, axis=0, mode="clip", out=by_node)
        nodes = [*by_node.reshape(-1, n_trees, n_rows)]
        ways = [nodes[0]]
        for level in range(1, self._n_levels):
            here = nodes[(1 << level) - 1 : (2 << level) - 1]
            for way in reversed(ways):
                here = [_chosen(way, *pair) for pair in zip(here[::2], here[1::2], strict=True)]
            ways += here
        leaf = ways[0].view(np.uint8)
        for way in ways[1:]:
            leaf += leaf
            leaf += way.view(np.uint8)
        places = room.take("places", (n_trees, n_rows), np.intp)
        np.add(leaf, self._first_leaf, out=places)
        values = room.take("values", (n_trees, n_rows), np.float64)
        self._values.take(places, mode="clip", out=values)
        return values


class _Room:
    """Memory that is used again and again."""

    def __init__(self) -> None:
        self._arrays: dict[str, np.ndarray] = {}

    def take(self, name: str, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        size = math.prod(shape)
        array = self._arrays.get(name)
        if array is None or len(array) < size:
            array = self._arrays[name] = np.empty(size, dtype)
        return array[:size].reshape(shape)


def _chosen(way: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """`right` where the way goes right, else `left`; both are overwritten."""
    right ^= left
    right &= way
    left ^= right
    return left


def _rounded_down(limits: np.ndarray) -> np.ndarray:
    """As float32: a float32 is above the one where it is above the other."""
    with np.errstate(over="ignore"):
        rounded = limits.astype(np.float32)
    below = np.nextafter(rounded, np.float32(-np.inf))
    return np.where(rounded > limits, below, rounded)
