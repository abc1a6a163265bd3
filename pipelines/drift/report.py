"""A drift report: the verdicts on one window of one model version, as everybody reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pipelines.drift.bands import Severity, is_at_least, worst
from pipelines.drift.verdicts import FeatureDrift, Method, ranked


@dataclass(frozen=True)
class Check:
    """Something else than a distribution: values out of range, duplicates, a model nobody asks any more."""

    kind: str
    """`out_of_range`, `duplicates`, `staleness`, `new_column`, `type_changed`."""
    severity: Severity
    message: str
    feature: str | None = None
    share: float | None = None
    count: int | None = None
    details: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "feature": self.feature,
            "severity": self.severity,
            "message": self.message,
            "share": self.share,
            "count": self.count,
            **self.details,
        }


@dataclass(frozen=True)
class DriftReport:
    """One window against its reference."""

    reference_rows: int | None
    current_rows: int
    features: Sequence[FeatureDrift]
    prediction: FeatureDrift | None
    model: str | None = None
    version: int | None = None
    role: str | None = None
    segment: str = ""
    """`COLUMN=VALUE`; empty for all rows."""
    method: Method = "calibrated"
    start: datetime | None = None
    end: datetime | None = None
    is_extended: bool = False
    """Whether the window reaches back beyond its own length, because it had too few rows."""
    checks: Sequence[Check] = ()
    performance: Sequence[dict[str, Any]] = ()
    note: str | None = None
    """What is missing from it, and why."""
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def severity(self) -> Severity:
        """The worst of everything in it; `insufficient` where nothing could be judged."""
        found: list[Severity] = [one.severity for one in self.features]
        # A check that is ok informs; it is no verdict, where there were too few rows for one.
        found += [check.severity for check in self.checks if check.severity != "ok"]
        if self.prediction is not None:
            found.append(self.prediction.severity)
        if any(one.get("dropped") for one in self.performance):
            found.append("critical")
        return worst(found)

    @property
    def drifted(self) -> bool:
        """Whether anything is at warning or worse."""
        return is_at_least(self.severity, "warning")

    def as_json(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "version": self.version,
            "role": self.role,
            "segment": self.segment or None,
            "method": self.method,
            "window": {
                "start": _iso(self.start),
                "end": _iso(self.end),
                "rows": self.current_rows,
                "extended": self.is_extended,
            },
            "reference_rows": self.reference_rows,
            "current_rows": self.current_rows,
            "drifted": self.drifted,
            "severity": self.severity,
            "features": [one.as_json() for one in ranked(self.features)],
            "prediction": None if self.prediction is None else self.prediction.as_json(),
            "checks": [check.as_json() for check in self.checks],
            "performance": [dict(one) for one in self.performance],
            "note": self.note,
            "created_at": _iso(self.created_at),
        }


def _iso(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
