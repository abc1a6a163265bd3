"""What a table's columns are, and what a person has changed about them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from operator import attrgetter
from typing import Any, Generic, TypeVar

from workbench.tui.widgets.cells import Align
from workbench.tui.widgets.formats import plain

RowT = TypeVar("RowT")

MIN_WIDTH = 3


@dataclass(frozen=True)
class Column(Generic[RowT]):
    """One column of a table whose rows are of type `RowT`."""

    key: str
    """Its name in messages, saved state and (by default) in the row: an attribute or a mapping's key."""

    title: str

    value: Callable[[RowT], Any] | None = None
    """Takes the value out of a row; None means missing."""

    format: Callable[[Any], str] = plain
    """Turns the value into text, which is shown as it is: markup in it means nothing."""

    style: Callable[[RowT, Any], str | None] | None = None
    """A tone (muted, accent, success, warning, error) or a Rich style for one cell."""

    align: Align = "left"
    width: int | None = None
    """Cells; by default as wide as the title and what is seen of the values."""

    min_width: int = MIN_WIDTH
    max_width: int = 40
    flex: int = 0
    """Its part of the room that is left, or missing, when all columns are placed."""

    sortable: bool = True
    sort_key: Callable[[Any], Any] | None = None
    """What to sort a value by; None from it counts as missing."""

    descending_first: bool = False
    """Whether the first press of the sort key puts the largest on top."""

    searchable: bool | None = None
    """Whether the filter looks at it; by default if it is aligned left and no sparkline."""

    sparkline: bool = False
    """Values are sequences of numbers, drawn as bars and sorted by the last of them that is finite."""

    lazy: bool = False
    """Its values are read once their rows are in sight: the table then tells which are (`RowsInSight`)."""

    hidden: bool = False
    """Not shown until a person chooses it."""

    @cached_property
    def get(self) -> Callable[[RowT], Any]:
        """Takes the value out of a row."""
        if self.value is not None:
            return self.value
        key, attribute = self.key, attrgetter(self.key)
        return lambda row: row.get(key) if isinstance(row, Mapping) else attribute(row)

    @property
    def is_searchable(self) -> bool:
        if self.searchable is None:
            return self.align == "left" and not self.sparkline
        return self.searchable


@dataclass(frozen=True)
class Arrangement:
    """Which columns are shown, in which order and how wide: a person's choice over the columns' own.

    It holds for columns that come and go: what was chosen of one that isn't there is kept until it is back.
    """

    order: tuple[str, ...] = ()
    hidden: frozenset[str] = field(default_factory=frozenset, compare=False)
    """What follows for the columns that there are: those not shown, by choice or by themselves, or away."""

    widths: Mapping[str, int] = field(default_factory=dict)
    chosen: Mapping[str, bool] = field(default_factory=dict)
    """By key, whether a person wants to see the column; of any other the column itself decides."""

    @classmethod
    def of(cls, columns: Iterable[Column[Any]]) -> Arrangement:
        """The columns as their specifications have them."""
        return cls().adapted(tuple(columns))

    def adapted(self, columns: Sequence[Column[Any]]) -> Arrangement:
        """The same choice for other columns; those that are new come in after their neighbour."""
        order = list(self.order)
        listed = set(order)
        for position, column in enumerate(columns):
            if column.key not in listed:
                before = order.index(columns[position - 1].key) + 1 if position else 0
                order.insert(before, column.key)
                listed.add(column.key)
        away = listed - {column.key for column in columns}
        hidden = {column.key for column in columns if not self.chosen.get(column.key, not column.hidden)}
        if len(hidden) == len(columns):
            hidden = set()
        return replace(self, order=tuple(order), hidden=frozenset(hidden | away))

    def shown(self, columns: Iterable[Column[RowT]]) -> list[Column[RowT]]:
        """The columns to draw, in order."""
        by_key = {column.key: column for column in columns}
        return [by_key[key] for key in self.order if key in by_key and key not in self.hidden]

    def moved(self, key: str, by: int) -> Arrangement:
        """With column `key` moved past `by` shown columns, to the right if `by` is positive."""
        shown = [name for name in self.order if name not in self.hidden]
        if key not in shown:
            return self
        target = min(len(shown) - 1, max(0, shown.index(key) + by))
        neighbour = shown[target]
        if neighbour == key:
            return self
        rest = [name for name in self.order if name != key]
        place = rest.index(neighbour) + (1 if by > 0 else 0)
        return replace(self, order=(*rest[:place], key, *rest[place:]))

    def toggled(self, key: str) -> Arrangement:
        """With column `key` hidden if it is shown and shown if it is hidden; the last one shown stays."""
        if key not in self.order:
            return self
        is_hidden = key in self.hidden
        if not is_hidden and len(self.order) - len(self.hidden) <= 1:
            return self
        return replace(self, hidden=self.hidden ^ {key}, chosen={**self.chosen, key: is_hidden})

    def ordered(self, keys: Iterable[str]) -> Arrangement:
        """With `keys` in this order in the places that they have together; all others stay where they are."""
        wanted = list(keys)
        moved, following = set(wanted), iter(wanted)
        return replace(self, order=tuple(next(following) if key in moved else key for key in self.order))

    def resized(self, key: str, cells: int | None) -> Arrangement:
        """With column `key` `cells` wide; None gives it back its own width."""
        widths = {name: width for name, width in self.widths.items() if name != key}
        if cells is not None:
            widths[key] = max(MIN_WIDTH, cells)
        return replace(self, widths=widths)
