"""The columns of the comparison: a row for each parameter and metric, a column for each run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from store.run_compare import ComparedRow
from workbench.desk.comparison import is_improvement
from workbench.directions import has_direction, is_lower_better
from workbench.tui.widgets.cells import clean
from workbench.tui.widgets.formats import number
from workbench.tui.widgets.table import Column


@dataclass(frozen=True)
class Row:
    """A compared row with whichever of its values is best."""

    compared: ComparedRow
    best: int | None
    baseline: int

    @property
    def id(self) -> str:
        return f"{self.compared.kind}s.{self.compared.key}"


def compare_columns(names: Sequence[str], baseline: int) -> list[Column[Row]]:
    """`names` are the runs' names in their order."""
    return [
        Column("key", "", value=_key, min_width=12, max_width=20, style=_key_tone),
        *(_run_column(place, name, is_baseline=place == baseline) for place, name in enumerate(names)),
    ]


def _run_column(place: int, name: str, *, is_baseline: bool) -> Column[Row]:
    return Column(
        f"run{place}",
        f"{'◆ ' if is_baseline else ''}{clean(name)}",
        value=lambda row: _text(row, place),
        style=lambda row, _: _tone(row, place),
        align="right",
        flex=1,
        min_width=16,
        max_width=30,
        sortable=False,
        searchable=True,
    )


def _key(row: Row) -> str:
    return metric_title(row.compared)


def metric_title(row: ComparedRow) -> str:
    """A metric with the direction in which it is better."""
    if row.kind != "metric" or not has_direction(row.key):
        return row.key
    return f"{row.key} {'↓' if is_lower_better(row.key) else '↑'}"


def _key_tone(row: Row, _value: Any) -> str | None:
    return "muted" if row.compared.kind == "param" else None


def _text(row: Row, place: int) -> str | None:
    compared = row.compared
    if place >= len(compared.values):
        return None
    value = compared.values[place]
    if value is None or isinstance(value, str):
        return value
    delta = compared.deltas[place]
    star = "★" if row.best == place else ""
    if place == row.baseline or delta is None or delta != delta or delta == 0:
        return f"{star}{number(value)}"
    return f"{star}{number(value)} ({'+' if delta > 0 else '−'}{number(abs(delta), 2)})"


def _tone(row: Row, place: int) -> str | None:
    compared = row.compared
    if compared.kind != "metric" or place >= len(compared.deltas):
        return None
    better = is_improvement(compared.key, compared.deltas[place])
    return None if better is None else "success" if better else "error"
