"""Two distributions over one another: the reference ▒ against now █, and ▓ where both are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil, isfinite, log10

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from workbench.tui.widgets.cells import clean, fit
from workbench.tui.widgets.chart.axis import compact

REFERENCE, NOW, BOTH, TRACE = "▒", "█", "▓", "▁"


@dataclass(frozen=True)
class HistogramStyles:
    reference: Style = field(default_factory=Style)
    now: Style = field(default_factory=Style)
    both: Style = field(default_factory=Style)
    label: Style = field(default_factory=Style)


def draw_histogram(
    reference: Sequence[float],
    now: Sequence[float],
    columns: int,
    rows: int,
    styles: HistogramStyles,
    *,
    edges: Sequence[float] | None = None,
    labels: Sequence[str] | None = None,
    ends: tuple[str, str, str] | None = None,
) -> list[Strip]:
    """Counts or shares by bin, each side as a share of its own total, in `columns` × `rows` cells.

    With `edges` (one more than there are bins) bins are as wide as they are, and heights are densities, so
    that areas compare; `ends` is what to write there in place of numbers. Without them, all bins are alike
    and `labels` names them. The last line has the labels if there are two lines or more.
    """
    if len(reference) != len(now) or (edges is not None and len(edges) != len(now) + 1):
        raise ValueError("a histogram needs as many counts on either side, and one edge more")
    columns, rows = max(1, columns), max(1, rows)
    widths = _widths(edges, len(now))
    bins = _bins_by_column(widths, columns)
    heights = [_heights(counts, widths, bins) for counts in (reference, now)]
    highest = max((height for side in heights for height in side), default=0.0)
    bars = rows - 1 if rows > 1 else rows
    before, after = ([height / highest * bars if highest else 0.0 for height in side] for side in heights)
    lines = [_bar_line(row, before, after, styles) for row in range(bars, 0, -1)]
    if rows > 1:
        if edges is not None:
            text = _edge_labels(ends or _ends(edges), columns)
        else:
            text = _bin_labels(labels or (), bins, columns)
        lines.append(Strip([Segment(text, styles.label)], columns))
    return lines


def _widths(edges: Sequence[float] | None, bins: int) -> list[float]:
    if edges is None:
        return [1.0] * bins
    return [max(0.0, after - before) for before, after in pairwise(edges)]


def _bins_by_column(widths: Sequence[float], columns: int) -> list[list[int]]:
    """Which bins each column shows; a bin narrower than a column shares it, and none is left out."""
    total = sum(widths) or 1.0
    found: list[list[int]] = [[] for _ in range(columns)]
    start = 0.0
    for place, width in enumerate(widths):
        end = start + width
        first = min(columns - 1, round(start / total * columns))
        last = max(first + 1, min(columns, round(end / total * columns)))
        for column in range(first, last):
            found[column].append(place)
        start = end
    return found


def _heights(counts: Sequence[float], widths: Sequence[float], bins: Sequence[Sequence[int]]) -> list[float]:
    total = sum(counts)
    if not total:
        return [0.0] * len(bins)
    narrowest = sum(widths) / max(1, len(bins)) or 1.0
    return [
        sum(counts[place] for place in group)
        / total
        / max(sum(widths[place] for place in group), narrowest if len(group) else 1.0)
        for group in bins
    ]


def _bar_line(row: int, reference: Sequence[float], now: Sequence[float], styles: HistogramStyles) -> Strip:
    segments: list[Segment] = []
    for before, after in zip(reference, now, strict=True):
        glyph, style = _cell(row, before, after, styles)
        if segments and segments[-1].style == style:
            segments[-1] = Segment(segments[-1].text + glyph, style)
        else:
            segments.append(Segment(glyph, style))
    return Strip(segments, len(now))


def _cell(row: int, before: float, after: float, styles: HistogramStyles) -> tuple[str, Style]:
    reaches = round(before) >= row, round(after) >= row
    if all(reaches):
        return BOTH, styles.both
    if any(reaches):
        return (REFERENCE, styles.reference) if reaches[0] else (NOW, styles.now)
    if row == 1 and max(before, after) > 0:  # too little for a cell, but not nothing
        return TRACE, styles.now if after > 0 else styles.reference
    return " ", styles.label


def _ends(edges: Sequence[float]) -> tuple[str, str, str]:
    """As many digits as tell the edges apart, three at least."""
    low, high = edges[0], edges[-1]
    size, step = max(abs(low), abs(high)), abs(high - low)
    digits = 3 if not step or not isfinite(size / step) else max(3, min(15, ceil(log10(size / step)) + 2))
    low, middle, high = (float(f"{one:.{digits}g}") for one in (low, (low + high) / 2, high))
    return compact(low), compact(middle), compact(high)


def _edge_labels(texts: Sequence[str], columns: int) -> str:
    if sum(map(len, texts)) + 4 > columns:
        return fit(f"{texts[0]}…{texts[2]}", columns)
    middle = (columns - len(texts[1])) // 2
    line = texts[0].ljust(middle) + texts[1]
    return fit(line.ljust(columns - len(texts[2])) + texts[2], columns)


def _bin_labels(labels: Sequence[str], bins: Sequence[Sequence[int]], columns: int) -> str:
    line = ""
    for place, label in enumerate(labels):
        own = [column for column, group in enumerate(bins) if place in group]
        if own and own[0] >= len(line):
            line += fit(clean(label), len(own) - 1 if len(own) > 1 else 1) + (" " if len(own) > 1 else "")
    return fit(line, columns)
