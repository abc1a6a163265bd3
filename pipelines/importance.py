"""Permutation importance of the raw columns: how much worse the model gets when one is shuffled."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.metrics import Metric, Scores

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

_ROWS = 300
_REPEATS = 3
_CALL_ROWS = 60_000
"""Rows shuffled in all, and asked for at once: one large predict costs a fraction of many small ones."""


def permutation_importance(
    answer: Callable[[pd.DataFrame], Scores],
    X: pd.DataFrame,
    y: NDArray[Any],
    metric: Metric,
    *,
    seed: int,
) -> dict[str, dict[str, float]]:
    """By column: mean and standard deviation of the metric's loss over a few shuffles of sampled rows."""
    import pandas as pd

    generator = np.random.default_rng(seed)
    n_columns = max(X.shape[1], 1)
    repeats = _REPEATS if n_columns * _REPEATS * 50 <= _CALL_ROWS else 1
    n_rows = int(np.clip(_CALL_ROWS // (n_columns * repeats), 20, _ROWS))
    if len(X) > n_rows:
        rows = generator.choice(len(X), n_rows, replace=False)
        X, y = X.iloc[rows], y[rows]
    X = X.reset_index(drop=True)
    n_rows = len(X)
    base = metric.compute(y, answer(X), None)
    per_call = max(_CALL_ROWS // max(n_rows * repeats, 1), 1)
    importances: dict[str, dict[str, float]] = {}
    names = list(X.columns)
    for start in range(0, len(names), per_call):
        batch = names[start : start + per_call]
        shuffled = []
        for name in batch:
            for _ in range(repeats):
                order = generator.permutation(n_rows)
                part = X.copy(deep=False)
                part[name] = X[name].iloc[order].reset_index(drop=True)
                shuffled.append(part)
        scores = answer(pd.concat(shuffled, ignore_index=True))
        for position, name in enumerate(batch):
            losses = []
            for turn in range(repeats):
                first = (position * repeats + turn) * n_rows
                answers = scores.rows(np.arange(first, first + n_rows))
                losses.append(metric.better_by(base, metric.compute(y, answers, None)))
            known = [loss for loss in losses if np.isfinite(loss)]
            if known:
                importances[str(name)] = {"mean": float(np.mean(known)), "std": float(np.std(known))}
    return dict(sorted(importances.items(), key=lambda item: -item[1]["mean"]))
