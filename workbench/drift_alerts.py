"""From verdicts to alerts: what holds long enough is raised, what is over is cleared."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, cast

from pipelines.drift.persistence import CRITICAL_ROWS, Decision, Verdict, decide
from store.alerts import Severity, clear_alert, raise_alert
from store.findings import Finding, recent

if TYPE_CHECKING:
    from pipelines.drift.report import DriftReport
    from pipelines.drift.windows import Watched
    from store.layout import Layout
    from store.slices import Key

KINDS = frozenset(
    {
        "drift",
        "prediction_drift",
        "missing",
        "out_of_range",
        "duplicates",
        "staleness",
        "performance",
        "concept",
    }
)
_LOOKED_BACK = 40
"""Windows read to find three that share no rows."""


def settle_windows(layout: Layout, watched: Watched, segments: Collection[str]) -> list[str]:
    """Raise and clear the alerts that follow from the latest windows; returns the keys of those that hold."""
    held = []
    for segment in sorted(segments):
        key = watched.key
        windows = recent(
            layout, key.model, version=key.version, role=key.role, segment=segment, limit=_LOOKED_BACK
        )
        for name in windows[0].features if windows else ():

            def of_feature(window: Finding, name: str = name) -> Verdict | None:
                return window.features.get(name)

            held += _settle(layout, watched, windows, segment, name, of_feature)
        held += _settle(layout, watched, windows, segment, None, lambda window: window.prediction)
        if not segment:
            held += _settle_checks(layout, watched, windows)
    return held


def settle_live(
    layout: Layout, watched: Watched, report: DriftReport, concept: Mapping[str, Any]
) -> list[str]:
    """What can't wait for the end of a window: critical drift over many rows, silence, worse answers."""
    held = []
    key = watched.key
    if report.current_rows >= CRITICAL_ROWS:
        for one in report.features:
            if one.severity == "critical":
                verdict = {"of": one.effect_of, "reason": one.reason}
                held.append(_raise(layout, key, "", one.name, "critical", verdict, report.current_rows))
        if report.prediction is not None and report.prediction.severity == "critical":
            verdict = {"reason": report.prediction.reason}
            held.append(_raise(layout, key, "", None, "critical", verdict, report.current_rows))
    silence = next((check for check in report.checks if check.kind == "staleness"), None)
    name = _key("staleness", key, "", None)
    if silence is None:
        clear_alert(layout, name, reason="it is asked again", quiet=True)
    else:
        raise_alert(
            layout,
            name,
            kind="staleness",
            severity="warning",
            message=f"{key.model}{_role(key)}: {silence.message}",
            model=key.model,
            version=key.version,
            details={"role": key.role},
            quiet=True,
        )
        held.append(name)
    return held + _settle_performance(layout, key, report, concept)


def _settle(
    layout: Layout,
    watched: Watched,
    windows: list[Finding],
    segment: str,
    feature: str | None,
    verdict_of: Callable[[Finding], Verdict | None],
) -> list[str]:
    features = len(windows[0].features) if feature is not None else 0
    decision = decide(windows, verdict_of, patience=watched.settings.patience, features=features)
    if decision.action == "raise":
        flagged = next(
            (window for window in windows if (verdict_of(window) or {}).get("flagged")), windows[0]
        )
        verdict = verdict_of(flagged) or {}
        return [
            _raise(
                layout,
                watched.key,
                segment,
                feature,
                cast(Severity, decision.severity),
                verdict,
                flagged.rows,
                window=flagged,
            )
        ]
    if decision.action == "clear":
        name = _key("drift" if feature else "prediction_drift", watched.key, segment, feature)
        clear_alert(layout, name, reason="three windows without it", quiet=True)
    return []


def _raise(
    layout: Layout,
    key: Key,
    segment: str,
    feature: str | None,
    severity: Severity,
    verdict: Verdict,
    rows: int,
    *,
    window: Finding | None = None,
) -> str:
    kind = "prediction_drift" if feature is None else "missing" if verdict.get("of") == "missing" else "drift"
    name = _key("prediction_drift" if feature is None else "drift", key, segment, feature)
    where = f" where {segment}" if segment else ""
    what = "predictions" if feature is None else feature
    details: dict[str, Any] = {"role": key.role, "segment": segment or None, "rows": rows}
    if window is not None:
        details["window"] = window.id
    raise_alert(
        layout,
        name,
        kind=kind,
        severity=severity,
        message=f"{_subject(key)}: {what}{where} drifted: {verdict.get('reason')}",
        model=key.model,
        version=key.version,
        feature=feature,
        details=details,
        quiet=True,
    )
    return name


def _settle_checks(layout: Layout, watched: Watched, windows: list[Finding]) -> list[str]:
    """Alerts on rows as such: each kind and column as if it were a feature."""
    held = []
    key = watched.key
    places = {(check["kind"], check.get("feature")) for window in windows for check in window.checks}
    for kind, feature in sorted(places, key=str):
        if kind not in ("out_of_range", "duplicates"):
            continue

        def verdict_of(window: Finding, kind: str = kind, feature: str | None = feature) -> Verdict:
            for check in window.checks:
                if (check["kind"], check.get("feature")) == (kind, feature):
                    return check
            return {"severity": "ok"}

        decision: Decision = decide(windows, verdict_of, patience=watched.settings.patience)
        name = _key(kind, key, "", feature)
        if decision.action == "raise":
            worst = next(
                verdict
                for window in windows
                if (verdict := verdict_of(window))["severity"] not in ("ok", "insufficient")
            )
            raise_alert(
                layout,
                name,
                kind=kind,
                severity=cast(Severity, decision.severity),
                message=f"{_subject(key)}: {worst['message']}",
                model=key.model,
                version=key.version,
                feature=feature,
                details={"role": key.role},
                quiet=True,
            )
            held.append(name)
        elif decision.action == "clear":
            clear_alert(layout, name, reason="three windows without it", quiet=True)
    return held


def _settle_performance(
    layout: Layout, key: Key, report: DriftReport, concept: Mapping[str, Any]
) -> list[str]:
    """One alert for all metrics that dropped; `concept` where those that decide did."""
    name = _key("performance", key, "", None)
    measured = [one for one in report.performance if not one["estimated"]]
    dropped = [one for one in measured if one["dropped"]]
    if not dropped:
        if measured and not any(one.get("below") for one in measured):
            clear_alert(layout, name, reason="it does as well as its reference again", quiet=True)
        return []
    shown = ", ".join(f"{one['metric']} {one['value']:.4g}, was {one['reference']:.4g}" for one in dropped)
    raise_alert(
        layout,
        name,
        kind="concept" if concept.get("alarm") else "performance",
        severity="critical" if concept.get("alarm") else "warning",
        message=f"{_subject(key)} does worse than at its training: {shown}",
        model=key.model,
        version=key.version,
        details={"role": key.role, "metrics": [one["metric"] for one in dropped]},
        quiet=True,
    )
    return [name]


def _subject(key: Key) -> str:
    """`bikes version 2`, `bikes version 2 (batch)`."""
    return f"{key.model} version {key.version}{_role(key)}"


def _role(key: Key) -> str:
    return "" if key.role == "champion" else f" ({key.role})"


def _key(kind: str, key: Key, segment: str, feature: str | None) -> str:
    parts = [kind, key.model, str(key.version), key.role, segment, feature or ""]
    return "/".join(parts).rstrip("/")
