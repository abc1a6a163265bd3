"""A new champion that does worse than the one before it is rolled back, where the settings say so."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pipelines.settings import PipelineSettings
from store.alerts import LIVE, clear_alert, list_alerts, raise_alert
from store.errors import NotFoundError
from store.findings import read_report
from store.journal import Event
from store.layout import Layout

if TYPE_CHECKING:
    from store.registry import Registry

WHO = "workbench"
_LEAST_LABELS = 100
_USUAL_METRICS = ("roc_auc", "accuracy", "rmse", "mae", "f1")
"""Where the gate names none that is measured on predictions."""


def watch_champion(
    layout: Layout,
    registry: Registry,
    pipeline: str,
    settings: PipelineSettings,
    now: datetime | None = None,
) -> str | None:
    """Roll the pipeline's champion back if it does worse; the reason, or None where it stays.

    It does worse when the gate's metric, on at least 100 labelled predictions, is worse than that of the
    champion before, and their 95 % intervals don't meet; where that one was never measured, when the metric
    dropped against the training (2 of 3 windows, p < 0.01). A champion is watched for `rollback_days` after
    its promotion, and one that came by a rollback stays.
    """
    model = settings.model or pipeline
    promotion = _latest_change(registry, model)
    if promotion is None:
        return None
    if promotion.what == "promoted":
        _clear(layout, model)
    if not settings.gate.auto_rollback or promotion.what != "promoted" or promotion.from_ is None:
        return None
    age = (now or datetime.now(UTC)) - promotion.at
    if promotion.to is None or age > timedelta(days=settings.gate.rollback_days):
        return None
    champion, before = int(promotion.to), int(promotion.from_)
    present = registry.model(model)
    if present.champion != champion or not any(one.version == before for one in present.versions):
        return None
    reason = does_worse(
        _measured(read_report(layout, model, champion)),
        _measured(read_report(layout, model, before)),
        settings.gate.metric,
    )
    if reason is None:
        return None
    reason = f"version {champion} does worse: {reason}"
    change = registry.rollback(model, who=WHO, reason=reason)
    raise_alert(
        layout,
        f"rolled_back/{model}",
        kind="rolled_back",
        severity="critical",
        message=f"{model} was rolled back to version {change.to_version}: {reason}",
        model=model,
        version=champion,
        details={"from": champion, "to": change.to_version},
        quiet=True,
    )
    return reason


def does_worse(
    present: Mapping[str, Mapping[str, Any]], before: Mapping[str, Mapping[str, Any]], metric: str | None
) -> str | None:
    """In words how a champion's measured metrics are worse than those of the one before; None where not."""
    name = next((one for one in (metric, *_USUAL_METRICS) if one in present), None)
    if name is None:
        return None
    row = present[name]
    earlier = before.get(name)
    if earlier is None:
        if row.get("dropped") and row.get("reference") is not None:
            return f"{name} is {row['value']:.4g}, was {row['reference']:.4g} at its training"
        return None
    if row["smaller_is_better"]:
        bounds = row.get("low"), earlier.get("high")
        is_worse = None not in bounds and bounds[0] > bounds[1]  # type: ignore[operator]
    else:
        bounds = row.get("high"), earlier.get("low")
        is_worse = None not in bounds and bounds[0] < bounds[1]  # type: ignore[operator]
    if not is_worse:
        return None
    return f"{name} is {row['value']:.4g}, that of the champion before was {earlier['value']:.4g}"


def _latest_change(registry: Registry, model: str) -> Event | None:
    """What made the present champion what it is."""
    try:
        events = registry.history(model)
    except NotFoundError:
        return None
    for event in reversed(events):
        if event.what == "external":
            return None
        if event.what in ("promoted", "rolled_back") and event.details.get("role") == "champion":
            return event
    return None


def _measured(report: Mapping[str, Any] | None) -> dict[str, Mapping[str, Any]]:
    rows = () if report is None else report.get("performance") or ()
    return {
        row["metric"]: row
        for row in rows
        if not row.get("estimated") and row.get("n", 0) >= _LEAST_LABELS and row.get("value") is not None
    }


def _clear(layout: Layout, model: str) -> None:
    for alert in list_alerts(layout, states=LIVE, model=model):
        if alert.kind == "rolled_back":
            clear_alert(layout, alert.key, reason="another version was promoted", quiet=True)
