"""The parts of the page. Every text from outside goes through `escape`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any

from pipelines.drift.moments import moment_text
from store.alerts import Alert
from store.findings import Finding
from workbench.drift_shape import bars_of
from workbench.report_page import charts
from workbench.report_page.charts import Mark, number
from workbench.report_page.formats import (
    card,
    cell,
    change,
    count,
    drawn,
    figure,
    mark,
    name,
    note,
    p_value,
    row,
    share,
    table,
    when,
)
from workbench.report_page.words import (
    HOW_TO_READ,
    MARKS,
    OF_FILES,
    main_metric,
    metric_name,
    severity,
    slice_name,
    verdict,
)

MAX_CARDS = 12
MAX_ROWS = 60
MAX_FOLDED = 200
MAX_ALERTS = 40
_KEY = '<p class="key"><i class="is-reference"></i>reference<i class="is-now"></i>{}</p>'


def banner(report: Mapping[str, Any]) -> str:
    """The verdict, and why."""
    level = severity(report)
    headline, sentences = verdict(report)
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    strong = f"<strong>{MARKS[level]} {escape(headline)}</strong>"
    return f'<div class="verdict {level}">{strong}<ul>{items}</ul></div>'


def tiles(report: Mapping[str, Any], coverage: Mapping[str, Any] | None) -> str:
    """The figures at the head of the page."""
    features = report.get("features", ())
    flagged = sum(one["severity"] in ("warning", "critical") for one in features)
    prediction = report.get("prediction") or {}
    found = [
        (f"{report.get('current_rows') or 0:,}", f"rows in {slice_name(report)}"),
        (count(report.get("reference_rows")), "rows in the reference"),
        (f"{flagged} of {len(features)}", "features drifted"),
    ]
    if prediction:
        found.append((charts.effect(prediction.get("effect")), "drift of the predictions (effect)"))
    metric = main_metric(report.get("performance", ()))
    if metric is not None:
        how = "estimated" if metric.get("estimated") else f"was {number(metric.get('reference'))}"
        found.append((number(metric["value"]), f"{metric_name(metric['metric'])}, {how}"))
    if coverage and coverage.get("coverage") is not None:
        found.append((f"{coverage['coverage']:.0%}", "have a true outcome by now"))
    cells = "".join(
        f'<div class="tile"><b>{escape(value)}</b><span>{escape(label)}</span></div>'
        for value, label in found
    )
    return f'<div class="tiles">{cells}</div>'


def ranking(features: Sequence[Mapping[str, Any]]) -> str:
    """The table of all features."""
    if not features:
        return ""
    has_importance = any(one.get("importance") is not None for one in features)
    head = ["feature", "", "#effect", "", "#adjusted p", "#mean", "#missing"]
    head += ["#importance"] if has_importance else []
    rows = [_row(one, has_importance) for one in features]
    more = ""
    if len(rows) > MAX_ROWS:
        rest = table([], rows[MAX_ROWS:])
        more = f"<details><summary>{len(rows) - MAX_ROWS} more features</summary>{rest}</details>"
    order = "effect × importance for the model" if has_importance else "effect"
    return (
        "<h2>Features, those that matter most first</h2>"
        + note(f"Ordered by {order}. Dashes on the scale: warning and critical.")
        + table([*head, "why"], rows[:MAX_ROWS])
        + more
    )


def distributions(report: Mapping[str, Any]) -> str:
    """Small charts of the flagged features; the others folded away."""
    features = report.get("features", ())
    shown = [one for one in features if (one.get("distribution") or {}).get("labels")]
    if not shown:
        return ""
    first = ([one for one in shown if one.get("flagged")] or shown)[:MAX_CARDS]
    rest = [one for one in shown if one not in first]
    more = ""
    if rest:
        cards = "".join(map(_distribution, rest[:MAX_FOLDED]))
        summary = f"<summary>{len(rest)} more features</summary>"
        more = f'<details>{summary}<div class="cards">{cards}</div></details>'
    cards = "".join(map(_distribution, first))
    now = slice_name(report)
    key = _KEY.format(escape(now.removeprefix("the ")))
    return f'<h2>Reference against {escape(now)}</h2>{key}<div class="cards">{cards}</div>{more}'


def prediction(report: Mapping[str, Any]) -> str:
    """What the model predicts, against the reference."""
    found = report.get("prediction")
    if not found:
        return ""
    what = "the probability" if found.get("name") == "score" else "what is predicted"
    chart = _distribution({**found, "name": "prediction"})
    text = note(f"Drift of {what}: {found.get('reason') or ''}")
    return f'<h2>Predictions</h2>{text}<div class="cards">{chart}</div>'


def over_time(windows: Sequence[Finding], report: Mapping[str, Any], marks: Sequence[Mark]) -> str:
    """Effects by window, oldest first: the prediction and the features that matter most."""
    features: Sequence[Mapping[str, Any]] = report.get("features", ())
    ordered = sorted(windows, key=lambda one: one.end)
    if len(ordered) < 2:
        return ""
    moments = [one.end for one in ordered]
    cards = []
    if any(one.prediction for one in ordered):
        found = [one.prediction for one in ordered]
        limits = (report.get("prediction") or {}).get("thresholds") or {"warning": 0.10, "critical": 0.20}
        cards.append(_effect_card("prediction", moments, found, marks, limits))
    for one in features[: MAX_CARDS - 1]:
        verdicts = [window.features.get(one["name"]) for window in ordered]
        cards.append(_effect_card(one["name"], moments, verdicts, marks, one.get("thresholds") or {}))
    text = (
        f"{len(ordered)} windows from {when(ordered[0].start)} to {when(ordered[-1].end)}; dashed lines are "
        "thresholds, dotted ones changes of the version in production."
    )
    return f'<h2>Effect over time</h2>{note(text)}<div class="cards">{"".join(cards)}</div>'


def checks(report: Mapping[str, Any]) -> str:
    """What else is wrong: values out of range, copies, silence."""
    found = [
        one
        for one in report.get("checks", ())
        if one.get("severity") != "ok" or one.get("kind") == "new_categories"
    ]
    if not found:
        return ""
    rows = [
        row(
            drawn(mark(one.get("severity", "watch"))),
            name(str(one.get("kind", "")).replace("_", " ")),
            cell(one.get("message", "")),
        )
        for one in found
    ]
    return f"<h2>Other checks</h2>{table([], rows)}"


def alerts(found: Sequence[Alert]) -> str:
    """The alerts of the model, newest first."""
    if not found:
        return ""
    rows = [
        row(
            drawn(mark(one.severity)),
            cell(one.state),
            name(one.feature or one.kind.replace("_", " ")),
            cell(one.message),
            figure(when(one.since)),
            figure(when(one.cleared_at)),
        )
        for one in found[:MAX_ALERTS]
    ]
    return f"<h2>Alerts</h2>{table(('', 'state', 'of', 'what', '#since', '#over'), rows)}"


def how_to_read(report: Mapping[str, Any]) -> str:
    """The words of the page explained."""
    words = HOW_TO_READ if report.get("model") else {**HOW_TO_READ, **OF_FILES}
    terms = "".join(f"<dt>{escape(term)}</dt><dd>{escape(text)}</dd>" for term, text in words.items() if text)
    return f"<h2>How to read this page</h2><dl>{terms}</dl>"


def _row(one: Mapping[str, Any], has_importance: bool) -> str:
    level, limits = one["severity"], one.get("thresholds") or {}
    was, now = one.get("reference") or {}, one.get("current") or {}
    return row(
        name(one["name"]),
        drawn(mark(level)),
        figure(charts.effect(one.get("effect"))),
        drawn(charts.effect_bar(one.get("effect"), [*limits.items()], level)),
        figure(p_value(one.get("p_adjusted"))),
        figure(change(was.get("mean"), now.get("mean"), _shown_as(one.get("kind")))),
        figure(change(was.get("missing"), now.get("missing"), share)),
        *([figure(share(one.get("importance")))] if has_importance else []),
        f'<td class="why">{escape(str(one.get("reason") or ""))}</td>',
        kind="" if one.get("flagged") else "quiet",
    )


def _shown_as(kind: object) -> Callable[[float | None], str]:
    if kind != "datetime":
        return number
    return lambda seconds: "—" if seconds is None else moment_text(seconds)


def _distribution(one: Mapping[str, Any]) -> str:
    level = one.get("severity", "ok")
    bars = bars_of(one)
    chart = charts.histogram(bars.labels, bars.reference, bars.current)
    text = (
        f"effect {charts.effect(one['effect'])}"
        if one.get("effect") is not None
        else str(one.get("reason") or "")
    )
    if one.get("effect_of") == "missing":
        sides = (one.get("reference") or {}, one.get("current") or {})
        text = "missing values: {} → {}".format(*(share(side.get("missing")) for side in sides))
    effect = f'<p class="soft">{escape(text)}</p>'
    return card(str(one["name"]), effect + chart, f' <span class="{level}">{MARKS.get(level, "")}</span>')


def _effect_card(
    name: str,
    moments: Sequence[datetime],
    verdicts: Sequence[Mapping[str, Any] | None],
    marks: Sequence[Mark],
    limits: Mapping[str, float],
) -> str:
    chart = charts.over_time(
        moments,
        [None if one is None else one.get("effect") for one in verdicts],
        limits=(("warning", limits.get("warning", 0.10)), ("critical", limits.get("critical", 0.25))),
        marks=marks,
        levels=["" if one is None else str(one.get("severity", "")) for one in verdicts],
    )
    return card(name, chart)
