"""The columns of the tables of served models and of recent predictions."""

from __future__ import annotations

from typing import Any

from workbench.desk.recent import PredictionRow
from workbench.desk.serving import ServedRow
from workbench.tui.screens.model_columns import numbered
from workbench.tui.widgets.formats import MISSING, number, plain
from workbench.tui.widgets.table import Column

_STATUS = {"serving": "● serving", "not loaded": "○ waits", "old": "▲ older", "failed": "✗ failed"}
_TONES = {"serving": "success", "old": "warning", "failed": "error"}
_FEATURES_SHOWN = 12


def served_columns() -> list[Column[ServedRow]]:
    return [
        Column("name", "model", value=_name, flex=1, min_width=8),
        Column("version", "ver", format=numbered, align="right", sortable=False),
        Column("status", "status", format=_status, style=_status_tone, min_width=9, sortable=False),
        Column("requests", "requests", align="right", descending_first=True),
        Column("errors", "errors", align="right", descending_first=True, style=_errors_tone),
        Column("p95_ms", "p95 ms", format=_three, align="right", descending_first=True),
        Column("rows", "rows", align="right", hidden=True, descending_first=True),
        Column("problem", "problem", value=_problem, style=_status_tone, flex=2, min_width=0, max_width=200),
    ]


def prediction_columns() -> list[Column[PredictionRow]]:
    return [
        Column("at", "time", format=_time, descending_first=True, sortable=False),
        Column("model", "model", value=_model, max_width=20),
        Column("prediction", "prediction", align="right", sortable=False),
        Column("probability", "prob", format=_probability, align="right"),
        Column("actual", "actual", align="right", sortable=False, style=_actual_tone),
        Column("latency_ms", "ms", format=_three, align="right", descending_first=True),
        Column("features", "features", value=_features, flex=1, min_width=0, max_width=400, sortable=False),
        Column("id", "id", hidden=True),
    ]


def _name(row: ServedRow) -> str:
    return f"{row.name} (default)" if row.is_default else row.name


def _status(value: object) -> str:
    return _STATUS.get(str(value), str(value))


def _status_tone(row: ServedRow, _value: Any) -> str | None:
    return _TONES.get(row.status)


def _errors_tone(row: ServedRow, _value: Any) -> str | None:
    return "error" if row.errors else None


def _problem(row: ServedRow) -> str:
    return row.problem or "; ".join(row.warnings)


def _three(value: object) -> str:
    return number(value, 3)


def _probability(value: Any) -> str:
    """Three digits, and never 0 or 1 for what is merely close to it."""
    if value is None:
        return MISSING
    if 0 < value < 0.0005:
        return "<0.001"
    return ">0.999" if 0.9995 <= value < 1 else f"{value:.3f}"


def _time(value: Any) -> str:
    return str(value.astimezone().strftime("%H:%M:%S"))


def _model(row: PredictionRow) -> str:
    return f"{row.model} {numbered(row.version)}"


def _actual_tone(row: PredictionRow, value: Any) -> str | None:
    """Whether a class was right; how far a number is off is no matter of right and wrong."""
    if value is None or isinstance(row.prediction, float):
        return None
    return "success" if str(value) == str(row.prediction) else "error"


def _features(row: PredictionRow) -> str:
    shown = list(row.features.items())[:_FEATURES_SHOWN]
    return "  ".join(f"{name} {plain(value)}" for name, value in shown)
