"""The columns of the tables of data files and of trainings."""

from __future__ import annotations

from typing import Any

from workbench.desk.data import FileRow, JobRow
from workbench.tui.widgets.formats import duration, moment, number
from workbench.tui.widgets.table import Column

_BAR_CELLS = 10
_MARKS = {
    "new": "+ new",
    "ready": "● ready",
    "queued": "◌ queued",
    "trained": "✓ trained",
    "duplicate": "= duplicate",
    "quarantined": "✗ quarantined",
    "running": "◐ running",
    "done": "✓ done",
    "refused": "▲ refused",
    "failed": "✗ failed",
    "cancelled": "○ cancelled",
}


def file_columns() -> list[Column[FileRow]]:
    return [
        Column("path", "file", min_width=16, max_width=60),
        Column("state", "state", format=mark, style=lambda row, value: row.tone, min_width=10),
        Column("rows", "rows", align="right", format=number, descending_first=True),
        Column("reason", "reason", flex=1, min_width=12, max_width=200),
        Column("pipeline", "pipeline", max_width=16, style=lambda row, value: "muted"),
        Column("size", "size", align="right", format=byte_size, descending_first=True),
        Column("at", "changed", format=moment, descending_first=True, style=lambda row, value: "muted"),
    ]


def job_columns() -> list[Column[JobRow]]:
    return [
        Column("at", "asked", format=moment, descending_first=True, style=lambda row, value: "muted"),
        Column("pipeline", "pipeline", max_width=16),
        Column("state", "state", format=mark, style=lambda row, value: row.tone, min_width=9),
        Column("share", "progress", format=bar, style=lambda row, value: row.tone, searchable=False),
        Column("left", "left", value=_left, format=_or_blank, align="right", hidden=True),
        Column("doing", "what", flex=1, min_width=8, max_width=200),
        Column("trigger", "trigger", value=lambda row: row.job.trigger, hidden=True),
        Column("seconds", "took", format=_or_blank, align="right", hidden=True, descending_first=True),
        Column("id", "job", hidden=True),
    ]


def mark(value: object) -> str:
    """A state with its sign."""
    return _MARKS.get(str(value), str(value))


def bar(value: Any) -> str:
    """A share as a bar and a percentage."""
    if value is None:
        return ""
    full = round(_BAR_CELLS * float(value))
    return "█" * full + "░" * (_BAR_CELLS - full) + f" {100 * value:3.0f} %"


def byte_size(value: Any) -> str:
    """Bytes in the unit that says most."""
    size = float(value)
    for unit in ("B", "KB", "MB"):
        if size < 999.5:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 99.5 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} GB"


def _left(row: JobRow) -> float | None:
    return row.progress.time_left_s if row.progress is not None else None


def _or_blank(value: Any) -> str:
    return "" if value is None else duration(value)
