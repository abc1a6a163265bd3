"""The DuckDB file is opened by one thread at a time, and a forked child starts anew."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from store.database import reading
from store.layout import Layout


def _answer(layout: Layout) -> int:
    with reading(layout) as (connection, _unread):
        return int(connection.execute("SELECT 6 * 7").fetchall()[0][0])


def _send_answer(layout: Layout, pipe: object) -> None:
    pipe.send(_answer(layout))  # type: ignore[attr-defined]


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_forked_after_reading_can_read(tmp_path: Path) -> None:
    layout = Layout.of(tmp_path).ensure()
    assert _answer(layout) == 42
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=_send_answer, args=(layout, theirs))
    child.start()
    assert ours.poll(30), "the child did not answer"
    assert ours.recv() == 42
    child.join(90)
    assert child.exitcode == 0
    assert _answer(layout) == 42
