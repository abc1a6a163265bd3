"""The leaves of many trees for many rows at once, without going down any tree.

All conditions of all trees are asked of all rows. Then the leaves that rows end in are counted out from
below: the place of a row's leaf among those under a node is the one under its left child, or that under its
right child after all leaves of the left one. That is some arithmetic on bytes, which leaves the processor
nothing to guess, and subtrees that ask the same, of which there are many, are gone through once.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np

from store.row_order import even_parts

LEAST_ROWS = 256
"""For half as many rows going down takes as long."""
MOST_NODES = 32
"""Different conditions and subtrees for each tree, with more of which going down takes as long."""
_MOST_LEAVES = 256
_BYTES_AT_ONCE = 3_000_000
"""Of tables: more don't stay in the processor's cache, and with less the calls cost most."""
_LEAST_AT_ONCE = 64
"""Rows, whatever that takes."""
_ASKED_AT_ONCE = 512


@dataclass(frozen=True)
class _Level:
    """Subtrees of one height; their places of leaves, rows of a table, are made of those of lower ones."""

    condition: np.ndarray
    left: np.ndarray
    right: np.ndarray
    n_left: np.ndarray
    """How many leaves come before those on the right."""
    own: slice


class FlatTrees:
    """Adds up what trees say about rows, output by output, in the order of the trees.

    `root` has the trees, shape (n_stages, n_outputs), as places among the nodes: the condition at one is
    `row[feature] > threshold`, `children` has two places for each node, a leaf's being its own, and `value`
    is what a leaf says.
    """

    def __init__(
        self,
        root: np.ndarray,
        feature: np.ndarray,
        threshold: np.ndarray,
        children: np.ndarray,
        value: np.ndarray,
    ) -> None:
        self._n_stages, self._n_outputs = root.shape
        roots = root.ravel()
        left, right = children[::2], children[1::2]
        is_inner = left != np.arange(len(left))
        height, n_leaves = _measured(left, right, is_inner)
        row = self._ask(feature, threshold, is_inner)
        self._levels = self._subtrees(left, right, height, n_leaves, row)
        self._roots = row[roots]
        self._first_leaf = np.cumsum([0, *n_leaves[roots][:-1]], dtype=np.intp)[:, None]
        self._values = _in_order(roots, left, right, is_inner, n_leaves, value)
        self.suits = bool(n_leaves[roots].max() <= _MOST_LEAVES) and self._n_rows <= MOST_NODES * len(roots)
        """Whether all this pays."""
        self._block = max(_BYTES_AT_ONCE // (self._n_rows + 16 * len(roots)), _LEAST_AT_ONCE)
        self._room = _Room()
        self._is_in_use = threading.Lock()

    def _ask(self, feature: np.ndarray, threshold: np.ndarray, is_inner: np.ndarray) -> np.ndarray:
        """Prepare the conditions, the first rows of the table. Returns the row of each node's condition; a
        leaf's is the one after them, of zeros."""
        asked = np.stack([feature[is_inner].astype(np.float64), _rounded_down(threshold[is_inner])])
        (asked_of, limits), place = np.unique(asked, axis=1, return_inverse=True)
        features, least = asked_of.astype(np.intp), limits[:, None].astype(np.float32)
        parts = [slice(at, at + _ASKED_AT_ONCE) for at in range(0, len(limits), _ASKED_AT_ONCE)]
        self._asked = [(part, features[part], least[part]) for part in parts]
        self._n_asked = len(limits)
        row = np.full(len(feature), len(limits), dtype=np.intp)
        row[is_inner] = place.reshape(-1)
        return row

    def _subtrees(
        self, left: np.ndarray, right: np.ndarray, height: np.ndarray, n_leaves: np.ndarray, row: np.ndarray
    ) -> list[_Level]:
        """The subtrees from below; `row` becomes theirs. Above two leaves it is the condition's own."""
        condition = row.copy()
        self._n_rows = self._n_asked + 1
        levels = []
        for level in range(2, int(height.max()) + 1):
            node = np.flatnonzero(height == level)
            parts = np.stack([condition[node], row[left[node]], row[right[node]], n_leaves[left[node]]])
            (conditions, lefts, rights, n_left), place = np.unique(parts, axis=1, return_inverse=True)
            row[node] = self._n_rows + place.reshape(-1)
            own = slice(self._n_rows, self._n_rows + len(conditions))
            levels.append(_Level(conditions, lefts, rights, n_left.astype(np.uint8)[:, None], own))
            self._n_rows = own.stop
        return levels

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
        table = room.take("table", (self._n_rows, n_rows), np.uint8)
        answers = table[: self._n_asked].view(bool)
        for part, feature, limit in self._asked:
            values = room.take("asked", (len(feature), n_rows), np.float32)
            columns.take(feature, axis=0, mode="clip", out=values)
            np.greater(values, limit, out=answers[part])
        table[self._n_asked] = 0
        for level in self._levels:
            below, found = table[: level.own.start], table[level.own]
            left = room.take("left", found.shape, np.uint8)
            goes_right = room.take("goes right", found.shape, np.uint8)
            below.take(level.right, axis=0, mode="clip", out=found)
            below.take(level.left, axis=0, mode="clip", out=left)
            below.take(level.condition, axis=0, mode="clip", out=goes_right)
            # The difference may pass zero, and comes back with the sum.
            found += level.n_left
            found -= left
            found *= goes_right
            found += left
        leaf = room.take("left", (n_trees, n_rows), np.uint8)
        table.take(self._roots, axis=0, mode="clip", out=leaf)
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


def _measured(left: np.ndarray, right: np.ndarray, is_inner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each node how many levels are below it, and how many leaves."""
    height = np.zeros(len(left), dtype=np.intp)
    n_leaves = (~is_inner).astype(np.intp)
    waiting = np.flatnonzero(is_inner)
    while len(waiting):
        # A node is done once both of its children are.
        ready = (n_leaves[left[waiting]] > 0) & (n_leaves[right[waiting]] > 0)
        node, waiting = waiting[ready], waiting[~ready]
        height[node] = 1 + np.maximum(height[left[node]], height[right[node]])
        n_leaves[node] = n_leaves[left[node]] + n_leaves[right[node]]
    return height, n_leaves


def _in_order(
    roots: np.ndarray,
    left: np.ndarray,
    right: np.ndarray,
    is_inner: np.ndarray,
    n_leaves: np.ndarray,
    value: np.ndarray,
) -> np.ndarray:
    """What the leaves say, tree by tree, from left to right."""
    place = np.zeros(len(left), dtype=np.intp)
    place[roots] = np.cumsum([0, *n_leaves[roots][:-1]])
    node = roots
    while len(node):
        node = node[is_inner[node]]
        place[left[node]] = place[node]
        place[right[node]] = place[node] + n_leaves[left[node]]
        node = np.concatenate([left[node], right[node]])
    values = np.empty(int(n_leaves[roots].sum()))
    values[place[~is_inner]] = value[~is_inner]
    return values


def _rounded_down(limits: np.ndarray) -> np.ndarray:
    """As float32: a float32 is above the one where it is above the other."""
    with np.errstate(over="ignore"):
        rounded = limits.astype(np.float32)
    below = np.nextafter(rounded, np.float32(-np.inf))
    return np.where(rounded > limits, below, rounded)
