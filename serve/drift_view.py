"""What the monitor found of the served models, as metrics and as JSON."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from serve.disclosure import without_folders
from serve.problems import Problem, shown
from store.alerts import list_alerts
from store.errors import WorkbenchError
from store.findings import FILE, read_report, read_reports

if TYPE_CHECKING:
    from pathlib import Path

    from store.layout import Layout

log = logging.getLogger("workbench.serve")

LEVELS = {"insufficient": -1, "ok": 0, "watch": 1, "warning": 2, "critical": 3}
_LABELS = ("model", "version", "role", "feature")


class DriftView(Collector):
    """Reads the findings again only when their file has changed."""

    def __init__(self, layout: Layout | None) -> None:
        self._layout = layout
        self._seen: object = None
        self._reports: list[dict[str, Any]] = []
        self._alerts: list[tuple[str, str, str]] = []
        """Model, kind and severity of each open alert."""

    def refresh(self) -> None:
        """Look for new findings and alerts; what can't be read stays as it was."""
        if self._layout is None:
            return
        seen = [_mark(path) for path in _files(self._layout)]
        if seen == self._seen:
            return
        try:
            self._reports = [report for report in read_reports(self._layout) if not report.get("segment")]
            alerts = list_alerts(self._layout, states=["open"])
            self._alerts = [(alert.model or "", alert.kind, alert.severity) for alert in alerts]
            self._seen = seen
        except WorkbenchError as error:
            log.warning("what the monitor found can't be read: %s", error)

    def report(self, model: str, version: int | None, role: str) -> dict[str, Any]:
        """The newest report of a version, or of the newest one reported; Problem 404 where there is none."""
        try:
            found = read_report(self._layout, model, version, role=role) if self._layout is not None else None
        except WorkbenchError as error:
            raise Problem(503, without_folders(str(error)), headers={"Retry-After": "10"}) from error
        if found is None:
            raise Problem(
                404,
                f"the monitor has no report on {shown(model)} as {shown(role)} yet",
                reason="no_report",
            )
        return found

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        effects = GaugeMetricFamily(
            "workbench_drift_effect", "Drift effect (PSI) of the newest window.", labels=_LABELS
        )
        severities = GaugeMetricFamily(
            "workbench_drift_severity",
            "Severity of the newest window: 0 ok, 1 watch, 2 warning, 3 critical, -1 too few rows.",
            labels=_LABELS,
        )
        for report in self._reports:
            place = [str(report.get(name, "")) for name in ("model", "version", "role")]
            for feature, found in _entries(report):
                labels = [*place, feature]
                severities.add_metric(labels, LEVELS.get(str(found.get("severity")), 0))
                if isinstance(found.get("effect"), (int, float)):
                    effects.add_metric(labels, found["effect"])
        yield effects
        yield severities
        yield self._performance()
        alerts = GaugeMetricFamily("workbench_alerts", "Open alerts.", labels=("model", "kind", "severity"))
        for alert in sorted(set(self._alerts)):
            alerts.add_metric(alert, self._alerts.count(alert))
        yield alerts

    def _performance(self) -> Metric:
        found = GaugeMetricFamily(
            "workbench_performance",
            "How well a model does: of its latest predictions with a true outcome, or estimated before.",
            labels=("model", "version", "role", "metric", "estimated"),
        )
        for report in self._reports:
            place = [str(report.get(name, "")) for name in ("model", "version", "role")]
            for one in report.get("performance") or ():
                if isinstance(one.get("value"), (int, float)):
                    is_estimated = "true" if one.get("estimated") else "false"
                    found.add_metric([*place, str(one.get("metric")), is_estimated], one["value"])
        return found


def _entries(report: Mapping[str, Any]) -> Iterable[tuple[str, Mapping[str, Any]]]:
    for found in report.get("features") or ():
        yield str(found.get("name")), found
    prediction = report.get("prediction")
    if isinstance(prediction, Mapping):
        yield "prediction", prediction


def _files(layout: Layout) -> list[Path]:
    findings = layout.state / FILE
    files = (findings, layout.state_db)
    return [*files, *(path.with_name(f"{path.name}-wal") for path in files)]


def _mark(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
