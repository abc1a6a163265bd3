"""Colours that the colour-blind can tell apart, and glyphs for where there are none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rich.style import Style

ON_DARK = ("#56b4e9", "#e69f00", "#f0e442", "#ff6db6", "#00b386", "#d0d0d0")
"""After Okabe and Ito (2008), lightened; each is another colour of a 16-colour terminal, too."""

ON_LIGHT = ("#0072b2", "#b35900", "#a0148c", "#007d5f", "#c81e1e", "#303030")

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
