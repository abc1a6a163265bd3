"""What a table remembers between two sessions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from workbench.tui.widgets.table.columns import Arrangement
from workbench.tui.widgets.table.order import Sort


@dataclass(frozen=True)
class TableState:
    """Sort, columns, marks, filter and cursor, by keys and ids: it holds whatever the rows are by then."""

    sorts: tuple[Sort, ...] = ()
    arrangement: Arrangement | None = None
    marks: frozenset[str] = frozenset()
    cursor: str | None = None
    column: str | None = None
    filter: str = field(default="")

    def to_json(self) -> dict[str, Any]:
        """JSON's own types."""
        data: dict[str, Any] = {
            "sort": [[sort.key, sort.descending] for sort in self.sorts],
            "marks": sorted(self.marks),
            "cursor": self.cursor,
            "column": self.column,
            "filter": self.filter,
        }
        if self.arrangement is not None:
            data["columns"] = {
                "order": list(self.arrangement.order),
                "chosen": dict(self.arrangement.chosen),
                "widths": dict(self.arrangement.widths),
            }
        return data

    @classmethod
    def from_json(cls, data: object) -> TableState:
        """The state that `to_json` wrote; what can't be read is left at its default."""
        data = data if isinstance(data, Mapping) else {}
        columns = data.get("columns")
        return cls(
            sorts=tuple(
                Sort(item[0], bool(item[1]))
                for item in _list(data.get("sort"))
                if isinstance(item, list) and len(item) == 2 and isinstance(item[0], str)
            ),
            arrangement=_arrangement(columns) if isinstance(columns, Mapping) else None,
            marks=frozenset(_texts(data.get("marks"))),
            cursor=_text(data.get("cursor")),
            column=_text(data.get("column")),
            filter=_text(data.get("filter")) or "",
        )


def _arrangement(data: Mapping[Any, Any]) -> Arrangement:
    widths, chosen = data.get("widths"), data.get("chosen")
    return Arrangement(
        order=tuple(dict.fromkeys(_texts(data.get("order")))),
        widths={
            key: cells
            for key, cells in (widths.items() if isinstance(widths, Mapping) else ())
            if isinstance(key, str) and isinstance(cells, int) and cells > 0
        },
        chosen={
            key: is_shown
            for key, is_shown in (chosen.items() if isinstance(chosen, Mapping) else ())
            if isinstance(key, str) and isinstance(is_shown, bool)
        },
    )


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _texts(value: object) -> list[str]:
    return [item for item in _list(value) if isinstance(item, str)]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
