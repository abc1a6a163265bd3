"""The columns of the audit trail and of the log, and one event in full."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from textual.content import Content

from workbench.desk.events import EventRow, LogLine
from workbench.tui.widgets.formats import moment
from workbench.tui.widgets.page import Cell, grid, heading
from workbench.tui.widgets.table import Column

_TONES = {
    "promoted": "success",
    "gate accepted": "success",
    "gate refused": "warning",
    "rolled back": "warning",
    "alert raised": "error",
    "alert cleared": "success",
    "load failed": "error",
    "quarantined": "warning",
    "external": "accent",
}
_INNER = frozenset({"intent"})


def trail_columns() -> list[Column[EventRow]]:
    return [
        Column("at", "when", format=moment, style=lambda row, value: "muted", descending_first=True),
        Column("what", "what", style=lambda row, value: _TONES.get(row.what), max_width=24),
        Column("model", "model", format=_or_nothing, max_width=24),
        Column("change", "change", max_width=20),
        Column("reason", "reason", format=_or_nothing, flex=3, min_width=10),
        Column("who", "who", style=lambda row, value: "muted", max_width=24),
        Column("number", "n", align="right", hidden=True),
    ]


def log_columns() -> list[Column[LogLine]]:
    return [
        Column("source", "from", style=lambda row, value: "muted", max_width=12),
        Column(
            "text",
            "line",
            style=lambda row, value: row.tone,
            flex=1,
            min_width=20,
            sortable=False,
            max_width=400,
        ),
        Column("number", "n", align="right", hidden=True, descending_first=True),
    ]


def event_page(row: EventRow, cells: int) -> Content:
    """Everything that an event says."""
    pairs: list[list[Cell]] = [
        [("when", "$text-muted"), (row.at.isoformat(timespec="seconds").replace("+00:00", "Z"), "")],
        [("who", "$text-muted"), (row.who, "")],
    ]
    if row.model:
        pairs.append([("model", "$text-muted"), (f"{row.model}  {row.change}".strip(), "")])
    if row.reason:
        pairs.append([("reason", "$text-muted"), (row.reason, "")])
    details = {key: value for key, value in row.details.items() if key not in _INNER}
    pairs += [[(key, "$text-muted"), (_shown(value), "")] for key, value in details.items()]
    return Content("\n").join([heading(row.what), grid(pairs, cells)])


def line_page(line: LogLine, cells: int) -> Content:
    """A line of the log, whole."""
    return Content("\n").join([heading(line.source), grid([[(line.text, "")]], cells)])


def _shown(value: Any) -> str:
    if isinstance(value, (Mapping, list, tuple)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _or_nothing(value: object) -> str:
    return "" if value is None else str(value)
