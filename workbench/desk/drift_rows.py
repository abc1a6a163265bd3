"""The lines of the Drift screen's ranking: features, predictions, performance, checks and segments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from workbench.performance_text import segment_name

if TYPE_CHECKING:
    from pipelines.performance import Stretch
    from store.alerts import Alert
    from store.findings import Finding

Kind = Literal["feature", "prediction", "performance", "check", "segment"]
_ORDER = ("", "insufficient", "ok", "watch", "warning", "critical")
_SHORT = {"out_of_range": "range", "type_changed": "type", "new_column": "new"}
_FLAGGED = ("watch", "warning", "critical")
MANY_FEATURES = 15


@dataclass(frozen=True)
class DriftRow:
    """One line. What it is about is in `source`, as the report has it."""

    kind: Kind
    name: str
    severity: str
    """Empty where nothing is judged, as of performance that held."""
    value: float | None = None
    """The effect; of performance the metric itself, of a check the share of rows."""
    trend: tuple[float | None, ...] = ()
    """The value in each window of the history, oldest first."""
    ends: tuple[datetime, ...] = ()
    """When those windows ended, where they are windows of its own."""
    scale: float | None = None
    """What the trend is drawn up to; None for its own range."""
    since: datetime | None = None
    note: str = ""
    alert: Alert | None = None
    source: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return f"{self.kind}:{self.name}"

    @property
    def rank(self) -> int:
        """How bad it is; larger is worse."""
        return worst([self.severity])


def is_alone(one: Mapping[str, Any]) -> bool:
    """Whether there is nothing to compare a feature with."""
    return one["severity"] == "insufficient" and not one["reference"]["n"]


def worst(severities: Iterable[str]) -> int:
    """The place of the worst of them; larger is worse."""
    return max((_ORDER.index(one) for one in severities), default=0)


def rows_of(
    report: Mapping[str, Any],
    history: Sequence[Finding],
    alerts: Sequence[Alert],
    segments: Sequence[Sequence[Finding]] = (),
    performance: Sequence[Stretch] = (),
) -> Iterator[DriftRow]:
    """The ranking of one report: what drifted most first, then what else is known of the version.

    Of many features those at rest come last, so that they hide nothing.
    """
    of_version = [one for one in alerts if _is_of(one, report)]
    own = [one for one in of_version if _segment_of(one) == (report.get("segment") or "")]
    features = [_judged("feature", one, history, own) for one in report["features"]]
    features.sort(key=lambda row: -row.rank)
    is_long = len(features) > MANY_FEATURES
    at_rest = [row for row in features if is_long and row.severity not in _FLAGGED]
    yield from features[: len(features) - len(at_rest)]
    if report["prediction"] is not None:
        yield _judged("prediction", report["prediction"], history, own)
    for one in report["performance"]:
        yield _performance(one, own, performance)
    for check in report["checks"]:
        if check["severity"] != "insufficient":
            yield _check(check, own)
    by_segment = {
        segment_name(one): one for one in (report.get("performance_details") or {}).get("segments", ())
    }
    for one_history in segments:
        yield _segment(one_history, of_version, by_segment.get(one_history[-1].segment))
    yield from at_rest


def effect_in(window: Finding, row: DriftRow) -> float | None:
    """The value that a window had of what a row is about."""
    if row.kind == "segment":
        return _largest(window)
    found = window.prediction if row.kind == "prediction" else window.features.get(row.name)
    return None if found is None else found["effect"]


def _judged(
    kind: Kind, one: Mapping[str, Any], history: Sequence[Finding], alerts: Sequence[Alert]
) -> DriftRow:
    verdicts = [
        window.prediction if kind == "prediction" else window.features.get(one["name"]) for window in history
    ]
    trend = tuple(None if verdict is None else verdict["effect"] for verdict in verdicts)
    alert = next((each for each in alerts if _is_about(each, kind, one["name"])), None)
    top = max((value for value in trend if value is not None), default=0.0)
    return DriftRow(
        kind=kind,
        name="prediction" if kind == "prediction" else one["name"],
        severity=one["severity"],
        value=one["effect"],
        trend=trend,
        scale=max(top, one["thresholds"]["critical"]),
        since=_since(one, alert, history, verdicts),
        note=_note(one),
        alert=alert,
        source=one,
    )


def _is_of(alert: Alert, report: Mapping[str, Any]) -> bool:
    """Whether an alert is about the version in the role that the report is of."""
    role = alert.details.get("role")
    return alert.version in (None, report["version"]) and role in (None, report["role"])


def _segment_of(alert: Alert) -> str:
    return str(alert.details.get("segment") or "")


def _is_about(alert: Alert, kind: Kind, name: str) -> bool:
    if kind == "prediction":
        return alert.kind == "prediction_drift"
    return alert.kind in ("drift", "missing") and alert.feature == name


def _since(
    one: Mapping[str, Any],
    alert: Alert | None,
    history: Sequence[Finding],
    verdicts: Sequence[Mapping[str, Any] | None],
) -> datetime | None:
    """When the first of the windows began in which it has drifted without a break."""
    if not one["flagged"]:
        return None if alert is None else alert.since
    since = None
    for window, verdict in zip(reversed(history), reversed(verdicts), strict=True):
        if verdict is None or not verdict["flagged"]:
            break
        since = window.start
    return since or (alert.since if alert is not None else None)


def _note(one: Mapping[str, Any]) -> str:
    """What changed, in a few words; of one that isn't judged, why."""
    was, now = one["reference"], one["current"]
    if is_alone(one):
        mean = "" if now["mean"] is None else f"mean {now['mean']:.3g}, "
        return f"{mean}missing {_share(now['missing'])}"
    if one["severity"] == "insufficient":
        return str(one["reason"]).removesuffix(" in the window")
    parts = []
    if new := _new_values(one):
        parts.append(new)
    if one["effect_of"] == "missing":
        parts.append(f"missing {_share(now['missing'])}, was {_share(was['missing'])}")
    elif one["flagged"] and was["mean"] is not None and now["mean"] is not None:
        parts.append(f"mean {now['mean']:.3g}, was {was['mean']:.3g}")
    return ", ".join(parts)


def _new_values(one: Mapping[str, Any]) -> str:
    shape = one["distribution"]
    if not shape.get("labels") or shape["labels"][-1] != "new" or not shape["current"][-1]:
        return ""
    return f"{shape['current'][-1]:,} new values"


def _performance(one: Mapping[str, Any], alerts: Sequence[Alert], stretches: Sequence[Stretch]) -> DriftRow:
    low, high, was = one.get("low"), one.get("high"), one.get("reference")
    parts = []
    if was is not None:
        parts.append(f"was {was:.3g}")
    if low is not None and high is not None:
        parts.append(f"[{low:.3g}, {high:.3g}]")
    alert = next((each for each in alerts if each.kind in ("performance", "concept")), None)
    return DriftRow(
        kind="performance",
        name=one["metric"] + (" (est.)" if one.get("estimated") else ""),
        severity="critical" if one.get("dropped") else "",
        value=one["value"],
        trend=() if one.get("estimated") else _values(stretches, one["metric"]),
        since=alert.since if alert is not None and one.get("dropped") else None,
        note=" ".join(parts),
        alert=alert if one.get("dropped") else None,
        source=one,
    )


def _values(stretches: Sequence[Stretch], metric: str) -> tuple[float | None, ...]:
    found = (one.figures.get(metric) for one in stretches)
    return tuple(None if figure is None else figure.value for figure in found)


def _check(check: Mapping[str, Any], alerts: Sequence[Alert]) -> DriftRow:
    alert = next(
        (each for each in alerts if each.kind == check["kind"] and each.feature == check["feature"]), None
    )
    what = _SHORT.get(check["kind"], check["kind"].replace("_", " "))
    return DriftRow(
        kind="check",
        name=f"{check['feature']} {what}" if check["feature"] else what,
        severity=check["severity"],
        value=check.get("share"),
        since=None if alert is None else alert.since,
        note=check["message"],
        alert=alert,
        source=check,
    )


def _segment(
    history: Sequence[Finding], alerts: Sequence[Alert], performance: Mapping[str, Any] | None
) -> DriftRow:
    newest = history[-1]
    trend = tuple(_largest(window) for window in history)
    flagged = [name for name, verdict in newest.features.items() if verdict["flagged"]]
    since = None
    for window in reversed(history):
        if window.severity not in _FLAGGED:
            break
        since = window.start
    return DriftRow(
        kind="segment",
        name=newest.segment,
        severity=newest.severity,
        value=trend[-1],
        trend=trend,
        ends=tuple(window.end for window in history),
        scale=max([0.25, *(value for value in trend if value is not None)]),
        since=since,
        note=" · ".join(
            filter(None, (", ".join(flagged[:3]) or f"{newest.rows:,} rows", _measured(performance)))
        ),
        alert=next((one for one in alerts if _segment_of(one) == newest.segment), None),
        source=newest.as_json(),
    )


def _measured(one: Mapping[str, Any] | None) -> str:
    return "" if one is None or one["mean"] is None else f"{one['metric']} {one['mean']:.3g}"


def _largest(window: Finding) -> float | None:
    effects = [one["effect"] for one in window.features.values() if one["effect"] is not None]
    return max(effects, default=None)


def _share(share: float | None) -> str:
    return "—" if share is None else f"{share:.1%}"
