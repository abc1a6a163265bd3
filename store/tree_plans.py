"""Plans of forests and gradient boosting: the walk down their trees, and the sum of what their leaves say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from store.flat_trees import LEAST_ROWS, MOST_NODES, FlatTrees
from store.plans import MOST_ROWS, Answer, probe_batches
from store.row_order import RowOrder, even_parts, row_order

if TYPE_CHECKING:
    import numpy as np

    from store.plans import Plan

_BLOCK_ROWS = 1_024
"""Rows whose leaves in all trees are held at once."""
_LEAST_ORDERED = 32
"""Rows from which scikit-learn's loop over all trees is quicker for their order than the order takes."""


def forest_plan(estimator: Any, trees: Sequence[Any], *, takes_missing: bool = False) -> Plan | None:
    """The plan of a tree or of a forest of trees, which may know the way of missing values."""
    import numpy as np

    width = _width(estimator, trees)
    if estimator.n_outputs_ != 1 or width is None:
        return None
    nodes = _Trees(trees)
    is_regression = not hasattr(estimator, "classes_")
    n_values = nodes.value.shape[1]
    in_order = nodes.row_order()
    by_class = [np.ascontiguousarray(nodes.value[:, column]) for column in range(n_values)]

    def few(rows: np.ndarray) -> np.ndarray:
        # One tree after the other, as scikit-learn adds them up: a pairwise sum would round otherwise.
        leaves = nodes.leaves_of_few(rows)
        return np.add.accumulate(nodes.value.take(leaves, axis=0), axis=1)[:, -1]

    def many(rows: np.ndarray) -> np.ndarray:
        total = np.empty((len(rows), n_values))
        order = in_order(rows)
        for part in even_parts(len(rows), _BLOCK_ROWS):
            block = order[part]
            leaves = nodes.leaves_of_many(rows.take(block, axis=0))
            for column, values in enumerate(by_class):
                # Down the first axis numpy adds row upon row, so here too tree after tree.
                total[block, column] = np.add.reduce(values.take(leaves), axis=0)
        return total

    def plan(X: np.ndarray) -> Answer | None:
        rows = _narrowed(X, width, takes_missing=takes_missing)
        if rows is None:
            return None
        total = few(rows) if len(rows) <= MOST_ROWS else many(rows)
        total /= len(trees)
        return Answer(total[:, 0] if is_regression else total)

    return plan


def boosting_plan(estimator: Any) -> Plan | None:
    """The plan of scikit-learn's gradient boosting."""
    import numpy as np
    from sklearn.dummy import DummyClassifier, DummyRegressor

    try:
        # Its own loop over all trees, which is a call for all of them.
        from sklearn.ensemble._gradient_boosting import predict_stages
    except ImportError:
        return None
    if estimator.init_ != "zero" and type(estimator.init_) not in (DummyClassifier, DummyRegressor):
        return None
    stages, rate = estimator.estimators_, estimator.learning_rate
    width = _width(estimator, stages.ravel())
    if width is None:
        return None
    nodes = _Trees(stages.ravel())
    in_order = nodes.row_order()
    start = estimator._raw_predict_init(np.zeros((1, width), dtype=np.float32))[0]
    is_regression = not hasattr(estimator, "classes_")
    probabilities = None if is_regression else estimator._loss.predict_proba
    flat = nodes.flat(stages.shape, rate)
    if flat is not None and not _adds_up(flat, estimator, width, len(start), predict_stages):
        flat = None

    def plan(X: np.ndarray) -> Answer | None:
        rows = _narrowed(X, width)
        if rows is None:
            return None
        raw = np.empty((len(rows), len(start)))
        raw[:] = start
        if flat is not None and len(rows) >= LEAST_ROWS:
            flat.add_up(rows, raw)
        elif len(rows) < _LEAST_ORDERED:
            predict_stages(stages, rows, rate, raw)
        else:
            order = in_order(rows)
            ordered = raw.copy()  # all rows begin alike
            predict_stages(stages, rows.take(order, axis=0), rate, ordered)
            raw[order] = ordered
        if probabilities is None:
            return Answer(raw[:, 0])
        if len(start) == 1:
            return Answer(probabilities(raw[:, 0]), (raw[:, 0] >= 0).astype(int))
        return Answer(probabilities(raw), raw.argmax(axis=1))

    return plan


def _adds_up(flat: FlatTrees, estimator: Any, width: int, n_outputs: int, predict_stages: Any) -> bool:
    """Whether sums have scikit-learn's bits: on some processors it multiplies and adds with one rounding."""
    import numpy as np

    rows = _narrowed(probe_batches(estimator, width)[-1], width)
    if rows is None:
        return False
    ours, theirs = np.zeros((2, len(rows), n_outputs))
    flat.add_up(rows, ours)
    predict_stages(estimator.estimators_, rows, estimator.learning_rate, theirs)
    return np.array_equal(ours, theirs)


def _width(estimator: Any, trees: Sequence[Any]) -> int | None:
    """The number of features; None where the trees, which look at a row without asking, disagree about it."""
    width = int(estimator.n_features_in_)
    return width if all(tree.tree_.n_features == width for tree in trees) else None


def _narrowed(X: np.ndarray, width: int, *, takes_missing: bool = False) -> np.ndarray | None:
    """The rows as trees compare them; None for rows and values that trees may treat otherwise."""
    import numpy as np

    if X.ndim != 2 or X.shape[1] != width:
        return None
    with np.errstate(over="ignore"):
        rows = X.astype(np.float32, order="C")
    if np.isfinite(rows).all() or (takes_missing and not np.isinf(rows).any()):
        return rows
    return None


class _Trees:
    """The nodes of many trees, and in flat arrays."""

    def __init__(self, trees: Sequence[Any]) -> None:
        import numpy as np

        parts = [tree.tree_ for tree in trees]
        starts = np.cumsum([0, *(part.node_count for part in parts[:-1])])
        self.roots = starts.astype(np.intp)
        self.depth = max(part.max_depth for part in parts)
        self.feature = np.concatenate([np.maximum(part.feature, 0) for part in parts]).astype(np.intp)
        self.threshold = np.concatenate([part.threshold for part in parts])
        self.missing_goes_right = ~np.concatenate([part.missing_go_to_left for part in parts]).astype(bool)
        self.value = np.concatenate([part.value[:, 0, :] for part in parts])
        children = np.empty((len(self.feature), 2), dtype=np.intp)
        for start, part in zip(starts, parts, strict=True):
            end = start + part.node_count
            own = np.arange(part.node_count)
            is_leaf = part.children_left < 0
            # A leaf leads to itself, so that trees of less depth wait there for the others.
            children[start:end, 0] = start + np.where(is_leaf, own, part.children_left)
            children[start:end, 1] = start + np.where(is_leaf, own, part.children_right)
        self.children = children.ravel()
        self._parts = parts

    def row_order(self) -> RowOrder:
        """The order for rows as `_narrowed` makes them."""
        import numpy as np

        with np.errstate(over="ignore"):
            threshold = self.threshold.astype(np.float32)
        count = np.concatenate([part.weighted_n_node_samples for part in self._parts])
        return row_order(self.feature, threshold, self.children[::2], self.children[1::2], count)

    def flat(self, shape: tuple[int, ...], rate: float) -> FlatTrees | None:
        """What finds the leaves of small trees in its own way, and adds up what they say; None where that
        doesn't pay: of so many nodes, half of them leaves, hardly two in three are those of other trees."""
        if not self.depth or len(self.feature) > 6 * MOST_NODES * len(self.roots):
            return None
        value = self.value[:, 0] * rate
        flat = FlatTrees(self.roots.reshape(shape), self.feature, self.threshold, self.children, value)
        return flat if flat.suits else None

    def leaves_of_few(self, rows: np.ndarray) -> np.ndarray:
        """Positions of the leaves, shape (n_rows, n_trees): down all trees at once, a level at a time."""
        import numpy as np

        cells = rows.astype(np.float64).ravel()
        first_cells = (np.arange(len(rows)) * rows.shape[1])[:, None]
        node = np.broadcast_to(self.roots, (len(rows), len(self.roots)))
        is_whole = not np.isnan(cells).any()
        for _ in range(self.depth):
            value = cells.take(self.feature.take(node) + first_cells)
            goes_right = value > self.threshold.take(node)
            if not is_whole:
                goes_right = np.where(np.isnan(value), self.missing_goes_right.take(node), goes_right)
            node = self.children.take(2 * node + goes_right)
        return node

    def leaves_of_many(self, rows: np.ndarray) -> np.ndarray:
        """The same, shape (n_trees, n_rows): each tree by its own compiled loop over the rows."""
        import numpy as np

        leaves = np.empty((len(self._parts), len(rows)), dtype=np.intp)
        for own, root, part in zip(leaves, self.roots, self._parts, strict=True):
            np.add(part.apply(rows), root, out=own)
        return leaves
