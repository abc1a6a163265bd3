"""The columns of the tables of models and of versions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from workbench.desk.models import ModelRow, VersionRow
from workbench.directions import is_lower_better
from workbench.tui.widgets.formats import age, moment, number
from workbench.tui.widgets.table import Column

_ROLE_TONES = {"champion": "success", "challenger": "accent"}


def model_columns() -> list[Column[ModelRow]]:
    return [
        Column("name", "model", flex=1, min_width=8, style=_model_tone),
        Column("champion", "champ", value=_champion, format=numbered, align="right", sortable=False),
        Column("versions", "n", value=lambda row: len(row.versions), align="right", sortable=False),
        Column("challenger", "challenger", value=_challenger, format=numbered, align="right", hidden=True),
    ]


def version_columns(metrics: Sequence[str]) -> list[Column[VersionRow]]:
    """What a version is, how good it is by its first metric and when it was made; then the rest."""
    first, rest = metrics[:1], metrics[1:]
    return [
        Column("number", "ver", format=numbered, descending_first=True),
        Column("aliases", "alias", value=_aliases, format=_or_nothing, style=_alias_tone, max_width=24),
        Column("gate", "gate", value=_gate, format=_or_nothing, style=_gate_tone),
        *(_metric(name) for name in first),
        Column("age", "age", value=_created, format=age, align="right", descending_first=True),
        Column("stage", "stage", value=_stage, format=_or_nothing, style=_stage_tone, max_width=12),
        *(_metric(name) for name in rest),
        Column("run", "run", value=_run, hidden=True),
        Column("created", "created", value=_created, format=moment, hidden=True, descending_first=True),
        Column("status", "status", value=lambda row: row.version.status.lower(), hidden=True),
        Column("description", "description", value=_description, hidden=True, flex=1),
    ]


def numbered(version: object) -> str:
    """A version as it is called: v3."""
    return "—" if version is None else f"v{version}"


def _metric(name: str) -> Column[VersionRow]:
    return Column(
        f"metrics.{name}",
        name,
        value=lambda row: row.version.metrics.get(name),
        format=number,
        align="right",
        descending_first=not is_lower_better(name),
        max_width=14,
    )


def _or_nothing(value: object) -> str:
    return "" if value is None else str(value)


def _model_tone(row: ModelRow, _value: Any) -> str | None:
    return "error" if row.model.problem else None


def _champion(row: ModelRow) -> int | None:
    return row.model.champion


def _challenger(row: ModelRow) -> int | None:
    return row.model.challenger


def _aliases(row: VersionRow) -> str | None:
    role = f"● {row.role}" if row.role else "archived" if row.version.stage == "Archived" else ""
    return ", ".join(filter(None, (role, *row.other_aliases))) or None


def _alias_tone(row: VersionRow, _value: Any) -> str | None:
    return _ROLE_TONES.get(row.role, "muted")


def _stage(row: VersionRow) -> str | None:
    return None if row.version.stage == "None" else row.version.stage


def _stage_tone(row: VersionRow, _value: Any) -> str | None:
    return "muted" if row.version.stage == "Archived" else None


def _gate(row: VersionRow) -> str | None:
    return None if row.gate_accepted is None else "✓ accepted" if row.gate_accepted else "✗ refused"


def _gate_tone(row: VersionRow, _value: Any) -> str | None:
    return None if row.gate_accepted is None else "success" if row.gate_accepted else "error"


def _created(row: VersionRow) -> datetime:
    return row.version.created_at


def _run(row: VersionRow) -> str | None:
    return row.version.run_id[:8] if row.version.run_id else None


def _description(row: VersionRow) -> str | None:
    return row.version.description or None
