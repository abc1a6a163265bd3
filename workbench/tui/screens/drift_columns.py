"""The columns of the ranking and of the alerts."""

from __future__ import annotations

from typing import Any

from store.alerts import Alert
from workbench.desk.drift_rows import DriftRow, is_alone
from workbench.tui.widgets.formats import MISSING, moment, number
from workbench.tui.widgets.sparkline import sparkline
from workbench.tui.widgets.table import Column

SYMBOLS = {"critical": "■", "warning": "▲", "watch": "●", "ok": "·", "insufficient": "?"}
TONES = {"critical": "error", "warning": "warning", "watch": "accent"}
_WORDS = {"insufficient": "too few"}
_TREND_CELLS = 8


def ranking_columns() -> list[Column[DriftRow]]:
    return [
        Column("name", "feature", value=_name, style=_name_tone, flex=2, min_width=13, max_width=36),
        Column(
            "value",
            "effect",
            format=_effect,
            style=_tone,
            align="right",
            width=7,
            descending_first=True,
        ),
        Column("trend", "trend", value=_trend, width=_TREND_CELLS, sortable=False, searchable=False),
        Column(
            "severity", "severity", value=_severity, style=_tone, width=10, sort_key=_rank, searchable=True
        ),
        Column("since", "since", format=_when, style=_muted, width=6, descending_first=True),
        Column("note", "", format=str, style=_note_tone, flex=3, min_width=12, max_width=80, sortable=False),
        Column(
            "importance",
            "importance",
            value=lambda row: row.source.get("importance"),
            format=_share,
            align="right",
            hidden=True,
            descending_first=True,
        ),
        Column(
            "p",
            "adjusted p",
            value=lambda row: row.source.get("p_adjusted"),
            format=number,
            align="right",
            hidden=True,
        ),
    ]


def alert_columns() -> list[Column[Alert]]:
    return [
        Column("severity", "alert", value=_alert_severity, style=_alert_tone, width=10),
        Column("since", "since", format=_when, style=lambda alert, value: "muted", width=6),
        Column("message", "message", value=_message, flex=1, min_width=20, max_width=200),
        Column("state", "state", value=_state, style=_state_tone, min_width=6),
        Column("id", "id", hidden=True),
    ]


def _name(row: DriftRow) -> str:
    return f"{SYMBOLS.get(row.severity, ' ')} {row.name}"


def _name_tone(row: DriftRow, _value: Any) -> str | None:
    return TONES.get(row.severity)


def _tone(row: DriftRow, _value: Any) -> str | None:
    return TONES.get(row.severity, "muted" if row.severity else None)


def _effect(value: object) -> str:
    if not isinstance(value, float):
        return MISSING
    return f"{value:.2f}" if abs(value) < 100 else f"{value:.0f}"


def _trend(row: DriftRow) -> str:
    low = None if row.scale is None else 0.0
    return sparkline(row.trend, _TREND_CELLS, low=low, high=row.scale).rjust(_TREND_CELLS)


def _severity(row: DriftRow) -> str:
    if row.kind == "performance":
        return (
            "▼ dropped" if row.source.get("dropped") else "estimated" if row.source.get("estimated") else ""
        )
    if row.kind in ("feature", "prediction") and is_alone(row.source):
        return "not judged"
    return _WORDS.get(row.severity, row.severity)


def _rank(value: Any) -> int:
    order = ("", "estimated", "not judged", "too few", "ok", "watch", "warning", "critical", "▼ dropped")
    return order.index(value) if value in order else 0


def _when(value: object) -> str:
    """The time of day in minutes, or the day."""
    if value is None:
        return ""
    text = moment(value)
    return text[:5] if text[2:3] == ":" else text[:6]


def _muted(row: DriftRow, _value: Any) -> str | None:
    return "muted"


def _note_tone(row: DriftRow, _value: Any) -> str | None:
    return "error" if row.source.get("dropped") else "muted"


def _share(value: object) -> str:
    return f"{value:.1%}" if isinstance(value, float) else MISSING


def _message(alert: Alert) -> str:
    """Without the name of the version, which stands over the table, and without the p value."""
    said = alert.message.partition("; adjusted p ")[0]
    return said.removeprefix(f"{alert.model} version {alert.version}").lstrip(": ")


def _alert_severity(alert: Alert) -> str:
    return f"{SYMBOLS[alert.severity]} {alert.severity}"


def _alert_tone(alert: Alert, _value: Any) -> str | None:
    return TONES[alert.severity] if alert.state == "open" else "muted"


def _state(alert: Alert) -> str:
    if alert.state == "acknowledged":
        return "✓ seen"
    if alert.state == "silenced":
        return f"z until {moment(alert.silenced_until)}"
    return alert.state


def _state_tone(alert: Alert, _value: Any) -> str | None:
    return None if alert.state == "open" else "muted"
