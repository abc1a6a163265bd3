"""The DuckDB file written anew: the same rows in less room."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest

from store.errors import BusyError
from store.fold import fold
from store.layout import Layout
from store.locks import locked
from store.log import PredictionLog
from store.predictions import PredictionReader
from store.vacuum import Vacuumed, vacuum


def test_nothing_is_lost_and_folding_goes_on(layout: Layout, log: PredictionLog, log_bikes: Any) -> None:
    for _ in range(5):
        ids = log_bikes(log, rows=200)
        log.append_feedback([(ids[0], 1.0, None)])
        fold(layout)
    before = PredictionReader(layout).query("FROM bikes ORDER BY prediction_id").rows

    report = vacuum(layout)
    assert 0 < report.bytes_after <= report.bytes_before
    assert PredictionReader(layout).query("FROM bikes ORDER BY prediction_id").rows == before
    with duckdb.connect(str(layout.predictions), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM bikes").fetchall() == [(1000,)]
    log_bikes(log, rows=2)
    assert fold(layout).predictions == 2


def test_without_a_file_there_is_nothing_to_do(layout: Layout) -> None:
    assert vacuum(layout) == Vacuumed(0, 0)


def test_it_waits_for_the_fold(layout: Layout, log: PredictionLog, log_bikes: Any) -> None:
    log_bikes(log)
    fold(layout)
    with locked(layout.run / "fold.lock", what="folding"), pytest.raises(BusyError, match="folding"):
        vacuum(layout, timeout_s=0)
