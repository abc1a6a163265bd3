"""The part of the page about how well the model does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from store.findings import Finding
from workbench.performance_text import coverage_text, residual_text
from workbench.report_page import charts
from workbench.report_page.charts import Mark, number
from workbench.report_page.formats import (
    card,
    cell,
    drawn,
    figure,
    name,
    note,
    row,
    table,
    with_interval,
)
from workbench.report_page.words import main_metric, metric_name

MAX_CLASSES = 30
MAX_SEGMENTS = 60


def performance(
    report: Mapping[str, Any],
    details: Mapping[str, Any] | None,
    windows: Sequence[Finding],
    marks: Sequence[Mark],
) -> str:
    """Each metric with its interval against the reference, over time, and what lies behind it."""
    metrics = report.get("performance", ())
    if not metrics:
        return ""
    legend = "Band: 95 % interval; upright tick: the reference; hollow dot: estimated without outcomes."
    parts = [
        "<h2>Performance</h2>",
        note(f"{coverage_text(details)} {legend}".strip()),
        table(("metric", "from", "#value", "#95 %", "#reference", "", ""), map(_metric, metrics)),
        _over_time(metrics, windows, marks),
        _against(report.get("against")),
    ]
    if details is not None:
        parts += [_calibration(details), _classes(details), _residuals(details), _segments(details)]
    return "".join(parts)


def _against(found: Mapping[str, Any] | None) -> str:
    """Another version on the same rows."""
    if not found or not found.get("metrics"):
        return ""
    rows = [
        row(
            name(metric_name(one["metric"])),
            figure(number(one["champion"])),
            figure(number(one["challenger"])),
            figure(with_interval({**one, "value": one["difference"]})),
            figure(f"{one['probability_better']:.0%}"),
        )
        for one in found["metrics"]
    ]
    text = (
        f"Asked the same {found['rows']:,} rows; by a paired test. Surely: how sure it is that it is better."
    )
    version = f"version {found['version']}"
    head = ("metric", "#now", f"#{version}", "#better by", "#surely")
    return f"<h2>Against {version}</h2>{note(text)}{table(head, rows)}"


def _metric(one: Mapping[str, Any]) -> str:
    is_estimated = bool(one.get("estimated"))
    level = "critical" if one.get("dropped") else "warning" if one.get("below") else ""
    words = {"critical": "▼ dropped", "warning": "▽ below in this window"}
    bounds = f"{number(one['low'])} – {number(one['high'])}" if one.get("low") is not None else "—"
    source = "estimated" if is_estimated else f"{one['n']:,} outcomes" if one.get("n") else "measured"
    chart = charts.interval(
        one["value"], one.get("low"), one.get("high"), one.get("reference"), estimated=is_estimated
    )
    return row(
        name(metric_name(one["metric"])),
        cell(source),
        figure(f"<b>{number(one['value'])}</b>"),
        figure(bounds),
        figure(number(one.get("reference"))),
        drawn(chart),
        f'<td class="mark {level}">{words.get(level, "")}</td>',
    )


def _over_time(
    metrics: Sequence[Mapping[str, Any]], windows: Sequence[Finding], marks: Sequence[Mark]
) -> str:
    ordered = sorted((one for one in windows if one.performance), key=lambda one: one.end)
    metric = main_metric([one for one in metrics if not one.get("estimated")])
    if metric is None or len(ordered) < 2:
        return ""
    found = [
        next((m for m in one.performance if m["metric"] == metric["metric"] and not m.get("estimated")), {})
        for one in ordered
    ]
    chart = charts.over_time(
        [one.end for one in ordered],
        [one.get("value") for one in found],
        band=[(one.get("low"), one.get("high")) for one in found],
        marks=marks,
        reference=metric.get("reference"),
        from_zero=False,
        wide=True,
    )
    return card(f"{metric_name(metric['metric'])} by window", chart)


def _calibration(details: Mapping[str, Any]) -> str:
    found = details.get("calibration")
    if not found or not found.get("bins"):
        return ""
    points = [
        (one["predicted"], one["observed"], one["low"], one["high"], int(one["rows"]))
        for one in found["bins"]
    ]
    text = (
        f"Of {found['of']}, {found['rows']:,} outcomes: on the dashed line, what is predicted with 70 % "
        f"happens in 70 % of cases. Brier score {number(found['brier'])}, mean distance (ECE) "
        f"{number(found['ece'])}."
    )
    return f"<h2>Can the probabilities be believed?</h2>{note(text)}{charts.reliability(points)}"


def _classes(details: Mapping[str, Any]) -> str:
    found = [one for one in details.get("classes", ()) if one["actual"] or one["predicted"]]
    if len(found) < 2:
        return ""
    rows = [
        row(
            name(one["class"]),
            figure(f"{one['actual']:,}"),
            figure(f"{one['predicted']:,}"),
            *(figure(with_interval(one.get(metric))) for metric in ("precision", "recall", "f1")),
        )
        for one in found[:MAX_CLASSES]
    ]
    head = ("class", "#happened", "#predicted", "#precision", "#recall", "#F1")
    return f"<h2>By class</h2>{table(head, rows)}"


def _residuals(details: Mapping[str, Any]) -> str:
    text = residual_text(details)
    return f"<h2>Residuals</h2>{note(text)}" if text else ""


def _segments(details: Mapping[str, Any]) -> str:
    found = details.get("segments") or ()
    if not found:
        return ""
    rows = [
        row(
            name(one["feature"]),
            cell("missing" if one["value"] is None else one["value"]),
            figure(f"{one['predictions']:,}"),
            figure(f"{one['labelled']:,}"),
            figure(with_interval({**one, "value": one["mean"]})),
        )
        for one in found[:MAX_SEGMENTS]
    ]
    head = ("feature", "value", "#predictions", "#outcomes", f"#{metric_name(found[0]['metric'])}")
    return f"<h2>By segment</h2>{table(head, rows)}"
