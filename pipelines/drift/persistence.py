"""When a verdict becomes an alert, and when an alert is over: not at the first window."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pipelines.drift.bands import SEVERITIES, Severity
from store.findings import Finding

LOOKED_AT = 3
CRITICAL_ROWS = 500
"""Rows from which a critical verdict needs no second window."""

Verdict = Mapping[str, Any]


@dataclass(frozen=True)
class Decision:
    """What becomes of the alert about one thing."""

    action: Literal["raise", "clear", "keep"]
    severity: Severity = "ok"


def decide(
    windows: Sequence[Finding], verdict_of: Callable[[Finding], Verdict | None], *, patience: int = 2
) -> Decision:
    """Judge by the latest windows, newest first, what `verdict_of` each says.

    Raised when `patience` of the last 3 are flagged, with the severity that so many reach; at once where
    the newest is critical over 500 rows; cleared after 3 clean ones. Windows that share rows count once:
    the older of two that overlap is passed over.
    """
    looked_at: list[tuple[Severity, int]] = []
    earliest = None
    for window in windows:
        verdict = verdict_of(window)
        if verdict is None or verdict["severity"] == "insufficient":
            continue
        if earliest is not None and window.end > earliest:
            continue
        earliest = window.start
        looked_at.append((verdict["severity"], window.rows))
        if len(looked_at) == LOOKED_AT:
            break
    if not looked_at:
        return Decision("keep")
    flagged = sorted(
        (severity for severity, _ in looked_at if severity != "ok"), key=SEVERITIES.index, reverse=True
    )
    newest, rows = looked_at[0]
    if newest == "critical" and rows >= CRITICAL_ROWS:
        return Decision("raise", "critical")
    if len(flagged) >= patience:
        return Decision("raise", flagged[patience - 1])
    if len(looked_at) == LOOKED_AT and not flagged:
        return Decision("clear")
    return Decision("keep")
