"""What is wrong with the settings of a monitor that only a model's columns tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines.monitor_settings import MonitorSettings


def with_unknown_columns(report: Mapping[str, Any], settings: MonitorSettings) -> dict[str, Any]:
    """The report with a note on columns that the settings name and the model doesn't have."""
    known = {one["name"] for one in report["features"]}
    if not known or report.get("segment"):  # a segment's own column is not among its features
        return dict(report)
    of_thresholds = [name for name in settings.thresholds if name not in {*known, "prediction"}]
    of_segments = [name for name in settings.segments if name not in known]
    notes = [report["note"]] if report.get("note") else []
    notes += [
        f"monitor.{setting} of the settings names {', '.join(names)}, which the model doesn't have"
        for setting, names in (("thresholds", of_thresholds), ("segments", of_segments))
        if names
    ]
    return {**report, "note": "; ".join(notes) or None}
