"""A widget that keeps the lines it has drawn, so that a change costs what changed and rest costs nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.style import Style
from textual.geometry import Region, Size
from textual.strip import Strip

from workbench.tui.widgets.painting import changed_regions

if TYPE_CHECKING:
    from textual.widget import Widget as _Widget
else:
    _Widget = object


class LinePainter(_Widget):
    """Mixed into a widget: it draws in `draw_lines` and calls `lines_changed` when they may differ."""

    narrow_up_to: int | None = None
    """How many lines may differ for each to be sent only as far as it does."""

    _painted: list[Strip]
    _painted_size: Size | None = None
    _is_paint_due = False

    def draw_lines(self) -> list[Strip]:
        """The lines to be seen, each as wide as the part of the widget that scrolls."""
        raise NotImplementedError

    def lines_changed(self) -> None:
        """Draw again once what is being done is done, and refresh the cells that differ."""
        if not self._is_paint_due:
            self._is_paint_due = True
            self.call_next(self._paint)

    def render_line(self, y: int) -> Strip:
        painted = self._up_to_date()
        return painted[y] if y < len(painted) else Strip.blank(self.size.width, self.rich_style)

    def render_lines(self, crop: Region) -> list[Strip]:
        if not self._is_bare():
            return super().render_lines(crop)
        filters = self.get_line_filters()
        background = self.background_colors[1]
        width, style = self.size.width, self.rich_style
        painted = self._up_to_date()
        strips = []
        for y in crop.line_range:
            strip = painted[y] if y < len(painted) else Strip.blank(width, style)
            strip = strip.adjust_cell_length(width, style)
            for line_filter in filters:
                strip = strip.apply_filter(line_filter, background)
            strips.append(strip.crop(*crop.column_span))
        return strips

    def _is_bare(self) -> bool:
        """Whether there is nothing around or over the lines, so that they need no dressing by Textual."""
        styles = self.styles
        return not (
            styles.gutter.totals != (0, 0)
            or styles.has_rule("outline_top")
            or styles.has_rule("hatch")
            or styles.tint.a
            or styles.text_opacity != 1.0
            or self.opacity != 1.0
        )

    def _up_to_date(self) -> list[Strip]:
        size = self.scrollable_content_region.size
        if self._painted_size != size:
            self._painted_size = size
            self._painted = self.draw_lines() if size else []
        return self._painted

    def _paint(self) -> None:
        self._is_paint_due = False
        if not self.is_attached or not self.size:
            self._painted_size = None  # hidden: what it shows when it is seen again is drawn then
            return
        if self._painted_size != self.scrollable_content_region.size:
            self._up_to_date()
            self.refresh()
            return
        before, self._painted = self._painted, self.draw_lines()
        for region in changed_regions(before, self._painted, narrow_up_to=self.narrow_up_to):
            self.refresh(region)


def text_only(style: Style) -> Style:
    """The part of a style that may lie over any background."""
    return Style(color=style.color, bold=style.bold, italic=style.italic, underline=style.underline)
