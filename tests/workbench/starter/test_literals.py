"""Any name and value survives the way through TOML and Python source."""

from __future__ import annotations

import ast
import datetime as dt
import math
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.starter.literals import (
    one_line,
    python_items,
    python_value,
    toml_assignment,
    toml_key,
    toml_path,
    toml_value,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    TEXTS | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False) | st.booleans() | st.dates(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=10,
)


@given(TEXTS, VALUES)
def test_toml_reads_back_what_was_written(key: str, value: object) -> None:
    assert tomllib.loads(f"{toml_key(key)} = {toml_value(value)}") == {key: value}


@given(st.lists(TEXTS, min_size=1, max_size=3))
def test_a_table_is_named_by_any_keys(keys: list[str]) -> None:
    document = tomllib.loads(f"[{toml_path(*keys)}]\nx = 1")
    for key in keys:
        document = document[key]
    assert document == {"x": 1}


@given(st.lists(TEXTS, max_size=40))
def test_a_long_list_takes_several_lines_and_says_the_same(items: list[str]) -> None:
    assert tomllib.loads("\n".join(toml_assignment("features", items))) == {"features": items}


def test_ordinary_keys_are_not_quoted() -> None:
    assert toml_key("days_since-last2") == "days_since-last2"
    assert toml_key("Übernachtungen pro Jahr") == '"Übernachtungen pro Jahr"'
    assert toml_key("a.b") == '"a.b"'


def test_what_toml_cannot_say_is_an_error() -> None:
    with pytest.raises(TypeError, match="NoneType"):
        toml_value(None)


def test_a_moment_is_written_as_toml_has_it() -> None:
    moment = dt.datetime(2024, 2, 29, 12, 30, tzinfo=dt.UTC)
    assert tomllib.loads(f"at = {toml_value(moment)}") == {"at": moment}


@given(TEXTS)
def test_text_in_a_comment_stays_on_its_line(text: str) -> None:
    assert tomllib.loads(f"x = 1 # {one_line(text)}\ny = 2") == {"x": 1, "y": 2}


@given(TEXTS | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans() | st.none())
def test_python_reads_back_what_was_written(value: object) -> None:
    assert ast.literal_eval(python_value(value)) == value


def test_a_number_python_has_no_literal_for_is_missing() -> None:
    assert python_value(math.nan) == python_value(math.inf) == "None"


def test_strings_and_lists_are_spelled_as_ruff_formats_them(tmp_path: Path) -> None:
    words = [
        "a",
        'say "hi"',
        "it's",
        "'it''s' \"",
        "back\\slash",
        "tab\t",
        "größer",
        "x" * 30,
        "''\"\"",
        "\x7f",
    ]
    lines = ["values = {"]
    for count in range(1, len(words) + 1):
        lines += python_items(f"{count}: ", map(python_value, words[:count]), indent=4, suffix=",")
    source = tmp_path / "spelled.py"
    source.write_text("\n".join([*lines, "}"]) + "\n", "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--diff", "--isolated", str(source)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
