from __future__ import annotations

from itertools import combinations

import pytest
from rich.color import Color, ColorSystem
from rich.style import Style

from workbench.tui.widgets.chart.styles import GLYPHS, ON_DARK, ON_LIGHT, ChartStyles

# Viénot, Brettel and Mollon (1999), on linear RGB.
PROTANOPIA = ((0.11238, 0.88762, 0.0), (0.11238, 0.88762, 0.0), (0.00401, -0.00401, 1.0))
DEUTERANOPIA = ((0.29275, 0.70725, 0.0), (0.29275, 0.70725, 0.0), (-0.02234, 0.02234, 1.0))
NORMAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


def linear(color: str) -> list[float]:
    parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    return [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]


def lab(color: str, vision: tuple[tuple[float, ...], ...]) -> tuple[float, float, float]:
    rgb = linear(color)
    seen = [max(0.0, sum(weight * part for weight, part in zip(row, rgb, strict=True))) for row in vision]
    to_xyz = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
    white = (0.9505, 1.0, 1.089)
    x, y, z = (
        sum(weight * part for weight, part in zip(row, seen, strict=True)) / scale
        for row, scale in zip(to_xyz, white, strict=True)
    )
    x, y, z = (value ** (1 / 3) if value > 0.008856 else 7.787 * value + 16 / 116 for value in (x, y, z))
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def contrast(color: str, background: str) -> float:
    luminances = sorted(
        0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b in (linear(color), linear(background))
    )
    return (luminances[1] + 0.05) / (luminances[0] + 0.05)


@pytest.mark.parametrize("palette", [ON_DARK, ON_LIGHT])
@pytest.mark.parametrize("vision", [NORMAL, PROTANOPIA, DEUTERANOPIA])
def test_colours_are_told_apart_by_everybody(
    palette: tuple[str, ...], vision: tuple[tuple[float, ...], ...]
) -> None:
    for one, other in combinations(palette, 2):
        distance = sum((a - b) ** 2 for a, b in zip(lab(one, vision), lab(other, vision), strict=True)) ** 0.5
        assert distance > 15, (one, other)


@pytest.mark.parametrize("palette", [ON_DARK, ON_LIGHT])
def test_colours_are_different_on_a_terminal_of_sixteen(palette: tuple[str, ...]) -> None:
    numbers = [Color.parse(color).downgrade(ColorSystem.STANDARD).number for color in palette]
    assert len(set(numbers)) == len(numbers), numbers


@pytest.mark.parametrize(("palette", "background"), [(ON_DARK, "#1e1e1e"), (ON_LIGHT, "#efefef")])
def test_colours_stand_out_from_the_background(palette: tuple[str, ...], background: str) -> None:
    assert min(contrast(color, background) for color in palette) > 4.5


def test_more_series_than_colours_start_again_in_bold() -> None:
    styles = ChartStyles()
    assert styles.series(len(ON_DARK)) == styles.series(0) + Style(bold=True)
    assert styles.glyph(len(GLYPHS)) == styles.glyph(0)


def test_without_colour_series_have_none() -> None:
    assert ChartStyles(has_color=False).series(3) == Style()
