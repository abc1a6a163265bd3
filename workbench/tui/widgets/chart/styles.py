"""Colours that the colour-blind can tell apart, and glyphs for where there are none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rich.style import Style

ON_DARK = ("#56b4e9", "#e69f00", "#f0e442", "#ff5577", "#11ddbb", "#dd33ff")
"""Okabe and Ito's (2008) as far as they stand out on a dark background, then others as far from them, to
people who can't see red or green, too; each becomes another colour on a terminal of sixteen."""

ON_LIGHT = ("#0072b2", "#aa2200", "#227755", "#880066", "#0000ff")

GLYPHS = "●▲■◆○△□◇"
"""What marks the points of each series where colours can't tell them apart."""

LINE = "━"


@dataclass(frozen=True)
class ChartStyles:
    """The colours of a chart's parts; without `has_color` series carry glyphs."""

    base: Style = field(default_factory=Style)
    axis: Style = field(default_factory=Style)
    label: Style = field(default_factory=Style)
    cursor: Style = field(default_factory=Style)
    tones: Mapping[str, Style] = field(default_factory=dict)
    palette: tuple[str, ...] = ON_DARK
    has_color: bool = True

    def series(self, index: int) -> Style:
        """The style of the series that is `index`th in the palette; it starts again when it is at its end."""
        if not self.has_color:
            return self.base
        style = self.base + Style(color=self.palette[index % len(self.palette)])
        return style + Style(bold=True) if index >= len(self.palette) else style

    def glyph(self, index: int) -> str:
        """The glyph that marks the `index`th series."""
        return GLYPHS[index % len(GLYPHS)]

    def tone(self, name: str) -> Style:
        return self.base + self.tones.get(name, Style())
