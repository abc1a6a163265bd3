"""What a page about a served model shows beside its report: windows, alerts, promotions, performance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from workbench.report_page.charts import Mark
from workbench.report_page.page import render_page

if TYPE_CHECKING:
    from pipelines.performance.figures import Figure
    from workbench.settings import Project

WINDOWS = 200


def project_page(project: Project, report: Mapping[str, Any], *, window: str | None = None) -> str:
    """The page of a report on a model of the project; `window` where not that of the settings is meant."""
    from store.alerts import list_alerts
    from store.findings import recent
    from store.journal import read_events
    from store.slices import Key
    from workbench.drift_history import FEWEST, judged_now, performance_of_windows, short_windows
    from workbench.monitoring import Monitor, monitor_settings

    layout, model = project.layout, str(report["model"])
    key = Key(model, int(report["version"]), str(report["role"]))
    segment = report.get("segment") or ""
    length = window or str(monitor_settings(project, model).window)
    if window is not None and not segment:
        windows = judged_now(Monitor(project.root), key, window)
    else:
        windows = recent(layout, model, version=key.version, role=key.role, segment=segment, limit=WINDOWS)[
            ::-1
        ]
    if len(windows) < FEWEST and not segment and report.get("reference_rows"):
        windows, length = short_windows(Monitor(project.root), key, int(report["current_rows"]))
    stretches = performance_of_windows(layout, windows, length, report)
    if stretches:
        windows = [
            replace(one, performance=[_metric(figure) for figure in stretch.figures.values()])
            for one, stretch in zip(windows, stretches, strict=True)
        ]
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


def _metric(figure: Figure) -> dict[str, Any]:
    return {"metric": figure.metric, "value": figure.value, "low": figure.low, "high": figure.high}
