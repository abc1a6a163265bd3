"""How well a model version does: from labels with intervals, and estimated before they arrive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines.performance.over_time import Stretch as Stretch
    from pipelines.performance.over_time import performance_by_window as performance_by_window
    from pipelines.performance.pairing import compare_roles as compare_roles
    from pipelines.performance.reference import PerformanceReference as PerformanceReference
    from pipelines.performance.replaying import replay as replay
    from pipelines.performance.report import performance_details as performance_details
    from pipelines.performance.report import performance_report as performance_report
    from pipelines.performance.report import segment_features as segment_features

_HOMES = {
    "Stretch": "over_time",
    "performance_by_window": "over_time",
    "performance_details": "report",
    "performance_report": "report",
    "segment_features": "report",
    "PerformanceReference": "reference",
    "compare_roles": "pairing",
    "replay": "replaying",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
