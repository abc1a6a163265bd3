"""Text from data made safe for a terminal, and cut to a number of cells.

What a run is called or what a file holds is shown as it is, never interpreted: a control character could move
the terminal's cursor, a bidirectional override could reorder a line, and a joined emoji has a width on which
terminals disagree. Each becomes something that takes the same cells everywhere.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

from rich.cells import cell_len, set_cell_size

Align = Literal["left", "right", "center"]

ELLIPSIS = "…"
UNPRINTABLE = "\N{REPLACEMENT CHARACTER}"

_ZERO_WIDTH_JOINER = 0x200D
_VARIATION_SELECTORS = range(0xFE00, 0xFE10)
_SKIN_TONES = range(0x1F3FB, 0x1F400)
_REGIONAL_LETTERS = range(0x1F1E6, 0x1F200)
_MADE_PRINTABLE_BELOW = 0xFE00  # every printable character below has one width in all terminals


def clean(text: str) -> str:
    """`text` on one line, with nothing in it that a terminal would act upon or measure otherwise."""
    if text.isascii():
        return text if text.isprintable() else "".join(map(_printable, text))
    if text.isprintable() and max(text) < chr(_MADE_PRINTABLE_BELOW):
        return text
    return "".join(map(_printable, text))


@lru_cache(maxsize=4096)
def _printable(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)  # the control pictures, ␊ for a line feed
    if code == 0x7F:
        return "␡"
    if code == _ZERO_WIDTH_JOINER or code in _VARIATION_SELECTORS or code in _SKIN_TONES:
        return ""
    if code in _REGIONAL_LETTERS:
        return chr(ord("A") + code - _REGIONAL_LETTERS.start)
    if character.isprintable():
        return character
    return " " if character.isspace() and code not in (0x85, 0x2028, 0x2029) else UNPRINTABLE


def width(text: str) -> int:
    """The cells that cleaned `text` takes."""
    return len(text) if text.isascii() else cell_len(text)


def clip(text: str, cells: int) -> str:
    """Cleaned `text` in at most `cells` cells, ending in an ellipsis where something was cut off."""
    if width(text) <= cells:
        return text
    if cells <= 0:
        return ""
    return set_cell_size(text, cells - 1).rstrip(" ") + ELLIPSIS


def fit(text: str, cells: int, align: Align = "left") -> str:
    """Cleaned `text` in exactly `cells` cells."""
    text = clip(text, cells)
    spare = cells - width(text)
    if spare <= 0:
        return text
    if align == "left":
        return text + " " * spare
    if align == "right":
        return " " * spare + text
    left = spare // 2
    return " " * left + text + " " * (spare - left)
