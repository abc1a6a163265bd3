"""What of a line has changed, so that only that much travels to the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import takewhile

from rich.cells import cell_len
from rich.segment import Segment
from textual.geometry import Region
from textual.strip import Strip


def changed_regions(
    old: Sequence[Strip], new: Sequence[Strip], *, narrow_up_to: int | None = None
) -> Iterator[Region]:
    """The part of each line of `new` that differs from the line of `old` at the same place.

    Where more than `narrow_up_to` lines differ, they are taken whole: after a scroll or a sort, looking for
    the cells that happen to be the same costs more than it saves.
    """
    changed = [y for y, strip in enumerate(new) if y >= len(old) or not _are_alike(old[y], strip)]
    takes_whole = narrow_up_to is not None and len(changed) > narrow_up_to
    for y in changed:
        strip = new[y]
        if takes_whole or y >= len(old) or old[y].cell_length != strip.cell_length:
            yield Region(0, y, strip.cell_length, 1)
            continue
        start, end = changed_span(old[y], strip)
        if start < end:
            yield Region(start, y, end - start, 1)


def _are_alike(old: Strip, new: Strip) -> bool:
    return old is new or list(old) == list(new)


def changed_span(old: Strip, new: Strip) -> tuple[int, int]:
    """The cells [start, end) in which two lines of the same length differ; start ≥ end when they don't."""
    before, after = list(old), list(new)
    if before == after:
        return new.cell_length, new.cell_length
    if not (_has_one_cell_a_character(old.text) and _has_one_cell_a_character(new.text)):
        return 0, new.cell_length  # cutting inside a wide character or before a combining one would garble it
    start = _cells_alike(before, after)
    before.reverse()
    after.reverse()
    return start, new.cell_length - _cells_alike(before, after, backwards=True)


def _has_one_cell_a_character(text: str) -> bool:
    return text.isascii() or all(map(_is_one_cell, text))


@lru_cache(maxsize=4096)
def _is_one_cell(character: str) -> bool:
    return cell_len(character) == 1


def _cells_alike(before: list[Segment], after: list[Segment], *, backwards: bool = False) -> int:
    alike = 0
    for one, other in zip(before, after, strict=False):
        if one == other:
            alike += len(one.text)
            continue
        if one.style == other.style:
            alike += _characters_alike(one.text, other.text, backwards)
        break
    return alike


def _characters_alike(one: str, other: str, backwards: bool) -> int:
    if backwards:
        one, other = one[::-1], other[::-1]
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
