"""What a page about a served model shows beside its report: windows, alerts, promotions, performance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from workbench.report_page.charts import Mark
from workbench.report_page.page import render_page

if TYPE_CHECKING:
    from workbench.settings import Project

WINDOWS = 200


def project_page(project: Project, report: Mapping[str, Any]) -> str:
    """The page of a report on a model of the project."""
    from store.alerts import list_alerts
    from store.findings import recent
    from store.journal import read_events
    from store.slices import Key
    from workbench.drift_history import FEWEST, short_windows
    from workbench.monitoring import Monitor

    layout, model = project.layout, str(report["model"])
    windows = recent(
        layout,
        model,
        version=report.get("version"),
        role=report.get("role"),
        segment=report.get("segment") or "",
        limit=WINDOWS,
    )
    if len(windows) < FEWEST and not report.get("segment") and report.get("reference_rows"):
        key = Key(model, int(report["version"]), str(report["role"]))
        windows, _ = short_windows(Monitor(project.root), key, int(report["current_rows"]))
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
        details=report.get("performance_details"),
    )
