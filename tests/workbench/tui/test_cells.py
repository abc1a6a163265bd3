from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from workbench.tui.widgets.cells import clean, clip, fit, width


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rf-depth12", "rf-depth12"),
        ("[bold]not markup[/]", "[bold]not markup[/]"),
        ("a\x1b[31mred", "a␛[31mred"),
        ("two\nlines\tand a bell\x07", "two␊lines␉and a bell␇"),
        ("\x7f\x9b", "␡\ufffd"),
        ("abc\u202edcba", "abc\ufffddcba"),
        ("zero\u200bwidth", "zero\ufffdwidth"),
        ("no\u00a0break", "no break"),
        ("family 👩\u200d👩\u200d👧", "family 👩👩👧"),
        ("heart ❤\ufe0f", "heart ❤"),
        ("thumb 👍🏽", "thumb 👍"),
        ("🇩🇪", "DE"),
        ("broken \udc80 name", "broken \ufffd name"),
        ("日本語", "日本語"),
        ("e\u0301", "e\u0301"),
    ],
)
def test_text_is_shown_as_it_is_but_never_acts(text: str, shown: str) -> None:
    assert clean(text) == shown


@given(st.text())
def test_cleaned_text_holds_nothing_that_a_terminal_acts_upon(text: str) -> None:
    cleaned = clean(text)
    assert cleaned.isprintable()
    cleaned.encode()
    assert clean(cleaned) == cleaned


@given(st.text(), st.integers(0, 30), st.sampled_from(["left", "right", "center"]))
def test_fitted_text_takes_exactly_its_cells(text: str, cells: int, align: str) -> None:
    assert cell_len(fit(clean(text), cells, align)) == cells


def test_what_is_cut_off_ends_in_an_ellipsis_and_never_in_half_a_character() -> None:
    assert clip("gradient-boosting", 8) == "gradien…"
    assert clip("日本語", 4) == "日…"
    assert width(fit("日本語", 4)) == 4


def test_alignment_pads_the_other_side() -> None:
    assert fit("a", 3, "left") == "a  "
    assert fit("a", 3, "right") == "  a"
    assert fit("a", 4, "center") == " a  "
