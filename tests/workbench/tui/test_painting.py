from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip

from workbench.tui.widgets.painting import changed_regions, changed_span

RED, BLUE = Style(color="red"), Style(color="blue")


def strip(*parts: tuple[str, Style]) -> Strip:
    return Strip([Segment(text, style) for text, style in parts])


def test_a_line_that_is_the_same_needs_nothing() -> None:
    line = strip(("abc", RED))
    assert list(changed_regions([line], [strip(("abc", RED))])) == []


def test_only_the_cells_that_differ_are_named() -> None:
    before = [strip(("rmse 41.2 ", RED), ("done", BLUE)), strip(("same", RED))]
    after = [strip(("rmse 43.9 ", RED), ("done", BLUE)), strip(("same", RED))]
    assert list(changed_regions(before, after)) == [Region(6, 0, 3, 1)]


def test_a_line_of_another_length_is_sent_whole() -> None:
    assert list(changed_regions([strip(("ab", RED))], [strip(("abc", RED))])) == [Region(0, 0, 3, 1)]
    assert list(changed_regions([], [strip(("abc", RED))])) == [Region(0, 0, 3, 1)]


def test_when_most_lines_differ_they_are_taken_whole() -> None:
    before = [strip(("a1", RED)), strip(("b1", RED)), strip(("c1", RED))]
    after = [strip(("a2", RED)), strip(("b2", RED)), strip(("c1", RED))]
    assert [region.x for region in changed_regions(before, after, narrow_up_to=2)] == [1, 1]
    assert [region.x for region in changed_regions(before, after, narrow_up_to=1)] == [0, 0]


def test_another_style_is_a_change() -> None:
    assert changed_span(strip(("ab", RED), ("cd", RED)), strip(("ab", RED), ("cd", BLUE))) == (2, 4)


def test_a_wide_character_is_never_cut_in_half() -> None:
    assert changed_span(strip(("a日b", RED)), strip(("a本b", RED))) == (0, 4)
    assert changed_span(strip(("a日b", RED)), strip(("a日b", RED))) == (4, 4)


TEXT = st.text(alphabet="ab⠁日\u0301", min_size=1, max_size=8)
PARTS = st.lists(st.tuples(TEXT, st.sampled_from([RED, BLUE])), min_size=1, max_size=4)


@given(PARTS, PARTS)
def test_what_lies_outside_the_span_is_the_same_in_both_lines(
    one: list[tuple[str, Style]], other: list[tuple[str, Style]]
) -> None:
    before, after = strip(*one), strip(*other)
    length = min(before.cell_length, after.cell_length)
    before, after = before.adjust_cell_length(length, RED), after.adjust_cell_length(length, RED)
    start, end = changed_span(before, after)
    assert cells(before)[:start] == cells(after)[:start]
    assert cells(before)[max(start, end) :] == cells(after)[max(start, end) :]


def cells(line: Strip) -> list[tuple[str, Style | None]]:
    found: list[tuple[str, Style | None]] = []
    for segment in line:
        for character in segment.text:
            size = Segment(character).cell_length
            if size == 0 and found:
                found[-1] = (found[-1][0] + character, found[-1][1])
            found.extend([(character, segment.style)] * size)
    return found
