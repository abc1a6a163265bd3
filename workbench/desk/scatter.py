"""A parameter of several runs against a metric: where in its range the good runs are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from store.run_compare import ComparedRow
    from workbench.desk.comparison import Comparison

_WIDE = 50.0
"""From this ratio of the largest value to the smallest on, orders of magnitude say more than differences."""


@dataclass(frozen=True)
class Scatter:
    """A point for each run that has both: its position in the comparison, x and the metric's value."""

    parameter: str
    metric: str
    points: tuple[tuple[int, float, float], ...]
    names: tuple[str, ...] = ()
    """Where the parameter is no number: its values, which stand at 0, 1, 2…"""

    is_log: bool = False
    missing: int = 0
    """How many runs lack one or the other."""


def plotted_parameters(comparison: Comparison) -> tuple[str, ...]:
    """The parameters that have at least two values among the runs."""
    return tuple(
        row.key for row in comparison.rows if row.kind == "param" and len({*row.values} - {None}) > 1
    )


def plotted_metrics(comparison: Comparison) -> tuple[str, ...]:
    """The metrics that at least two runs have, the most telling first."""
    return tuple(
        row.key
        for row in comparison.rows
        if row.kind == "metric" and sum(value is not None for value in row.values) > 1
    )


def scatter(comparison: Comparison, parameter: str, metric: str) -> Scatter:
    """The runs as points, from left to right. Numbers are placed as such only where all values are."""
    values = _values(comparison.rows, "param", parameter)
    outcomes = _values(comparison.rows, "metric", metric)
    known = [
        (place, str(value), float(outcome))
        for place, (value, outcome) in enumerate(zip(values, outcomes, strict=True))
        if value is not None and outcome is not None and math.isfinite(float(outcome))
    ]
    missing = len(comparison.runs) - len(known)
    numbers = [_number(value) for _, value, _ in known]
    if all(x is not None for x in numbers):
        points = sorted(
            ((place, x, y) for (place, _, y), x in zip(known, numbers, strict=True) if x is not None),
            key=lambda point: point[1],
        )
        xs = [x for _, x, _ in points]
        is_log = bool(xs) and xs[0] > 0 and xs[-1] / xs[0] >= _WIDE
        return Scatter(parameter, metric, tuple(points), is_log=is_log, missing=missing)
    names = tuple(sorted({value for _, value, _ in known}))
    placed = sorted(((place, float(names.index(value)), y) for place, value, y in known), key=lambda p: p[1])
    return Scatter(parameter, metric, tuple(placed), names, missing=missing)


def _values(rows: Sequence[ComparedRow], kind: str, key: str) -> tuple[str | float | None, ...]:
    return next((row.values for row in rows if row.kind == kind and row.key == key), ())


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
