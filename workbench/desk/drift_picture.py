"""What is drawn of one line of the Drift screen: its effect over time, and its two distributions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelines.drift.moments import days_of, moment_text
from workbench.desk.drift_rows import DriftRow, effect_in
from workbench.drift_shape import bars_of, has_bins_of_one_value

if TYPE_CHECKING:
    from workbench.desk.drift import DriftView


@dataclass(frozen=True)
class Line:
    """A threshold: its height, its name and its tone."""

    y: float
    label: str
    tone: str


@dataclass(frozen=True)
class EffectOverTime:
    """Points at the ends of windows, in seconds since the epoch; None is a gap."""

    title: str
    x: tuple[float, ...] = ()
    y: tuple[float | None, ...] = ()
    low: tuple[float | None, ...] = ()
    high: tuple[float | None, ...] = ()
    lines: tuple[Line, ...] = ()
    marks: tuple[tuple[float, str], ...] = ()


@dataclass(frozen=True)
class Distribution:
    """Counts of both sides in the same bins; of numbers `edges` lie around them, else `labels` name them."""

    reference: tuple[float, ...]
    current: tuple[float, ...]
    labels: tuple[str, ...]
    edges: tuple[float, ...] | None = None
    ends: tuple[str, str, str] | None = None
    """Beginning, middle and end in words, where the edges are times."""


def over_time(view: DriftView, row: DriftRow) -> EffectOverTime:
    """The effect of a feature, of the prediction or in a segment over the windows of the history.

    Of performance there is the value with its interval and what it was; of a check its column's effect.
    """
    row = pictured(view, row)
    if row.kind == "performance":
        return _performance(view, row)
    points: list[tuple[float, float | None]]
    if row.kind in ("check", "segment"):
        points = [(end.timestamp(), value) for end, value in zip(row.ends, row.trend, strict=True)]
    else:
        points = [(window.end.timestamp(), effect_in(window, row)) for window in view.history]
    if not points:
        return EffectOverTime(row.name)
    # From where its first window began, so that a short history has room on its left.
    begin = min([points[0][0], *(window.start.timestamp() for window in view.history[:1])])
    points.insert(0, (begin, None))
    x = tuple(at for at, _ in points)
    limits = row.source.get("thresholds") or {"warning": 0.10, "critical": 0.25}
    lines = (
        Line(limits["critical"], "critical", "error"),
        Line(limits["warning"], "warning", "warning"),
    )
    what = row.source.get("effect_of", "shape")
    return EffectOverTime(
        title=f"{row.name} · effect ({'missing' if what == 'missing' else 'PSI'}), {view.windows}",
        x=x,
        y=tuple(value for _, value in points),
        lines=lines,
        marks=_marks(view, x),
    )


def pictured(view: DriftView, row: DriftRow) -> DriftRow:
    """The line that is drawn where this one is shown: of a check that of its column."""
    if row.kind != "check" or not row.source.get("feature"):
        return row
    wanted = f"feature:{row.source['feature']}"
    return next((one for one in view.rows if one.id == wanted), row)


def distribution(row: DriftRow) -> Distribution | None:
    """Reference against current; None where a row has no distribution."""
    shape = row.source.get("distribution")
    if not shape or not shape["labels"]:
        return None
    edges, bars = shape.get("edges"), bars_of(row.source)
    if not edges or row.source.get("kind") == "boolean" or has_bins_of_one_value(row.source):
        return Distribution(bars.reference, bars.current, bars.labels)
    closed, ends = _closed(edges, is_share=row.source.get("name") == "score"), None
    if row.source.get("kind") == "datetime":
        days = days_of([closed[0], (closed[0] + closed[-1]) / 2, closed[-1]])
        ends = (moment_text(days[0]), moment_text(days[1]), moment_text(days[2]))
    return Distribution(
        tuple(shape["reference"]), tuple(shape["current"]), tuple(map(str, shape["labels"])), closed, ends
    )


def segments_of(view: DriftView, row: DriftRow | None) -> Sequence[Mapping[str, Any]]:
    """How well the version does by segment, beside a line of its measured performance."""
    if row is None or row.kind != "performance" or row.source.get("estimated") or view.report is None:
        return ()
    found = (view.report.get("performance_details") or {}).get("segments") or ()
    return [one for one in found if one["mean"] is not None]


def _closed(edges: Sequence[float], *, is_share: bool = False) -> tuple[float, ...]:
    """The inner edges with an outer one on either side: the first and last bin are open, and drawn as wide
    as the mean of the others, but not beyond zero, nor the last of a share beyond one."""
    step = (edges[-1] - edges[0]) / (len(edges) - 1) if len(edges) > 1 else abs(edges[0]) or 1.0
    low, high = edges[0] - step, edges[-1] + step
    if low < 0 < edges[0]:
        low = 0.0
    return (low, *edges, 1.0 if is_share and edges[-1] < 1 < high else high)


def _marks(view: DriftView, x: Sequence[float]) -> tuple[tuple[float, str], ...]:
    return tuple(
        (one.at.timestamp(), one.label)
        for one in view.deployments
        if x and x[0] <= one.at.timestamp() <= x[-1]
    )


def _performance(view: DriftView, row: DriftRow) -> EffectOverTime:
    """The metric in each window, with its confidence band where one is known; what it was is a line."""
    source: Mapping[str, Any] = row.source
    metric, was = source["metric"], source.get("reference")
    is_estimated = bool(source.get("estimated"))
    measured: list[_Measured] = []
    for one in () if is_estimated else view.performance:
        figure = one.figures.get(metric)
        values = (None, None, None) if figure is None else (figure.value, figure.low, figure.high)
        measured.append((one.end.timestamp(), *values))
    when = f"{view.windows}, by the time of the prediction"
    if not any(value is not None for _, value, _, _ in measured):
        at = view.history[-1].end.timestamp() if view.history else 0.0
        measured = [] if row.value is None else [(at, row.value, source.get("low"), source.get("high"))]
        when = "estimated before labels come" if is_estimated else "all of its labelled predictions"
    if measured and view.history:
        begin = min(view.history[0].start.timestamp(), measured[0][0])
        measured.insert(0, (begin, None, None, None))
    x = tuple(at for at, _, _, _ in measured)
    return EffectOverTime(
        title=f"{row.name} · {when}",
        x=x,
        y=tuple(value for _, value, _, _ in measured),
        low=tuple(low for _, _, low, _ in measured),
        high=tuple(high for _, _, _, high in measured),
        lines=() if was is None else (Line(was, "was", "muted"),),
        marks=_marks(view, x),
    )


_Measured = tuple[float, float | None, float | None, float | None]
"""When, the value, and what bounds it with 95 % confidence where that is known."""
