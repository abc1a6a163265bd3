"""The windows of a chart: shorter ones where too few have ended, and how well the version did in each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines.performance import Stretch
    from store.findings import Finding
    from store.layout import Layout
    from store.series import SeriesReader
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


def performance_of_windows(
    layout: Layout,
    windows: Sequence[Finding],
    length: str,
    report: Mapping[str, Any],
    *,
    reader: SeriesReader | None = None,
) -> tuple[Stretch, ...]:
    """How well the version of a report did in each of these windows, oldest first, by the labels there are.

    `length` as in the settings. Empty where nothing is labelled, and of a segment, which no counts are of.
    """
    details = report.get("performance_details") or {}
    is_measured = any(not one["estimated"] for one in report["performance"])
    if not windows or not is_measured or report["segment"]:
        return ()
    from pipelines.drift.windows import length_of
    from pipelines.performance import performance_by_window
    from store.slices import Key

    key = Key(report["model"], report["version"], report["role"])
    classes = [one["class"] for one in details.get("classes") or ()] or None
    bounds = [(one.start, one.end) for one in windows]
    return performance_by_window(layout, key, bounds, length_of(length), classes, reader=reader)
