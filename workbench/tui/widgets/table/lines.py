"""A table's lines, drawn from plain values: header, rows, status line."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from rich.errors import StyleSyntaxError
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from workbench.tui.widgets.cells import clean, clip, fit, width
from workbench.tui.widgets.sparkline import sparkline
from workbench.tui.widgets.table.columns import Column
from workbench.tui.widgets.table.layout import GAP, GUTTER, Layout
from workbench.tui.widgets.table.order import Sort

CURSOR = "▸"
MARK = "◆"
ASCENDING, DESCENDING = "↑", "↓"
MORE_LEFT, MORE_RIGHT = "‹", "›"
RANKS = "¹²³⁴⁵⁶⁷⁸⁹"
RULE = "─"
THUMB = "▐"


@dataclass(frozen=True)
class TableStyles:
    """The colours of a table's parts, and of the tones that cells ask for by name."""

    row: Style = field(default_factory=Style)
    cursor: Style = field(default_factory=Style)
    header: Style = field(default_factory=Style)
    header_current: Style = field(default_factory=Style)
    mark: Style = field(default_factory=Style)
    status: Style = field(default_factory=Style)
    thumb: Style = field(default_factory=Style)
    tones: Mapping[str, Style] = field(default_factory=dict)


class _Line:
    """Segments with neighbours of one style joined, which is what a terminal has to be sent least for."""

    def __init__(self) -> None:
        self._segments: list[Segment] = []
        self._text = ""
        self._style: Style | None = None

    def add(self, text: str, style: Style) -> None:
        if not text:
            return
        if self._style is style or (self._style is not None and self._style == style):
            self._text += text
            return
        if self._style is not None:
            self._segments.append(Segment(self._text, self._style))
        self._text, self._style = text, style

    def strip(self, cells: int) -> Strip:
        if self._text:
            self._segments.append(Segment(self._text, self._style))
        return Strip(self._segments, cells)


def cell_text(column: Column[Any], value: Any, cells: int) -> str:
    """A value as it stands in a cell of `cells` cells."""
    if column.sparkline and value is not None and not isinstance(value, str):
        return fit(sparkline(value, cells), cells, column.align)
    return fit(clean(column.format(value)), cells, column.align)


def draw_row(
    row: Any,
    layout: Layout,
    styles: TableStyles,
    *,
    has_cursor: bool = False,
    is_marked: bool = False,
    has_thumb: bool = False,
    tone: str | None = None,
) -> Strip:
    """A row's line; the cursor and the mark are glyphs as well as colours."""
    base = styles.cursor if has_cursor else styles.row
    if tone:
        base = _toned(base, tone, styles)
    line = _Line()
    line.add(CURSOR if has_cursor else " ", base)
    if is_marked:
        line.add(MARK, base + styles.mark)
        line.add(" ", base)
    else:
        line.add("  ", base)
    x = GUTTER
    for slot in layout.slots:
        column = slot.column
        line.add(" " * (slot.x - x), base)
        value = column.get(row)
        cell_tone = column.style(row, value) if column.style is not None else None
        style = _toned(base, cell_tone, styles) if cell_tone else base
        line.add(cell_text(column, value, slot.cells), style)
        x = slot.x + slot.cells
    line.add(" " * (layout.width - x), base)
    line.add(THUMB if has_thumb else " ", styles.thumb if has_thumb else base)
    return line.strip(layout.width + 1)


def draw_header(
    layout: Layout, styles: TableStyles, sorts: Sequence[Sort] = (), current: str | None = None
) -> Strip:
    """The titles: arrows on sorted columns, the current one set off, hints at columns out of sight."""
    line = _Line()
    line.add(" " * GUTTER, styles.header)
    x = GUTTER
    for position, slot in enumerate(layout.slots):
        gap = " " * (slot.x - x)
        if position == 1 and layout.more_left:
            gap = fit(MORE_LEFT, len(gap), "center")
        line.add(gap, styles.header)
        style = styles.header_current if slot.column.key == current else styles.header
        line.add(_title(slot.column, slot.cells, sorts), style)
        x = slot.x + slot.cells
    rest = layout.width + 1 - x
    line.add(" " * (rest - 1) + (MORE_RIGHT if layout.more_right else " "), styles.header)
    return line.strip(layout.width + 1)


def _title(column: Column[Any], cells: int, sorts: Sequence[Sort]) -> str:
    title = clean(column.title)
    for rank, sort in enumerate(sorts):
        if sort.key == column.key:
            arrow = DESCENDING if sort.descending else ASCENDING
            arrow += RANKS[rank] if len(sorts) > 1 and rank < len(RANKS) else ""
            title = clip(title, max(1, cells - len(arrow) - 1))
            return fit(f"{title} {arrow}", cells, column.align)
    return fit(title, cells, column.align)


def draw_status(left: str, right: str, cells: int, style: Style) -> Strip:
    """The line under the rows: `left ──── right`, each given up when there is no room."""
    left, right = clean(left), clean(right)
    left = clip(left, max(0, cells - width(right) - 2 * GAP))
    text = f"{left} " if left else ""
    if cells - width(text) >= width(right) + 1:
        text += RULE * (cells - width(text) - width(right) - 1) + " " + right
    return Strip([Segment(fit(text, cells), style)], cells)


def draw_message(text: str, cells: int, style: Style) -> list[Strip]:
    """Lines that say why there are no rows."""
    lines = textwrap.wrap(clean(text), max(1, cells - GUTTER), break_on_hyphens=False) or [""]
    return [Strip([Segment(fit(" " * GUTTER + line, cells), style)], cells) for line in lines]


def _toned(base: Style, tone: str, styles: TableStyles) -> Style:
    return _add(base, styles.tones.get(tone) or _parsed(tone))


@lru_cache(maxsize=1024)
def _add(base: Style, style: Style) -> Style:
    return base + style


@lru_cache(maxsize=256)
def _parsed(style: str) -> Style:
    try:
        return Style.parse(style)
    except StyleSyntaxError:
        return Style.null()
