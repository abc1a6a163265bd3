"""The archive of folded segments: packed by day, dropped when old, whole whatever is cut off."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from store import archive
from store.archive import day_folders, keep_archive, read_archive
from store.fold import fold, rebuild_now
from store.layout import Layout
from store.log import PredictionLog
from store.predictions import PredictionReader
from store.rebuild import drop_old
from store.segments import list_segments
from store.settings import StoreSettings

TOMORROW = datetime.now(UTC) + timedelta(days=1)


def fold_segments(layout: Layout, log_bikes: Any, count: int) -> list[str]:
    ids = []
    for _ in range(count):
        log = PredictionLog(layout, StoreSettings())
        ids += log_bikes(log, rows=2)
        log.append_feedback([(ids[-1], 7.0, None)])
        log.close()
        fold(layout)
    return ids


def archived(layout: Layout) -> Counter[str]:
    return Counter(
        row for part in read_archive(layout) for row in part.predictions()["prediction_id"].to_pylist()
    )


def test_segments_become_parquet_when_their_day_is_over(layout: Layout, log_bikes: Any) -> None:
    ids = fold_segments(layout, log_bikes, 3)
    keep_archive(layout, 30)
    assert len(list_segments(layout.archive / "segments")) == 3
    assert archived(layout) == Counter(ids)

    keep_archive(layout, 30, now=TOMORROW)
    assert list_segments(layout.archive / "segments") == []
    assert archived(layout) == Counter(ids)
    (day,) = day_folders(layout)
    rows = duckdb.sql(f"SELECT count(*) FROM '{day}/*.predictions.parquet'").fetchall()
    assert rows == [(6,)]


def test_many_segments_are_packed_at_once_in_parts(
    layout: Layout, log_bikes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "PACK_BYTES", 600)
    ids = fold_segments(layout, log_bikes, 7)
    keep_archive(layout, 30)

    (day,) = day_folders(layout)
    assert len([*day.glob("*.predictions.parquet")]) > 1
    assert archived(layout) == Counter(ids)


def test_a_pack_cut_off_before_its_segments_went_counts_them_once(
    layout: Layout, log_bikes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = fold_segments(layout, log_bikes, 2)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda self, missing_ok=False: None)
        keep_archive(layout, 30, now=TOMORROW)
    assert len(list_segments(layout.archive / "segments")) == 2

    assert archived(layout) == Counter(ids)
    keep_archive(layout, 30, now=TOMORROW)
    assert list_segments(layout.archive / "segments") == []
    assert archived(layout) == Counter(ids)


def test_days_that_are_too_old_go(layout: Layout, log_bikes: Any) -> None:
    fold_segments(layout, log_bikes, 1)
    keep_archive(layout, 30, now=TOMORROW)
    keep_archive(layout, 30, now=TOMORROW + timedelta(days=40))

    assert archived(layout) == Counter()


def test_the_file_is_made_again_from_the_archive(layout: Layout, log_bikes: Any) -> None:
    ids = fold_segments(layout, log_bikes, 2)
    keep_archive(layout, 30, now=TOMORROW)
    ids += fold_segments(layout, log_bikes, 2)
    before = PredictionReader(layout).query("FROM bikes ORDER BY prediction_id").rows

    made = rebuild_now(layout)
    assert (made.predictions, made.feedback) == (8, 4)
    assert PredictionReader(layout).query("FROM bikes ORDER BY prediction_id").rows == before


def test_without_an_archive_nothing_is_kept(layout: Layout, log: PredictionLog, log_bikes: Any) -> None:
    log_bikes(log)
    log.close()
    fold(layout, StoreSettings(archive_days=0))

    assert archived(layout) == Counter()


def test_rows_older_than_they_shall_be_kept_go_with_their_labels(
    layout: Layout, log: PredictionLog, log_bikes: Any
) -> None:
    old = log_bikes(log, predicted_at=datetime.now(UTC) - timedelta(days=9))
    new = log_bikes(log)
    log.append_feedback([(old[0], 1.0, None), (new[0], 1.0, None)])
    fold(layout)

    assert drop_old(layout, StoreSettings(retention_days=7)) == 1
    reader = PredictionReader(layout)
    assert reader.query("SELECT prediction_id FROM feedback").rows == [(new[0],)]
    assert reader.query("SELECT prediction_id FROM predictions").rows == [(new[0],)]
