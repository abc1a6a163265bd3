"""What differs between runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from store.runs import Run


@dataclass(frozen=True)
class ComparedRow:
    """One parameter or metric across runs, in their order; None where a run hasn't it.

    `deltas` are against the baseline: None for parameters and where either side is missing.
    """

    kind: Literal["param", "metric"]
    key: str
    values: tuple[str | float | None, ...]
    deltas: tuple[float | None, ...]
    differs: bool


def compare_runs(
    runs: Sequence[Run], *, baseline: int = 0, differences_only: bool = False
) -> list[ComparedRow]:
    """Parameters, then metrics, by name; `baseline` is the position of the run that deltas are against."""
    rows: list[ComparedRow] = []
    for key in sorted({key for run in runs for key in run.params}):
        params = tuple(run.params.get(key) for run in runs)
        rows.append(ComparedRow("param", key, params, (None,) * len(runs), len(set(params)) > 1))
    for key in sorted({key for run in runs for key in run.metrics}):
        metrics = tuple(run.metrics.get(key) for run in runs)
        deltas = tuple(_delta(value, metrics[baseline]) for value in metrics)
        rows.append(ComparedRow("metric", key, metrics, deltas, not _all_same(metrics)))
    return [row for row in rows if row.differs or not differences_only]


def _delta(value: float | None, base: float | None) -> float | None:
    return None if value is None or base is None else value - base


def _all_same(values: Sequence[float | None]) -> bool:
    """NaN equals NaN here: a metric that is undefined everywhere doesn't differ."""
    return len({"nan" if value is not None and math.isnan(value) else value for value in values}) <= 1
