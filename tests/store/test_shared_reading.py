"""Several questions over one connection: they see the same rows, and what they leave behind is nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from store.errors import StorageError
from store.fold import fold
from store.layout import Layout
from store.log import PredictionLog
from store.predictions import PredictionReader
from store.series import SeriesReader
from store.shared_reading import shared_reading, shared_with


def seen(layout: Layout) -> int:
    return sum(one.predictions for one in PredictionReader(layout).counts())


def test_what_comes_meanwhile_is_for_the_next_question(
    layout: Layout, log: PredictionLog, log_bikes: Any
) -> None:
    log_bikes(log, rows=2)
    fold(layout)
    log_bikes(log, rows=3)
    with shared_reading(layout):
        assert seen(layout) == 5
        log_bikes(log, rows=4)
        with shared_reading(layout):
            assert seen(layout) == 5
        assert seen(layout) == 5
    assert seen(layout) == 9


def test_readers_of_all_kinds_take_part(layout: Layout, log: PredictionLog, log_bikes: Any) -> None:
    log_bikes(log, rows=2)
    fold(layout)
    now = datetime.now(UTC)
    with shared_reading(layout):
        reader = PredictionReader(layout)
        assert len(reader.recent().rows) == 2
        points = SeriesReader(layout).performance(
            "bikes", 3, start=now - timedelta(days=1), end=now + timedelta(minutes=5)
        )
        assert sum(point.predictions for point in points) == 2
        with reader.opened() as first, PredictionReader(layout).opened() as second:
            assert first is second


def test_after_an_error_the_file_is_free(layout: Layout, log: PredictionLog, log_bikes: Any) -> None:
    log_bikes(log, rows=2)
    fold(layout)
    with pytest.raises(duckdb.Error), shared_reading(layout), PredictionReader(layout).opened() as connection:
        connection.execute("SELECT nothing FROM nowhere")
    assert shared_with(layout) is None
    log_bikes(log, rows=1)
    fold(layout)
    assert seen(layout) == 3


def test_a_project_without_a_log_stays_without(tmp_path: Path) -> None:
    layout = Layout.of(tmp_path)
    with shared_reading(layout):
        assert seen(layout) == 0
    assert list(tmp_path.iterdir()) == []


def test_another_project_is_another_log(
    layout: Layout, log: PredictionLog, log_bikes: Any, tmp_path: Path
) -> None:
    log_bikes(log, rows=2)
    elsewhere = Layout.of(tmp_path / "elsewhere")
    with shared_reading(layout):
        assert seen(layout) == 2
        assert shared_with(elsewhere) is None


def test_a_damaged_file_is_said_to_be_damaged(layout: Layout, log: PredictionLog, log_bikes: Any) -> None:
    log_bikes(log, rows=2)
    fold(layout)
    layout.predictions.write_bytes(b"not a database" * 1000)
    with pytest.raises(StorageError), shared_reading(layout):
        pass
    assert shared_with(layout) is None
