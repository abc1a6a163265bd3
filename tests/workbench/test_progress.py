"""Training progress: a line a stage in a log, live in a terminal."""

from __future__ import annotations

import io
import sys

import pytest

from pipelines.request import TrainEvent
from workbench.progress import CountProgress, TrainProgress

EVENTS = [
    TrainEvent(1, 3, "Loading data"),
    TrainEvent(1, 3, "Loading data", "569 rows"),
    TrainEvent(2, 3, "Cross-validating", "fold 1 of 5", 0.2),
    TrainEvent(2, 3, "Cross-validating", "fold 2 of 5", 0.4),
    TrainEvent(3, 3, "Fitting", run_id="abc"),
]


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.fixture
def watched(monkeypatch):
    """Makes stderr a terminal and returns what is written to it."""

    def watch():
        stream = Terminal()
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.setenv("COLUMNS", "80")
        return stream

    return watch


def test_plain_lines_where_nobody_watches(capsys):
    with TrainProgress("Training churn") as progress:
        for event in EVENTS:
            progress(event)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "Training churn",
        "[1/3] Loading data…",
        "      569 rows",
        "[2/3] Cross-validating… fold 1 of 5",
        "[3/3] Fitting…",
    ]


def test_each_stage_leaves_a_line_in_a_terminal(watched):
    terminal = watched()
    with TrainProgress("Training churn") as progress:
        for event in EVENTS:
            progress(event)
    text = terminal.getvalue()
    for done in ("[1/3] Loading data", "569 rows", "[2/3] Cross-validating", "[3/3] Fitting"):
        assert done in text
    assert text.count("✓") == 3


def test_the_terminal_is_left_as_it_was_after_an_error(watched):
    terminal = watched()

    def interrupted():
        with TrainProgress("Training churn") as progress:
            progress(EVENTS[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    hidden, shown = "\x1b[?25l", "\x1b[?25h"
    assert terminal.getvalue().rindex(shown) > terminal.getvalue().rindex(hidden)


def test_scoring_shows_nothing_when_it_is_quick(watched):
    terminal = watched()
    with CountProgress("churn", "rows") as progress:
        progress(1000)
    assert terminal.getvalue() == ""


def test_scoring_shows_nothing_where_nobody_watches(capsys, monkeypatch):
    monkeypatch.setattr(CountProgress, "PATIENCE_S", 0.0)
    with CountProgress("churn", "rows") as progress:
        progress(1000)
    assert capsys.readouterr() == ("", "")


def test_scoring_shows_rows_once_it_lasts(watched, monkeypatch):
    monkeypatch.setattr(CountProgress, "PATIENCE_S", 0.0)
    terminal = watched()
    with CountProgress("churn", "rows") as progress:
        progress(123_456)
    assert "123,456 rows" in terminal.getvalue()
