"""What commands print: tables that fit, JSON that parses, text that cannot move the cursor."""

from __future__ import annotations

import io
import json
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

from workbench.output import (
    Cell,
    Column,
    clean,
    iso,
    number,
    print_json,
    print_table,
    say,
    to_json,
    warn,
)

COLUMNS = [Column("name", flexible=True), Column("value", "right"), Column("more", extra=True)]
ROWS = [["a" * 60, "1", "x" * 20], ["b", Cell("22", "red"), "y"]]


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


def shown(monkeypatch, width, *, terminal=True, columns=COLUMNS, rows=ROWS):
    stream = Terminal() if terminal else io.StringIO()
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(sys, "stdout", stream)
    print_table(columns, rows)
    return stream.getvalue()


@pytest.fixture(autouse=True)
def _colourful(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def plain(text):
    import re

    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_extra_columns_appear_where_there_is_room(monkeypatch):
    assert "more" not in shown(monkeypatch, 80)
    assert "more" in shown(monkeypatch, 120)


@pytest.mark.parametrize("width", [20, 40, 60, 80])
def test_a_narrow_terminal_cuts_flexible_columns(monkeypatch, width):
    lines = plain(shown(monkeypatch, width)).splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) == 3
    assert ("…" in lines[1]) == (width < 70)
    assert lines[2].split() == ["b", "22"]


def test_a_very_narrow_terminal_leaves_columns_out(monkeypatch):
    rows = [["model-name", "12345678901234567890"]]
    lines = plain(shown(monkeypatch, 12, columns=COLUMNS[:2], rows=rows)).splitlines()
    assert max(map(len, lines)) <= 12


def test_nothing_is_cut_or_coloured_in_a_pipe(monkeypatch):
    text = shown(monkeypatch, 20, terminal=False)
    assert "a" * 60 in text
    assert "\x1b" not in text
    assert all(line == line.rstrip() for line in text.splitlines())


def test_colours_in_a_terminal_unless_no_color(monkeypatch):
    assert "\x1b[31m" in shown(monkeypatch, 80)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[31m" not in shown(monkeypatch, 80)


def test_a_dumb_terminal_gets_plain_text(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b[31m" not in shown(monkeypatch, 80)


def test_wide_characters_line_up(monkeypatch):
    from rich.cells import cell_len

    lines = shown(monkeypatch, 80, terminal=False, rows=[["温度", "1", ""], ["temp", "22", ""]]).splitlines()
    assert cell_len(lines[1]) == cell_len(lines[2])


def test_wrapping_columns_go_on_in_the_next_line(monkeypatch):
    columns = [Column("key"), Column("text", wraps=True)]
    lines = plain(shown(monkeypatch, 40, columns=columns, rows=[["port", "word " * 20]])).splitlines()
    assert len(lines) > 3
    assert "…" not in "".join(lines)
    assert max(map(len, lines)) <= 40


def test_values_cannot_move_the_cursor(monkeypatch):
    text = shown(monkeypatch, 80, terminal=False, rows=[["evil\x1b[2Jname\nnext", "1", ""]])
    assert "\x1b" not in text
    assert len(text.splitlines()) == 2
    assert clean(" a\tb\x00 ") == "a b"


def test_titles_stay_on_their_line(monkeypatch):
    output = shown(monkeypatch, 80, terminal=False, columns=[Column("two\nlines")], rows=[["1"]])
    assert output.splitlines() == ["two lines", "1"]


def test_markup_is_text(monkeypatch):
    assert "[red]x[/red]" in shown(monkeypatch, 80, terminal=False, rows=[["[red]x[/red]", "1", ""]])


def test_json_is_valid_whatever_is_in_it(capsys):
    value = {
        "nan": float("nan"),
        "inf": [np.inf, np.float64(1.5)],
        "array": np.array([1, 2]),
        "when": datetime(2026, 1, 31, 12, tzinfo=UTC),
        "path": Path("a/b"),
        3: ("é", None, True),
    }
    print_json(value)
    assert json.loads(capsys.readouterr().out) == {
        "nan": None,
        "inf": [None, 1.5],
        "array": [1, 2],
        "when": "2026-01-31T12:00:00.000Z",
        "path": "a/b",
        "3": ["é", None, True],
    }
    assert to_json({1, 2}) == [1, 2]


def test_times_are_utc():
    there = timezone(timedelta(hours=2))
    assert iso(datetime(2026, 1, 31, 12, tzinfo=there)) == "2026-01-31T10:00:00.000Z"
    assert iso(datetime(2026, 1, 31, 12)) == "2026-01-31T12:00:00.000Z"  # noqa: DTZ001


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "—"),
        (0, "0"),
        (0.0, "0"),
        (0.123456789, "0.12346"),
        (1e-9, "1e-09"),
        (48.0, "48"),
        (float("nan"), "nan"),
    ],
)
def test_missing_is_not_zero(value, text):
    assert number(value) == text


def test_warnings_go_to_stderr(capsys):
    warn("the log is [full]")
    out, err = capsys.readouterr()
    assert (out, err) == ("", "warning: the log is [full]\n")


def test_optional_columns_are_left_out_first(monkeypatch):
    columns = [Column("name"), Column("started", is_optional=True), Column("rmse", "right")]
    lines = plain(
        shown(monkeypatch, 20, columns=columns, rows=[["baseline", "2026-01-31", "41.2"]])
    ).splitlines()
    assert lines[0].split() == ["name", "rmse"]


HOSTILE = "a\x1b]0;owned\x07\x1b[31m\x9b2J\u202eb"


def test_nothing_a_terminal_acts_on_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({HOSTILE: [HOSTILE]})
    print_table([Column(HOSTILE)], [[HOSTILE]])
    say(HOSTILE)
    warn(HOSTILE)
    printed = capsys.readouterr()
    for text in (printed.out, printed.err):
        assert all(character.isprintable() or character == "\n" for character in text), text
    document = printed.out[: printed.out.index("\n}\n") + 2]
    assert json.loads(document) == {HOSTILE: [HOSTILE]}
