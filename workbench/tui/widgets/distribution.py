"""The reference's distribution and the present one over it, as a widget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from workbench.tui.widgets.cells import fit
from workbench.tui.widgets.histogram import HistogramStyles, draw_histogram
from workbench.tui.widgets.painter import LinePainter, text_only


@dataclass(frozen=True)
class Bins:
    """Counts of both sides; `edges`, one more than there are bins, or `labels`."""

    reference: Sequence[float]
    now: Sequence[float]
    edges: Sequence[float] | None = None
    labels: Sequence[str] | None = None
    ends: tuple[str, str, str] | None = None
    """What to write at the beginning, middle and end of the edges, where they are no plain numbers."""


class DistributionView(LinePainter, Widget):
    """Draws two distributions in the same bins, or says why there are none."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "distribution--reference",
        "distribution--now",
        "distribution--both",
        "distribution--label",
    }
    DEFAULT_CSS = """
    DistributionView { height: 1fr; width: 1fr; background: $surface; color: $foreground;
        & > .distribution--reference { color: $foreground 55%; }
        & > .distribution--now { color: $text-accent; }
        & > .distribution--both { color: $foreground 80%; }
        & > .distribution--label { color: $foreground 65%; }
    }
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name for it
        super().__init__(id=id)
        self._bins: Bins | None = None
        self._empty_text = ""

    def set_bins(self, bins: Bins | None, *, empty_text: str = "") -> None:
        """Show other counts."""
        if (bins, empty_text) != (self._bins, self._empty_text):
            self._bins, self._empty_text = bins, empty_text
            self.lines_changed()

    def draw_lines(self) -> list[Strip]:
        size = self.scrollable_content_region.size
        base = self.rich_style
        style = self.get_component_rich_style
        label = base + text_only(style("distribution--label"))
        if self._bins is None or not size.width:
            return [Strip([Segment(fit(self._empty_text, size.width), label)], size.width)]
        return draw_histogram(
            self._bins.reference,
            self._bins.now,
            size.width,
            size.height,
            HistogramStyles(
                reference=base + text_only(style("distribution--reference")),
                now=base + text_only(style("distribution--now")),
                both=base + text_only(style("distribution--both")),
                label=label,
            ),
            edges=self._bins.edges,
            labels=self._bins.labels,
            ends=self._bins.ends,
        )
