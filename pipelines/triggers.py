"""What besides new data asks for a training: the clock, alarms about drift, metrics that got worse.

Each cause asks once: an alarm until it is over, a metric until it has recovered or the champion is another
version. What can't be done at once (a cooldown, a pause, another training) waits and is done then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from pipelines.retrain import Decision, obstacle_to_training, request_retrain
from pipelines.schedules import Schedules, occasion
from pipelines.settings import PipelineSettings, RetrainSettings
from store.alerts import LIVE, SEVERITIES, Alert, list_alerts
from store.findings import read_report
from store.jobs import Job, list_jobs
from store.layout import Layout
from store.state_notes import drop_note, keep_note, notes

_PREFIX = "trigger:"
_LEAST_LABELS = 100
"""Labelled predictions before a metric is judged."""


@dataclass(frozen=True)
class Cause:
    """Something that asks for a training."""

    trigger: str
    """The word on the run: schedule, drift, prediction_drift or metric."""
    reason: str
    key: str
    """What it is about; the same as long as it lasts."""
    token: str
    """Which occurrence of it."""


class Triggers:
    """Looks for causes and asks for trainings."""

    def __init__(self, layout: Layout, schedules: Schedules | None = None) -> None:
        self._layout = layout
        self._schedules = schedules or Schedules(layout)
        self.held: dict[str, str] = {}
        """By pipeline, what a training that is wanted waits for, and why it is wanted."""

    def step(
        self, pipelines: Mapping[str, PipelineSettings], paused: set[str], now: datetime | None = None
    ) -> list[Job]:
        """Queue what is wanted and allowed; the jobs that this made."""
        now = now or datetime.now(UTC)
        jobs = []
        self.held = {}
        for name, settings in pipelines.items():
            wanted = settings.retrain
            if not wanted.has_triggers:
                continue
            causes = self.causes(name, settings, now)
            if not causes:
                continue
            reason = "; ".join(cause.reason for cause in causes)
            obstacle = self._obstacle(name, wanted, now)
            if paused & {name, "*"}:
                obstacle = Decision(None, "the pause to end")
            if obstacle is not None:
                self.held[name] = f"{obstacle.waits_for} ({reason})"
                continue
            job = request_retrain(self._layout, name, trigger=causes[0].trigger, reason=reason)
            if job is None:
                continue
            # In this order, a crash in between asks twice rather than never.
            for cause in causes:
                self._answered(name, cause, wanted, now)
            jobs.append(job)
        return jobs

    def causes(self, pipeline: str, settings: PipelineSettings, now: datetime) -> list[Cause]:
        """All that asks for a training of the pipeline and was not answered."""
        wanted, model = settings.retrain, settings.model or pipeline
        found = []
        if wanted.schedule is not None:
            cron, name = wanted.schedule, f"retrain:{pipeline}"
            is_done = partial(self._has_job, pipeline, cron)
            due = self._schedules.due(name, cron, wanted.timezone, now, is_done)
            if due is not None:
                found.append(Cause("schedule", occasion(cron, due), "schedule", due.isoformat()))
        alarms = _alarm_causes(self._layout, model, wanted)
        metrics, recovered = _metric_causes(self._layout, model, wanted)
        answered = notes(self._layout, _key(pipeline, ""))
        for key in recovered & answered.keys():
            drop_note(self._layout, _key(pipeline, key))
        found += [cause for cause in [*alarms, *metrics] if answered.get(cause.key) != cause.token]
        return found

    def _has_job(self, pipeline: str, cron: str, moment: datetime) -> bool:
        jobs = list_jobs(self._layout, pipeline=pipeline, kind="train", limit=50)
        return any(occasion(cron, moment) in (job.reason or "") for job in jobs)

    def _obstacle(self, pipeline: str, wanted: RetrainSettings, now: datetime) -> Decision | None:
        return obstacle_to_training(self._layout, pipeline, wanted, now)

    def _answered(self, pipeline: str, cause: Cause, wanted: RetrainSettings, now: datetime) -> None:
        if cause.trigger == "schedule":
            assert wanted.schedule is not None
            self._schedules.served(f"retrain:{pipeline}", wanted.schedule, wanted.timezone, now)
            return
        keep_note(self._layout, _key(pipeline, cause.key), cause.token)


def _alarm_causes(layout: Layout, model: str, wanted: RetrainSettings) -> list[Cause]:
    if wanted.on_drift is None and wanted.on_prediction_drift is None:
        return []
    causes = []
    for alert in list_alerts(layout, states=LIVE, model=model):
        if alert.details.get("role", "champion") != "champion":
            continue
        if alert.kind in ("drift", "missing") and wanted.on_drift is not None:
            columns = wanted.on_drift.columns
            is_meant = not columns or alert.feature in columns
            if is_meant and _is_as_bad(alert, wanted.on_drift.severity):
                causes.append(_alarm_cause("drift", alert))
        elif (
            alert.kind == "prediction_drift"
            and wanted.on_prediction_drift is not None
            and _is_as_bad(alert, wanted.on_prediction_drift)
        ):
            causes.append(_alarm_cause("prediction_drift", alert))
    return causes


def _is_as_bad(alert: Alert, severity: str) -> bool:
    return SEVERITIES.index(alert.severity) >= [str(one) for one in SEVERITIES].index(severity)


def _alarm_cause(trigger: str, alert: Alert) -> Cause:
    return Cause(trigger, f"{alert.severity} alert {alert.id}: {alert.message}", alert.key, alert.id)


def _metric_causes(layout: Layout, model: str, wanted: RetrainSettings) -> tuple[list[Cause], set[str]]:
    """What is below its bound or dropped, and the keys of what is known to be well."""
    if not wanted.on_metric_below and not wanted.on_metric_drop:
        return [], set()
    report = read_report(layout, model)
    if report is None:
        return [], set()
    measured = {
        row["metric"]: row
        for row in report.get("performance") or ()
        if not row.get("estimated") and row.get("n", 0) >= _LEAST_LABELS
    }
    causes, recovered = [], set()
    version = report["version"]
    for metric, bound in wanted.on_metric_below.items():
        row = measured.get(metric)
        if row is None:
            continue
        key = f"metric_below:{metric}"
        if worse_by(row, bound) > 0:
            side = "above" if row["smaller_is_better"] else "below"
            reason = f"{metric} of version {version} is {row['value']:.4g}, {side} {bound:g}"
            causes.append(Cause("metric", reason, key, str(version)))
        else:
            recovered.add(key)
    for metric, most in wanted.on_metric_drop.items():
        row = measured.get(metric)
        if row is None or row.get("reference") is None:
            continue
        key = f"metric_drop:{metric}"
        if worse_by(row, row["reference"]) > most:
            reason = f"{metric} of version {version} is {row['value']:.4g}, was {row['reference']:.4g}"
            causes.append(Cause("metric", reason, key, str(version)))
        else:
            recovered.add(key)
    return causes, recovered


def worse_by(row: Mapping[str, Any], than: float) -> float:
    """How much worse a metric's row of a report is than a value; negative where it is better."""
    difference = float(than) - float(row["value"])
    return -difference if row["smaller_is_better"] else difference


def _key(pipeline: str, cause: str) -> str:
    return f"{_PREFIX}{pipeline}:{cause}"
