"""The plan of scikit-learn's histogram gradient boosting: all its conditions at once, then down its trees."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from store.plans import Answer
from store.row_order import RowOrder, row_order

if TYPE_CHECKING:
    import numpy as np

    from store.plans import Plan

_MOST_ROWS = 12
"""Rows up to which they are gone through one by one; for more, a call for each tree is quicker."""
_CATEGORIES = 256


def histogram_plan(estimator: Any) -> Plan | None:
    """The plan; None for versions and settings whose inner parts aren't the known ones."""
    import numpy as np

    stages = estimator._predictors
    prepare = _preparation(estimator)
    if prepare is None or not stages:
        return None
    start = np.asarray(estimator._baseline_prediction, dtype=np.float64).reshape(-1)
    n_outputs = len(start)
    bitsets, places = estimator._bin_mapper.make_known_categories_bitsets()
    nodes = _Nodes([tree for stage in stages for tree in stage], bitsets, places)
    in_order = nodes.row_order()
    is_regression = not hasattr(estimator, "classes_")
    loss = estimator._loss
    width = int(estimator.n_features_in_)

    def few(rows: np.ndarray) -> np.ndarray:
        raw = np.empty((len(rows), n_outputs), order="F")
        for position, row in enumerate(rows):
            values = np.empty((len(stages) + 1, n_outputs))
            values[0] = start
            values[1:] = nodes.values_of(row).reshape(len(stages), n_outputs)
            # From the first tree to the last, as scikit-learn adds them up.
            raw[position] = np.add.accumulate(values, axis=0)[-1]
        return raw

    def many(rows: np.ndarray) -> np.ndarray:
        order = in_order(rows)
        rows = rows.take(order, axis=0)
        ordered = np.zeros((len(rows), n_outputs), order="F")
        ordered += start
        for stage in stages:
            for output, tree in enumerate(stage):
                values = tree.predict(rows, known_cat_bitsets=bitsets, f_idx_map=places, n_threads=1)
                ordered[:, output] += values
        raw = np.empty_like(ordered)
        raw[order] = ordered
        return raw

    def plan(X: np.ndarray) -> Answer | None:
        if X.ndim != 2 or X.shape[1] != width:
            return None
        rows = prepare(X)
        if rows is None:
            return None
        raw = few(rows) if len(rows) <= _MOST_ROWS else many(rows)
        if is_regression:
            return Answer(loss.link.inverse(raw.ravel()))
        chosen = (raw[:, 0] > 0).astype(int) if n_outputs == 1 else raw.argmax(axis=1)
        return Answer(loss.predict_proba(raw), chosen)

    return plan


def _preparation(estimator: Any) -> Callable[[np.ndarray], np.ndarray | None] | None:
    """What is done to the rows first: categories become their numbers, and come before all else."""
    import numpy as np

    own = getattr(estimator, "_preprocessor", None)
    if own is None:
        return lambda X: X
    found = {name: (part, places) for name, part, places in own.transformers_}
    if set(found) - {"remainder"} != {"encoder", "numerical"}:
        return None
    encoder, is_category = found["encoder"]
    order = np.concatenate([np.flatnonzero(is_category), np.flatnonzero(found["numerical"][1])])
    known = [np.asarray(values, dtype=np.float64) for values in encoder.categories_]
    known = [values[~np.isnan(values)] for values in known]
    if any((np.diff(values) <= 0).any() or not len(values) for values in known):
        return None

    def prepare(X: np.ndarray) -> np.ndarray | None:
        rows = X[:, order]
        for place, values in enumerate(known):
            given = rows[:, place]
            codes = np.minimum(values.searchsorted(given), len(values) - 1)
            rows[:, place] = np.where(values.take(codes) == given, codes, np.nan)
        return rows

    return prepare


class _Nodes:
    """The nodes of all trees in flat arrays."""

    def __init__(self, trees: list[Any], known_bitsets: Any, places: Any) -> None:
        import numpy as np

        nodes = np.concatenate([tree.nodes for tree in trees])
        counts = [len(tree.nodes) for tree in trees]
        starts = np.cumsum([0, *counts[:-1]])
        shift = np.repeat(starts, counts)
        is_leaf = nodes["is_leaf"].astype(bool)
        own = np.arange(len(nodes))
        self.roots = starts.astype(np.intp)
        self.depth = int(nodes["depth"].max())
        self.value = nodes["value"].copy()
        self.feature = np.where(is_leaf, 0, nodes["feature_idx"]).astype(np.intp)
        self.threshold = np.where(is_leaf, np.inf, nodes["num_threshold"])
        self.missing_left = nodes["missing_go_to_left"].astype(bool)
        # A leaf leads to itself, so that trees of less depth wait there for the others.
        self.left = np.where(is_leaf, own, nodes["left"].astype(np.intp) + shift)
        self.right = np.where(is_leaf, own, nodes["right"].astype(np.intp) + shift)
        self.categorical = np.flatnonzero(~is_leaf & nodes["is_categorical"].astype(bool))
        self.category_feature = self.feature[self.categorical]
        self.category_left = self._category_ways(trees, counts, nodes, known_bitsets, places)
        self.count = nodes["count"].astype(np.float64)

    def row_order(self) -> RowOrder:
        """The order for rows as they are prepared. Categories have no threshold."""
        import numpy as np

        threshold = self.threshold.copy()
        threshold[self.categorical] = np.inf
        return row_order(self.feature, threshold, self.left, self.right, self.count)

    def _category_ways(
        self, trees: list[Any], counts: list[int], nodes: Any, known_bitsets: Any, places: Any
    ) -> np.ndarray:
        """Whether a category goes left, shape (n_categorical_nodes, 256)."""
        import numpy as np

        ways = np.zeros((len(self.categorical), _CATEGORIES), dtype=bool)
        tree_of = np.repeat(np.arange(len(trees)), counts)
        for position, node in enumerate(self.categorical):
            goes_left = _bits(trees[tree_of[node]].raw_left_cat_bitsets[nodes["bitset_idx"][node]])
            is_known = _bits(known_bitsets[places[self.feature[node]]])
            ways[position] = goes_left | (~is_known & self.missing_left[node])
        return ways

    def values_of(self, row: np.ndarray) -> np.ndarray:
        """What each tree says about a row, shape (n_trees,)."""
        import numpy as np

        value = row.take(self.feature)
        goes_left = value <= self.threshold
        missing = np.isnan(row)
        if missing.any():
            goes_left = np.where(missing.take(self.feature), self.missing_left, goes_left)
        if len(self.categorical):
            codes = row.take(self.category_feature)
            is_code = codes >= 0  # missing ones are no number, and so not
            ways = self.category_left[
                np.arange(len(codes)), np.where(is_code, codes, 0).astype(np.intp) % _CATEGORIES
            ]
            goes_left[self.categorical] = np.where(is_code, ways, self.missing_left[self.categorical])
        following = np.where(goes_left, self.left, self.right)
        node = self.roots
        for _ in range(self.depth):
            node = following.take(node)
        return self.value.take(node)


def _bits(words: Any) -> np.ndarray:
    """The 256 bits of a set as booleans."""
    import numpy as np

    return np.unpackbits(np.asarray(words, dtype="<u4").view(np.uint8), bitorder="little").astype(bool)
