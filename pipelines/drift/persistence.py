"""When a verdict becomes an alert, and when an alert is over: not at the first window."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal

from pipelines.drift.bands import SEVERITIES, Severity
from store.findings import Finding

LOOKED_AT = 3
CRITICAL_ROWS = 500
"""Rows from which a critical verdict needs no second window."""
TOGETHER = 1e-4
"""Level that flagged windows have to reach together, over all features that are judged."""

Verdict = Mapping[str, Any]


@dataclass(frozen=True)
class Decision:
    """What becomes of the alert about one thing."""

    action: Literal["raise", "clear", "keep"]
    severity: Severity = "ok"


def decide(
    windows: Sequence[Finding],
    verdict_of: Callable[[Finding], Verdict | None],
    *,
    patience: int = 2,
    features: int = 0,
) -> Decision:
    """Judge by the latest windows, newest first, what `verdict_of` each says.

    Raised when `patience` of the last 3 are flagged, with the severity that so many reach; at once where
    the newest is critical over 500 rows; cleared after 3 clean ones. Windows that share rows count once:
    the older of two that overlap is passed over. Of one of so many `features`, what the flagged windows say
    together has to be beyond chance as well (see `_tell_together`).
    """
    looked_at: list[tuple[Severity, int]] = []
    told: list[Verdict] = []
    earliest = None
    for window in windows:
        verdict = verdict_of(window)
        if verdict is None or verdict["severity"] == "insufficient":
            continue
        if earliest is not None and window.end > earliest:
            continue
        earliest = window.start
        looked_at.append((verdict["severity"], window.rows))
        if verdict["severity"] != "ok":
            told.append(verdict)
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
        if features and patience > 1 and not _tell_together(told, features):
            return Decision("keep")
        return Decision("raise", flagged[patience - 1])
    if len(looked_at) == LOOKED_AT and not flagged:
        return Decision("clear")
    return Decision("keep")


def _tell_together(verdicts: Sequence[Verdict], features: int) -> bool:
    """Whether flagged windows are no chance together, where all were compared with one reference.

    A small reference that is off by chance is so in each of them: a second window is no second witness of
    that. So the normal scores of their p values are added up as those of windows that correlate by the share
    which the reference's R rows have in the variance, sqrt(n / (n + R) · m / (m + R)) for n and m rows
    (Stouffer et al., The American Soldier, 1949, for correlated scores), and their sum has to reach TOGETHER,
    divided by the number of features. Verdicts without these numbers are taken at their word.
    """
    scores, shares = [], []
    for verdict in verdicts:
        p, n, rows = verdict.get("p_value"), verdict.get("n"), (verdict.get("reference") or {}).get("n")
        if p is None or not n or not rows:
            return True
        scores.append(-NormalDist().inv_cdf(max(p / 2, 1e-300)))
        shares.append(math.sqrt(n / (n + rows)))
    # The sum over all pairs, each window with itself counted as 1.
    variance = len(shares) + sum(shares) ** 2 - sum(share**2 for share in shares)
    return math.erfc(sum(scores) / math.sqrt(2 * variance)) * features <= TOGETHER
