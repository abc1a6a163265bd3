"""Runs side by side: what differs, by how much, and whether that is for the better."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from store.run_compare import ComparedRow, compare_runs
from workbench.desk.curves import Picture, overlay, picture_names
from workbench.desk.runs import list_runs, metric_names
from workbench.directions import has_direction, is_lower_better

if TYPE_CHECKING:
    from store.runs import Run
    from workbench.desk.desk import Desk


@dataclass(frozen=True)
class Comparison:
    """Runs in the order they were chosen; `missing` are the ids of those that are gone or deleted."""

    runs: tuple[Run, ...]
    baseline: int
    rows: tuple[ComparedRow, ...]
    pictures: tuple[str, ...]
    missing: tuple[str, ...] = ()


def compare(
    desk: Desk, run_ids: Sequence[str], baseline: str | None = None, before: Comparison | None = None
) -> Comparison:
    """Compare runs against `baseline` (the first unless it is among them).

    Returns `before` where nothing has changed since.
    """
    by_id = {run.run_id: run for run in list_runs(desk, watched=run_ids).runs}
    runs = tuple(by_id[run_id] for run_id in run_ids if run_id in by_id)
    position = next((place for place, run in enumerate(runs) if run.run_id == baseline), 0)
    if before is not None and before.runs == runs and before.baseline == position:
        return before
    rows = _telling_first(runs, compare_runs(runs, baseline=position)) if runs else ()
    names = list(dict.fromkeys(name for run in runs for name in picture_names(desk.runs, run)))
    missing = tuple(run_id for run_id in run_ids if run_id not in by_id)
    return Comparison(runs, position, rows, tuple(names), missing)


def _telling_first(runs: Sequence[Run], rows: Sequence[ComparedRow]) -> tuple[ComparedRow, ...]:
    """The metrics that say how good a run is, then those of how it went, then parameters."""
    telling, dull = metric_names(runs)
    order = {name: place for place, name in enumerate([*telling, *dull])}
    metrics = sorted((row for row in rows if row.kind == "metric"), key=lambda row: order[row.key])
    return (*metrics, *(row for row in rows if row.kind != "metric"))


def overlaid(desk: Desk, comparison: Comparison, picture: str) -> list[tuple[int, Picture]]:
    """One picture of every run that has it, with the run's position in the comparison."""
    places = {run.run_id: place for place, run in enumerate(comparison.runs)}
    found = overlay(desk.runs, comparison.runs, picture)
    return [(places[run.run_id], each) for run, each in found]


def distinct_names(runs: Sequence[Run]) -> list[str]:
    """The runs' names, with the beginning of their ids where two are called alike."""
    names = [run.name for run in runs]
    return names if len(set(names)) == len(names) else [f"{run.name} {run.run_id[:8]}" for run in runs]


def best_position(row: ComparedRow) -> int | None:
    """Position of the best value of a metric; None where none is better than all others."""
    if row.kind != "metric" or not has_direction(row.key):
        return None
    sign = -1 if is_lower_better(row.key) else 1
    scored = [
        (sign * value, place)
        for place, value in enumerate(row.values)
        if isinstance(value, (int, float)) and not math.isnan(value)
    ]
    if len(scored) < 2:
        return None
    scored.sort(reverse=True)
    return scored[0][1] if scored[0][0] > scored[1][0] else None


def is_improvement(metric: str, delta: float | None) -> bool | None:
    """Whether a difference is for the better; None where it is none, or where better has no meaning."""
    if delta is None or not math.isfinite(delta) or delta == 0 or not has_direction(metric):
        return None
    return (delta < 0) == is_lower_better(metric)
