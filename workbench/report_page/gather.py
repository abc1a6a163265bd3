"""What a page about a served model shows beside its report: windows, alerts, promotions, performance."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from store.errors import WorkbenchError
from workbench.report_page.charts import Mark
from workbench.report_page.page import render_page

if TYPE_CHECKING:
    from workbench.settings import Project

WINDOWS = 200
SEGMENT_FEATURES = 3
_MOST_VALUES = 20


def project_page(
    project: Project, report: Mapping[str, Any], *, details: Mapping[str, Any] | None = None
) -> str:
    """The page of a report on a model of the project; `details` of its performance are read unless given."""
    from store.alerts import list_alerts
    from store.findings import recent
    from store.journal import read_events

    layout, model = project.layout, str(report["model"])
    windows = recent(
        layout,
        model,
        version=report.get("version"),
        role=report.get("role"),
        segment=report.get("segment") or "",
        limit=WINDOWS,
    )
    marks = [
        Mark(event.at, f"v{event.to}")
        for event in read_events(layout, model=model)
        if event.what in ("promoted", "rolled_back") and event.to is not None
    ]
    return render_page(
        report,
        project=project.name,
        windows=windows,
        alerts=[one for one in list_alerts(layout, model=model) if one.kind != "test"],
        marks=marks,
        details=details if details is not None else _details(project, report),
    )


def _details(project: Project, report: Mapping[str, Any]) -> dict[str, Any] | None:
    """What is known of the performance in the report's window; None where the log can't be read."""
    from pipelines.performance import performance_details
    from store.references import read_reference

    window = report.get("window") or {}
    start, end = window.get("start"), window.get("end")
    if not start or not end or not report.get("performance") or report.get("segment"):
        return None
    model, version = str(report["model"]), int(report["version"])
    try:
        profile = read_reference(project.layout, model, version)
        few = [
            feature.name
            for feature in (profile.features if profile is not None else ())
            if feature.is_categorical and 1 < len(feature.categories) <= _MOST_VALUES
        ]
        return performance_details(
            project.layout,
            model,
            version,
            report.get("role"),
            start=datetime.fromisoformat(start).astimezone(UTC),
            end=datetime.fromisoformat(end).astimezone(UTC) + timedelta(seconds=1),
            reference=profile,
            segments=few[:SEGMENT_FEATURES],
        )
    except WorkbenchError:
        return None
