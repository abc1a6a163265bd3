from __future__ import annotations

import pytest

from store.errors import NotFoundError
from store.run_lookup import choose_run, nearest_hint

A, B, C = "a" * 32, "ab" * 16, "beef" * 8
NAMED = [(A, "forest"), (B, "boosting"), (C, "beef")]


@pytest.mark.parametrize(
    ("asked", "found"), [(A, A), ("abab", B), ("ABAB", B), ("forest", A), ("beef", C), ("beefb", C)]
)
def test_a_run_is_meant_by_id_prefix_or_name(asked: str, found: str) -> None:
    assert choose_run(asked, NAMED) == found


@pytest.mark.parametrize(
    ("asked", "message"),
    [("aba", "too short"), ("zzzz", "There are"), ("forst", "Did you mean 'forest'"), ("", "too short")],
)
def test_a_run_nobody_means_is_told(asked: str, message: str) -> None:
    with pytest.raises(NotFoundError, match=message):
        choose_run(asked, NAMED)


def test_several_are_told_with_their_names() -> None:
    many = [(f"abcd{number}", f"run {number}") for number in range(7)]
    with pytest.raises(NotFoundError, match=r"'abcd' is 7 runs: abcd0 \(run 0\), .* and 2 more"):
        choose_run("abcd", many)


def test_a_hint_is_the_nearest_or_what_there_is() -> None:
    assert nearest_hint("cancr", ["cancer", "bikes"]) == "Did you mean 'cancer'?"
    assert nearest_hint("x", ["cancer", "bikes"]) == "There are: bikes, cancer."
    assert nearest_hint("x", []) == "There are none yet."
