"""The windows of a chart where too few have ended: shorter ones, or ones of so many rows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from store.findings import Finding
    from store.slices import Key
    from workbench.monitoring import Monitor

FEWEST = 3
"""Windows below which a chart shows shorter ones."""
_SHORTEST = "5m"
_ROWS = 500
_MOST_ROWS = 20_000
"""Rows beyond which counting them one by one takes too long for a chart."""
_POINTS = 24


def short_windows(monitor: Monitor, key: Key, rows: int) -> tuple[list[Finding], str]:
    """Verdicts on short windows of the latest `rows` predictions, oldest first, and how long they are.

    As in `[pipelines.NAME.monitor] window`: five minutes, or rows where all came within a quarter of an hour.
    """
    found = judged_now(monitor, key, _SHORTEST)
    if len(found) < FEWEST and 2 * _ROWS <= rows <= _MOST_ROWS:
        length = str(max(_ROWS, -(-rows // _POINTS // 100) * 100))
        by_rows = judged_now(monitor, key, length)
        if len(by_rows) > len(found):
            return by_rows, length
    return found, _SHORTEST


def judged_now(monitor: Monitor, key: Key, window: str) -> list[Finding]:
    """Alike for windows that are, whenever they are judged."""
    return [replace(one, evaluated_at=one.end) for one in monitor.history(key, window=window)]
