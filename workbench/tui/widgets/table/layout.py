"""Where the columns of a table stand: widths from contents, flexible room, a frozen first column."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from workbench.tui.widgets.cells import clean, width
from workbench.tui.widgets.table.columns import Column

GUTTER = 3
"""Cells before the first column: the cursor's glyph, the mark, a blank."""

GAP = 2
_ARROW = 2  # a blank and the arrow that a sorted column shows behind its title
_LEAST_CUT = 6
Zone = Literal["gutter", "column", "edge"]

_ROWS_MEASURED = 120
_SPARKLINE_WIDTH = 10


@dataclass(frozen=True)
class Slot:
    """A column's place: `cells` from `x` on. It may be narrower than the column at the right edge."""

    column: Column[Any]
    x: int
    cells: int


@dataclass(frozen=True)
class Layout:
    """The columns that are in sight, in `width` cells; one more at the right is the scrollbar's."""

    slots: tuple[Slot, ...] = ()
    width: int = 0
    more_left: bool = False
    more_right: bool = False

    def hit(self, x: int) -> tuple[str | None, Zone]:
        """Which column cell `x` belongs to, and whether it is on the gap behind it, its edge."""
        if x < GUTTER:
            return None, "gutter"
        for slot in self.slots:
            if slot.x <= x < slot.x + slot.cells:
                return slot.column.key, "column"
            if slot.x + slot.cells <= x < slot.x + slot.cells + GAP:
                return slot.column.key, "edge"
        return None, "column"


def natural_width(column: Column[Any], rows: Sequence[Any]) -> int:
    """The cells that the title and a sample of the values take, within the column's limits."""
    if column.width is not None:
        return column.width
    title = width(clean(column.title)) + (_ARROW if column.sortable else 0)
    if column.sparkline:
        return max(title, _SPARKLINE_WIDTH, column.min_width)
    step = max(1, len(rows) // _ROWS_MEASURED)
    widest = max((width(clean(column.format(column.get(row)))) for row in rows[::step]), default=0)
    return max(title, column.min_width, min(column.max_width, widest))


def fit_widths(
    columns: Sequence[Column[Any]], natural: Mapping[str, int], chosen: Mapping[str, int], available: int
) -> dict[str, int]:
    """Widths of the columns in `available` cells: flexible ones share what is left, the widest give up first.

    A person's `chosen` widths are kept as they are.
    """
    widths = {column.key: chosen.get(column.key, natural[column.key]) for column in columns}
    flexible = [column for column in columns if column.flex > 0 and column.key not in chosen]
    spare = available - GUTTER - sum(widths.values()) - GAP * max(0, len(columns) - 1)
    if spare >= 0:
        weights = sum(column.flex for column in flexible)
        for column in flexible:
            share = spare * column.flex // weights
            widths[column.key] += share
            spare, weights = spare - share, weights - column.flex
    elif flexible:
        widths |= _levelled(flexible, widths, sum(widths[column.key] for column in flexible) + spare)
    return widths


def _levelled(columns: Sequence[Column[Any]], widths: Mapping[str, int], room: int) -> dict[str, int]:
    """Widths of at most `room` together, no column below its least: what is above a level comes down."""

    def at(level: int) -> dict[str, int]:
        return {c.key: max(min(c.min_width, widths[c.key]), min(widths[c.key], level)) for c in columns}

    low, high = 0, max(widths[column.key] for column in columns)
    while low < high:
        middle = (low + high + 1) // 2
        if sum(at(middle).values()) <= room:
            low = middle
        else:
            high = middle - 1
    levelled = at(low)
    rest = room - sum(levelled.values())
    for column in columns:
        if rest > 0 and levelled[column.key] == low < widths[column.key]:
            levelled[column.key] += 1
            rest -= 1
    return levelled


def place(columns: Sequence[Column[Any]], widths: Mapping[str, int], available: int, skipped: int) -> Layout:
    """Columns from left to right: the first stays, `skipped` others are scrolled out to the left."""
    skipped = min(max(0, skipped), max(0, len(columns) - 2))
    slots: list[Slot] = []
    x = GUTTER
    for column in (*columns[:1], *columns[1 + skipped :]):
        cells = min(widths[column.key], available - x)
        is_cut = cells < widths[column.key]
        if cells <= 0 or (is_cut and slots and (column.align != "left" or cells < _LEAST_CUT)):
            break  # half a number says nothing, and neither do a few letters
        slots.append(Slot(column, x, cells))
        x += cells + GAP
    last = slots[-1] if slots else None
    return Layout(
        slots=tuple(slots),
        width=available,
        more_left=skipped > 0,
        more_right=1 + skipped + len(slots) - 1 < len(columns)
        or (last is not None and last.cells < widths[last.column.key]),
    )


def skipped_to_show(
    columns: Sequence[Column[Any]], widths: Mapping[str, int], available: int, skipped: int, key: str
) -> int:
    """How many columns to scroll out so that column `key` is in sight, changing as little as possible."""
    keys = [column.key for column in columns]
    if key not in keys[1:]:
        return 0 if keys and key == keys[0] else skipped
    wanted = keys.index(key) - 1
    if wanted <= skipped:
        return wanted
    room = available - GUTTER - widths[keys[0]] - GAP
    while skipped < wanted and _extent(widths, keys[1 + skipped : 2 + wanted]) > room:
        skipped += 1
    return skipped


def _extent(widths: Mapping[str, int], keys: Iterable[str]) -> int:
    sizes = [widths[key] for key in keys]
    return sum(sizes) + GAP * (len(sizes) - 1)


def thumb(rows: int, page: int, top: int) -> range:
    """The lines, of `page`, in which a scrollbar's thumb stands; none when all `rows` are in sight."""
    if rows <= page or page <= 0:
        return range(0)
    size = max(1, page * page // rows)
    start = round(top / (rows - page) * (page - size))
    return range(start, start + size)


def top_for_thumb(rows: int, page: int, line: int) -> int:
    """The first row in sight when a person drags the thumb to `line`."""
    size = len(thumb(rows, page, 0))
    room = max(1, page - size)
    return round(min(max(0, line - size // 2), room) / room * max(0, rows - page))
