"""Chooses the probability from which the positive class is predicted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.settings import CostsSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray


def choose_threshold(
    positive: NDArray[np.bool_], probability: NDArray[np.float64], aim: CostsSettings | str
) -> float:
    """The threshold with the best F1, or the least cost, on out-of-fold probabilities `(n_rows,)`.

    Lies midway between the two neighbouring probabilities, so that rounding decides nothing.
    """
    order = np.argsort(-probability, kind="stable")
    ranked, hits = probability[order], positive[order].astype(float)
    last_of_group = np.append(np.diff(ranked) != 0, True)
    true_positives = np.cumsum(hits)[last_of_group]
    predicted = np.arange(1, len(ranked) + 1)[last_of_group]
    levels = ranked[last_of_group]
    total = hits.sum()
    gain: NDArray[Any]
    if isinstance(aim, CostsSettings):
        wrong = (predicted - true_positives) * aim.false_positive
        missed = (total - true_positives) * aim.false_negative
        gain = -(wrong + missed)
    else:
        gain = 2 * true_positives / (predicted + total)
    best = int(np.argmax(gain))
    below = levels[best + 1] if best + 1 < len(levels) else 0.0
    if isinstance(aim, CostsSettings) and -total * aim.false_negative > gain[best]:
        below, best = 1.0, 0  # predicting nobody costs least
        return float(np.clip((levels[0] + 1.0) / 2, 1e-6, 1 - 1e-6))
    return float(np.clip(round((levels[best] + below) / 2, 6), 1e-6, 1 - 1e-6))
