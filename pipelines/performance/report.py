"""The performance of a model version in a stretch of time, against its reference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.performance import classes as of_classes
from pipelines.performance import numbers as of_numbers
from pipelines.performance.counted import Counted, counted, with_spread
from pipelines.performance.estimate import estimated_figures
from pipelines.performance.figures import MIN_ROWS, Drop, Figure, drop_test, is_below
from pipelines.performance.lateness import coverage_of, latest_lags
from pipelines.performance.reference import PerformanceReference, point_of
from pipelines.performance.rows import Rows, read_rows
from store.predictions import PredictionReader

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from store.layout import Layout
    from store.profile import Profile
    from store.slices import Segment

DECIDING = {"binary": ("accuracy", "f1", "roc_auc"), "multiclass": ("accuracy", "f1"), "regression": ("mae",)}
"""Metrics whose drop says that the concept has changed."""
_PARTS = 3
_SEGMENT_FEATURES = 3
_SEGMENT_VALUES = 20


def performance_report(
    layout: Layout,
    model: str,
    version: int,
    role: str | None = "champion",
    *,
    start: datetime,
    end: datetime,
    reference: Profile | None = None,
    history: Sequence[Sequence[dict[str, Any]]] | None = None,
) -> list[dict[str, Any]]:
    """Each metric: {"metric", "value", "low", "high", "reference", "estimated", "dropped", …}.

    `below` says that this window alone is significantly (p < 0.01) and by at least a point worse than the
    reference; `dropped`, that 2 of the last 3 windows are: of `history`, the reports of the windows before,
    newest last, or where that isn't given, of the three thirds of the labelled rows. What is `estimated`
    without labels never drops. `reference` is the version's published one unless given.
    """
    details = performance_details(
        layout, model, version, role, start=start, end=end, reference=reference, history=history
    )
    metrics: list[dict[str, Any]] = details["metrics"]
    return metrics


def performance_details(
    layout: Layout,
    model: str,
    version: int,
    role: str | None = "champion",
    *,
    start: datetime,
    end: datetime,
    reference: Profile | None = None,
    history: Sequence[Sequence[dict[str, Any]]] | None = None,
    segments: Sequence[str] = (),
    segment: Segment | None = None,
) -> dict[str, Any]:
    """All there is to say: "metrics" (as performance_report), "coverage", "classes", "calibration",
    "segments" (by the values of these features), "residuals", "concept" and "note".

    Of one `segment` there is nothing to have dropped from: the reference is of all rows.

    Of very many rows, what the counts by five minutes tell is of all of them (accuracy, precision, recall,
    F1, errors), the rest of a part of them: "sampled" says of how many.
    """
    from store.references import read_reference
    from store.shared_reading import shared_reading

    profile = reference or read_reference(layout, model, version)
    reader = PredictionReader(layout)
    with shared_reading(layout), reader.opened() as connection:
        names = _classes(connection, model, version, profile)
        whole = counted(layout, model, version, role, start, end, names)
        rows = read_rows(
            connection,
            model,
            version,
            role,
            start,
            end,
            classes=names,
            segments=segments,
            stretches=() if whole is None else whole.stretches,
            segment=segment,
        )
        lags = latest_lags(connection, model, end)
    held = PerformanceReference.from_json(profile.performance if profile else None)
    if segment is not None and held is not None:
        held = replace(held, figures={})
    found = assess(rows, held, history=history, whole=None if segment is not None else whole)
    n, labelled = len(rows), int(rows.labelled.sum())
    if whole is not None and segment is None:
        n, labelled = whole.predictions, whole.labelled
        found["sampled"] = {"rows": len(rows), "of": n}
    found["coverage"] = coverage_of(lags, n, labelled, start, end)
    found["note"] = reader.note
    # Values beyond all bounds overflow; JSON has no word for what comes out.
    return {name: _without_infinities(value) for name, value in found.items()}


def segment_features(profile: Profile, watched: Sequence[str] = ()) -> list[str]:
    """Features worth looking at by value: those `watched` so, then categories of which there are few."""
    known = {feature.name for feature in profile.features}
    few = [
        feature.name
        for feature in profile.features
        if feature.is_categorical and 1 < len(feature.categories) <= _SEGMENT_VALUES
    ]
    chosen = [name for name in watched if name in known]
    return [*chosen, *[name for name in few if name not in chosen][: max(0, _SEGMENT_FEATURES - len(chosen))]]


@np.errstate(over="ignore", invalid="ignore")
def assess(
    rows: Rows,
    reference: PerformanceReference | None,
    *,
    history: Sequence[Sequence[dict[str, Any]]] | None = None,
    whole: Counted | None = None,
) -> dict[str, Any]:
    """What `performance_details` says of rows, or of the `whole` that they are a part of, but coverage."""
    labelled = rows.with_labels()
    metrics: list[dict[str, Any]] = []
    figures = figures_of_rows(labelled)
    parts = _parts(labelled) if history is None else []
    if whole is not None:
        figures = _with_counted(figures, whole.figures)
        if history is None:
            sampled = parts or [[]] * len(whole.parts)
            parts = [_with_counted(few, all_) for few, all_ in zip(sampled, whole.parts, strict=True)]
    for figure in figures:
        if not math.isfinite(figure.value):
            continue
        drop, below = _against(figure, reference)
        votes = [
            any(_against(one, reference)[1] for one in part if one.metric == figure.metric) for part in parts
        ]
        if history is not None:
            votes = [*(_was_below(report, figure.metric) for report in history[-(_PARTS - 1) :]), below]
        metrics.append(
            _entry(
                figure,
                reference,
                drop,
                below=below,
                dropped=(below or history is not None) and sum(votes) >= 2,
            )
        )
    if reference is not None:
        metrics += [
            _entry(figure, reference, None, estimated=True) for figure in estimated_figures(rows, reference)
        ]
    found: dict[str, Any] = {
        "metrics": metrics,
        "classes": [],
        "calibration": None,
        "residuals": None,
        "segments": [],
        "concept": _concept(rows, metrics),
        "sampled": None,
    }
    if rows.classes is not None:
        matrix = None if whole is None else whole.matrix
        if matrix is None:
            matrix = of_classes.confusion(rows)
        found["classes"] = of_classes.per_class(matrix, rows.classes)
        found["calibration"] = of_classes.calibration_of(rows)
    elif len(labelled):
        residual = labelled.actual - labelled.predicted
        known = reference.residuals if reference is not None and reference.figures else None
        held = None if known is None else dict(known)
        found["residuals"] = of_numbers.residual_change(residual, held)
    by_segment = of_numbers.by_segment if rows.classes is None else of_classes.by_segment
    for feature in rows.segments:
        found["segments"] += by_segment(rows, feature)
    return found


def figures_of_rows(rows: Rows) -> list[Figure]:
    """Figures of rows that are all labelled."""
    if not len(rows):
        return []
    if rows.classes is None:
        return of_numbers.figures(rows.actual, rows.predicted)
    found = of_classes.figures_of_confusion(of_classes.confusion(rows), len(rows.classes))
    return found + of_classes.figures_of_scores(rows)


def _with_counted(sample: list[Figure], whole: Sequence[Figure]) -> list[Figure]:
    """The figures of all rows, where the counts tell them, and of some rows the others."""
    known = {figure.metric: figure for figure in whole}
    order = list(dict.fromkeys([*(figure.metric for figure in sample), *known]))
    own = {figure.metric: figure for figure in sample}
    return [with_spread(known[metric], sample) if metric in known else own[metric] for metric in order]


def _parts(rows: Rows) -> list[list[Figure]]:
    """Figures of the three thirds of the rows in order of time."""
    if len(rows) < _PARTS * MIN_ROWS:
        return []
    return [figures_of_rows(rows.select(part)) for part in np.array_split(np.arange(len(rows)), _PARTS)]


def _against(figure: Figure, reference: PerformanceReference | None) -> tuple[Drop | None, bool]:
    held = None if reference is None else reference.figures.get(figure.metric)
    drop = None if held is None else drop_test(held, figure)
    return drop, is_below(drop, replace(figure, point=point_of(reference, figure)))


def _was_below(report: Sequence[dict[str, Any]], metric: str) -> bool:
    return any(one["metric"] == metric and bool(one.get("below")) for one in report)


def _entry(
    figure: Figure,
    reference: PerformanceReference | None,
    drop: Drop | None,
    *,
    below: bool = False,
    dropped: bool = False,
    estimated: bool = False,
) -> dict[str, Any]:
    held = None if reference is None else reference.figures.get(figure.metric)
    return {
        "metric": figure.metric,
        "value": figure.value,
        "low": _finite(figure.low),
        "high": _finite(figure.high),
        "reference": None if held is None else held.value,
        "estimated": estimated,
        "dropped": dropped,
        "below": below,
        "n": figure.n,
        "p_value": None if drop is None else drop.p_value,
        "smaller_is_better": figure.is_error,
    }


def _without_infinities(value: Any) -> Any:
    if isinstance(value, float):
        return _finite(value)
    if isinstance(value, dict):
        return {name: _without_infinities(one) for name, one in value.items()}
    return [_without_infinities(one) for one in value] if isinstance(value, list | tuple) else value


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _concept(rows: Rows, metrics: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Whether what the inputs mean has changed: a drop on labelled rows against the reference."""
    task = "regression" if rows.classes is None else "binary" if len(rows.classes) == 2 else "multiclass"
    dropped = [one for one in metrics if one["metric"] in DECIDING[task] and one["dropped"]]
    return {
        "alarm": bool(dropped),
        "metrics": [one["metric"] for one in dropped],
        "p_value": min((one["p_value"] for one in dropped), default=None),
    }


def _classes(
    connection: DuckDBPyConnection, model: str, version: int, profile: Profile | None
) -> tuple[str, ...] | None:
    """The classes in the model's order; without a reference those that were predicted, in order of name."""
    if profile is not None:
        return None if profile.task == "regression" else profile.prediction.categories
    labels = connection.execute(
        "SELECT DISTINCT label FROM predictions WHERE model = ? AND version = ? AND label IS NOT NULL"
        " ORDER BY 1 LIMIT 200",
        [model, version],
    ).fetchall()
    return tuple(label for (label,) in labels) or None
