"""The plot of a chart: dots, and glyphs where there are none."""

from __future__ import annotations

from rich.segment import Segment
from rich.style import Style

from workbench.tui.widgets.cells import clip, width
from workbench.tui.widgets.chart.canvas import BLANK, NOBODY, Canvas
from workbench.tui.widgets.chart.styles import ChartStyles


class Picture:
    """The plot: a canvas, and glyphs over it where it is blank."""

    def __init__(self, columns: int, rows: int, styles: ChartStyles) -> None:
        self.canvas = Canvas(columns, rows)
        self.columns, self.rows = columns, rows
        self.styles = styles
        self.glyphs: dict[int, tuple[str, Style]] = {}
        self.owner_styles: dict[int, Style] = {NOBODY: styles.base}

    def is_free(self, row: int, column: int) -> bool:
        cell = row * self.columns + column
        return not self.canvas.bits[cell] and cell not in self.glyphs

    def put(self, row: int, column: int, glyph: str, style: Style) -> None:
        self.glyphs[row * self.columns + column] = glyph, style

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
            if not self.canvas.bits[row * self.columns + column]:
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
        parts: list[tuple[str, Style]] = []
        start = row * self.columns
        bits = self.canvas.bits[start : start + self.columns]
        owners = self.canvas.owners[start : start + self.columns]
        text, style = "", self.styles.base
        for place, (dots, owner) in enumerate(zip(bits, owners, strict=True)):
            drawn = self.glyphs.get(start + place) if self.glyphs else None
            if drawn is not None:
                glyph, its_style = drawn
            elif dots:
                glyph, its_style = chr(BLANK + dots), self.owner_styles[owner]
            else:
                glyph, its_style = " ", style if text else self.styles.base
            if its_style is not style and its_style != style:
                if text:
                    parts.append((text, style))
                text, style = "", its_style
            text += glyph
        parts.append((text, style))
        return [Segment(text, style) for text, style in parts if text]
