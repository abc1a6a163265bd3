"""SQL of the user's own: answers of any size and type, which hold up nobody and end with ctrl-C."""

from __future__ import annotations

import os
import signal
import threading
from datetime import UTC, datetime
from typing import Any

import duckdb
import pytest

from store import questions
from store.errors import UsageError
from store.fold import fold
from store.layout import Layout
from store.log import PredictionLog
from store.predictions import PredictionReader


@pytest.fixture
def reader(layout: Layout, log: PredictionLog, log_bikes: Any) -> PredictionReader:
    log_bikes(log)
    fold(layout)
    return PredictionReader(layout)


def test_a_large_answer_comes_in_blocks(reader: PredictionReader) -> None:
    with reader.answer("SELECT i, repeat('x', 100) FROM range(60_000) r(i)") as answer:
        sizes = [len(block) for block in answer.blocks()]
        assert (sum(sizes), len(sizes) > 1, answer.is_cut) == (60_000, True, False)
        assert next(answer.blocks())[0] == (0, "x" * 100)


def test_the_file_is_free_while_an_answer_is_read(layout: Layout, reader: PredictionReader) -> None:
    with reader.answer("FROM predictions"):
        duckdb.connect(str(layout.predictions)).close()


@pytest.mark.parametrize(("rows", "is_cut"), [(7, False), (8, True), (20_000, True)])
def test_a_limit_says_whether_there_was_more(reader: PredictionReader, rows: int, is_cut: bool) -> None:
    with reader.answer(f"FROM range({rows})", limit=7) as answer:
        assert (sum(map(len, answer.blocks())), answer.is_cut) == (7, is_cut)


def test_times_of_a_zone_come_in_utc(reader: PredictionReader) -> None:
    found = reader.query("""
        SELECT '2026-03-01 12:00:00+02'::TIMESTAMPTZ AS "a ""b", 1 AS a, 2 AS a -- the end
        ;""")
    assert found.columns == ('a "b', "a", "a")
    assert found.rows == [(datetime(2026, 3, 1, 10, tzinfo=UTC).replace(tzinfo=None), 1, 2)]
    nested = reader.query("SELECT ['2026-03-01 12:00:00+02'::TIMESTAMPTZ] AS times ORDER BY 1")
    assert "2026-03-01 10:00:00" in nested.rows[0][0]


def test_an_answer_that_needs_too_much_memory_is_one_line(reader: PredictionReader) -> None:
    with pytest.raises(UsageError, match="Out of Memory"):
        reader.query("SELECT list(repeat('x', 1000) || i) FROM range(1_000_000) r(i)")


def test_ctrl_c_ends_a_long_question(reader: PredictionReader, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python hears of a signal only between two calls of DuckDB's, and this one takes hours."""
    long = "SELECT count(*) FROM range(100_000_000_000) a, range(1000) b"
    run, asked = questions._run, threading.Event()

    def running(*given: Any) -> None:
        asked.set()
        run(*given)

    def interrupt() -> None:
        asked.wait()
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(questions, "_run", running)
    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        reader.query(long)
    assert asked.is_set()
    assert reader.query("SELECT 1").rows == [(1,)]
