"""The plot of a chart: dots, and glyphs where there are none."""

from __future__ import annotations

from rich.segment import Segment
from rich.style import Style

from workbench.tui.widgets.cells import clip, width
from workbench.tui.widgets.chart.canvas import BLANK, NOBODY, Canvas
from workbench.tui.widgets.chart.styles import ChartStyles

BAND = 2_000_000
"""Owners from here on are bands, which lines and labels may lie over."""

_GLYPHS = 3_000_000
_BRAILLE = [" ", *(chr(BLANK + dots) for dots in range(1, 256))]


class Picture:
    """The plot: a canvas, and glyphs over it where it is blank."""

    def __init__(self, columns: int, rows: int, styles: ChartStyles) -> None:
        self.canvas = Canvas(columns, rows)
        self.columns, self.rows = columns, rows
        self.styles = styles
        self.glyphs: list[dict[int, tuple[str, int]]] = [{} for _ in range(rows)]
        self.owner_styles: dict[int, Style] = {NOBODY: styles.base}
        self._glyph_owners: dict[Style, int] = {}
        self._lettered: set[tuple[int, int]] = set()

    def is_free(self, row: int, column: int) -> bool:
        return column not in self.glyphs[row] and self._has_no_line(row * self.columns + column)

    def _has_no_line(self, cell: int) -> bool:
        return not self.canvas.bits[cell] or self.canvas.owners[cell] >= BAND

    def put(self, row: int, column: int, glyph: str, style: Style) -> None:
        owner = self._glyph_owners.get(style)
        if owner is None:
            owner = self._glyph_owners[style] = _GLYPHS + len(self._glyph_owners)
            self.owner_styles[owner] = style
        self.glyphs[row][column] = glyph, owner

    def horizontal(self, row: int, label: str, style: Style) -> None:
        """A line from side to side, behind the series, its label as far right as there is room."""
        cells = [f" {label} "] if label else []
        place = self._room(row, width(cells[0])) if cells else None
        if place is not None:
            self.text(row, place, cells[0], style)
        for column in range(self.columns):
            if self.is_free(row, column):
                self.put(row, column, "─", style)

    def vertical(self, column: int, glyph: str, label: str, style: Style) -> None:
        """A line from top to bottom, behind the series, its label beside it in the lowest row with room."""
        for row in range(self.rows):
            if self._has_no_line(row * self.columns + column) and (row, column) not in self._lettered:
                self.put(row, column, glyph, style)
        size = width(label) + 1
        if not label:
            return
        starts = [column + 1, column - size] if column + 1 + size <= self.columns else [column - size]
        for row in range(self.rows - 1, -1, -1):
            for start in starts:
                if start >= 0 and all(self.is_free(row, start + place) for place in range(size)):
                    self.text(row, start, f" {label}" if start > column else f"{label} ", style)
                    return

    def text(self, row: int, column: int, text: str, style: Style) -> None:
        for character in text:
            cells = width(character)
            if column + cells > self.columns:
                return
            if cells == 0:
                continue
            self.put(row, column, character, style)
            for place in range(1, cells):
                self.put(row, column + place, "", style)
            self._lettered.update((row, column + place) for place in range(cells))
            column += cells

    def message(self, text: str, style: Style) -> None:
        text = clip(text, self.columns)
        self.text(self.rows // 2, (self.columns - width(text)) // 2, text, style)

    def _room(self, row: int, cells: int) -> int | None:
        for start in range(self.columns - cells, -1, -1):
            if all(self.is_free(row, start + place) for place in range(cells)):
                return start
        return None

    def segments(self, row: int) -> list[Segment]:
        """A row's segments, neighbours of one style joined."""
        start = row * self.columns
        owners = self.canvas.owners[start : start + self.columns]
        glyphs = list(map(_BRAILLE.__getitem__, self.canvas.bits[start : start + self.columns]))
        for column, (glyph, owner) in self.glyphs[row].items():
            glyphs[column], owners[column] = glyph, owner
        segments: list[Segment] = []
        first, now = 0, NOBODY
        for column, owner in enumerate(owners):
            if owner != now and owner != NOBODY:  # a blank is the same in every style
                if column > first:
                    segments.append(Segment("".join(glyphs[first:column]), self.owner_styles[now]))
                first, now = column, owner
        segments.append(Segment("".join(glyphs[first:]), self.owner_styles[now]))
        return segments
