"""A snapshot of rows, sorted and filtered: everything about a table's rows that needs no terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from time import perf_counter
from typing import Generic

from workbench.tui.widgets.table.columns import Column, RowT
from workbench.tui.widgets.table.order import (
    Sort,
    haystack,
    matching,
    narrows,
    sort_values,
    sorted_positions,
    words,
)

Predicate = Callable[[RowT], bool]


class Rows(Generic[RowT]):
    """Rows with stable ids, and `shown`: where those that the filter lets through are, in sorted order."""

    def __init__(self, columns: Sequence[Column[RowT]], row_id: Callable[[RowT], str]) -> None:
        self._columns = {column.key: column for column in columns}
        self._row_id = row_id
        self.rows: Sequence[RowT] = ()
        self.ids: list[str] = []
        self.shown: list[int] = []
        self.sorts: tuple[Sort, ...] = ()
        self.text = ""
        self.predicate: Predicate[RowT] | None = None
        self._positions: dict[str, int] = {}
        self._ordered: list[int] = []
        self._haystacks: list[str] = []
        self._searched: dict[str, tuple[RowT, str]] = {}

    def replace_rows(self, rows: Iterable[RowT]) -> None:
        """Take a new snapshot. Raises ValueError when two rows have the same id."""
        rows = tuple(rows)
        ids = list(map(self._row_id, rows))
        positions = {row_id: position for position, row_id in enumerate(ids)}
        if len(positions) != len(rows):
            twice = next(row_id for position, row_id in enumerate(ids) if positions[row_id] != position)
            raise ValueError(f"two rows have the id {twice!r}")
        if self._haystacks:
            read = zip(self.ids, self.rows, self._haystacks, strict=False)
            self._searched = {row_id: (row, text) for row_id, row, text in read}
        self.rows, self.ids, self._positions, self._haystacks = rows, ids, positions, []
        self._sort()
        self._filter()

    def replace_columns(self, columns: Sequence[Column[RowT]]) -> None:
        """Take other columns; a sort by one that is gone ends."""
        self._columns = {column.key: column for column in columns}
        self._haystacks, self._searched = [], {}
        self.sort(tuple(sort for sort in self.sorts if sort.key in self._columns))

    def sort(self, sorts: Iterable[Sort]) -> None:
        """Sort by the first of `sorts`, its ties by the second…; what ties remain stay as they came."""
        self.sorts = tuple(sort for sort in sorts if sort.key in self._columns)
        self._sort()
        self._filter()

    def filter(self, text: str, predicate: Predicate[RowT] | None) -> None:
        """Show the rows that have every word of `text` and that `predicate` accepts."""
        if predicate is self.predicate and narrows(text, self.text) and self.text:
            self.text = text
            self.shown = matching(self._searchable(), self.shown, text)
            return
        self.text, self.predicate = text, predicate
        self._filter()

    def prepare_filter(self, seconds: float) -> bool:
        """Read what a filter searches, for `seconds` at most; True when there is no more to read."""
        columns = [column for column in self._columns.values() if column.is_searchable]
        deadline = perf_counter() + seconds
        while len(self._haystacks) < len(self.rows):
            for position in range(len(self._haystacks), min(len(self._haystacks) + 100, len(self.rows))):
                row = self.rows[position]
                known = self._searched.get(self.ids[position])
                self._haystacks.append(known[1] if known and known[0] is row else haystack(columns, row))
            if perf_counter() > deadline:
                break
        return len(self._haystacks) == len(self.rows)

    def index_of(self, row_id: str | None) -> int | None:
        """Where a row is shown, or None when it is not."""
        position = self._positions.get(row_id) if row_id is not None else None
        if position is None:
            return None
        try:
            return self.shown.index(position)
        except ValueError:
            return None

    def get(self, row_id: str) -> RowT | None:
        """A row of the snapshot, shown or not."""
        position = self._positions.get(row_id)
        return None if position is None else self.rows[position]

    def __contains__(self, row_id: str) -> bool:
        return row_id in self._positions

    @property
    def is_filtered(self) -> bool:
        return bool(words(self.text)) or self.predicate is not None

    def _sort(self) -> None:
        ordered = list(range(len(self.rows)))
        for sort in reversed(self.sorts):
            values = sort_values(self._columns[sort.key], self.rows)
            ordered = sorted_positions(values, ordered, descending=sort.descending)
        self._ordered = ordered

    def _filter(self) -> None:
        shown = self._ordered
        if self.predicate is not None:
            predicate, rows = self.predicate, self.rows
            shown = [position for position in shown if predicate(rows[position])]
        if words(self.text):
            shown = matching(self._searchable(), shown, self.text)
        self.shown = shown

    def _searchable(self) -> list[str]:
        self.prepare_filter(float("inf"))
        return self._haystacks
