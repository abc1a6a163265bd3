"""Rows in an order in which those that trees treat alike follow one another.

Of the time down a tree half goes into conditions whose outcome the processor guessed wrongly, and it guesses
by the rows before. So rows are sorted by their answers to what a model's trees ask most, the most telling
question first. Each row's own way, and so its prediction, stays what it was.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

RowOrder = Callable[["np.ndarray"], "np.ndarray"]
"""From rows to their positions in the order in which to go through them."""

_N_QUESTIONS = 32
"""What a key holds. With half of it forests take 3 % longer; with twice of it the keys cost what they win."""
_PIECE_ROWS = 16_384
"""Rows whose answers are held at once."""


def row_order(
    feature: np.ndarray, threshold: np.ndarray, left: np.ndarray, right: np.ndarray, count: np.ndarray
) -> RowOrder:
    """The order by the conditions `row[feature] > threshold` of trees, given node by node: where its children
    are, a leaf's being itself, and how many rows it learnt from. Without a finite threshold a node is no
    such condition.

    What counts is how often a condition parts two rows that follow one another by chance.
    """
    import numpy as np

    inner = np.flatnonzero((left != np.arange(len(left))) & np.isfinite(threshold))
    lefts, rights = count[left[inner]], count[right[inner]]
    # Rows can weigh nothing.
    weight = lefts * rights / np.maximum(lefts + rights, np.finfo(np.float64).tiny)
    asked = _questions(feature[inner], threshold[inner], weight)
    if not asked:
        return lambda rows: np.arange(len(rows))
    # Asked again where there are too few: the bits of a key that are left over change no order.
    asked += asked[-1:] * (_N_QUESTIONS - len(asked))
    features = np.array([question[0] for question in asked], dtype=np.intp)
    thresholds = np.array([question[1] for question in asked], dtype=threshold.dtype)

    def order(rows: np.ndarray) -> np.ndarray:
        keys = np.empty(len(rows), dtype=np.uint32)
        for start in range(0, len(rows), _PIECE_ROWS):
            piece = rows[start : start + _PIECE_ROWS]
            # "clip" spares a look at each index, and the result lies in memory row by row.
            answers = piece.take(features, axis=1, mode="clip") > thresholds
            keys[start : start + _PIECE_ROWS] = np.packbits(answers.ravel()).view(">u4")
        return keys.argsort()

    return order


def even_parts(n_rows: int, most: int) -> Iterator[slice]:
    """Parts of about the same size, of at most three rows or more. What many trees say about a single row,
    which might be left over, numpy would add up in another order than scikit-learn."""
    n_parts = -(-n_rows // most)
    for part in range(n_parts):
        yield slice(n_rows * part // n_parts, n_rows * (part + 1) // n_parts)


def _questions(feature: np.ndarray, threshold: np.ndarray, weight: np.ndarray) -> list[tuple[int, Any]]:
    """What to ask of a row, the most telling first: of each feature the median of its thresholds, then the
    quarters at half of its weight, and so on."""
    import numpy as np

    by_feature = np.lexsort((threshold, feature))
    threshold, weight = threshold[by_feature], weight[by_feature]
    found, starts = np.unique(feature[by_feature], return_index=True)
    ends = [*starts, len(threshold)][1:]
    sums = [weight[start:end].cumsum() for start, end in zip(starts, ends, strict=True)]
    waiting = [(-float(total[-1]), place, 0) for place, total in enumerate(sums)]
    heapq.heapify(waiting)
    asked: dict[tuple[int, Any], None] = {}
    while waiting and len(asked) < _N_QUESTIONS:
        _, place, turn = heapq.heappop(waiting)
        total = sums[place]
        at = min(int(total.searchsorted(total[-1] * _share(turn))), len(total) - 1)
        asked[int(found[place]), threshold[starts[place] + at].item()] = None
        if turn + 1 < _N_QUESTIONS:
            level = (turn + 2).bit_length() - 1
            heapq.heappush(waiting, (-float(total[-1]) / (1 << level), place, turn + 1))
    return list(asked)


def _share(turn: int) -> float:
    """1/2, 1/4, 3/4, 1/8, 3/8, 5/8, 7/8, 1/16 …"""
    level = (turn + 1).bit_length() - 1
    return (2 * (turn + 1 - (1 << level)) + 1) / (2 << level)
