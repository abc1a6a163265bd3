"""The log as Parquet for other tools: what a reader such as Spark finds, without Spark."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from store.errors import BusyError, NotFoundError, UsageError
from store.export import export
from store.fold import fold
from store.layout import Layout
from store.log import PredictionLog
from tests.store.conftest import Shell


def test_folders_are_partitions_and_types_are_those_every_reader_has(
    layout: Layout, log: PredictionLog, log_bikes: Any, tmp_path: Path
) -> None:
    ids = []
    for model in ("bikes", "a/b = c é"):
        for day in (1, 2):
            ids += log_bikes(log, model=model, predicted_at=datetime(2026, 3, day, 23, 59, 59, 999_999, UTC))
    log.append_feedback([(ids[0], 41.0, None)])
    fold(layout)
    ids += log_bikes(log, predicted_at=datetime(2026, 3, 3, tzinfo=UTC))
    folder = tmp_path / "exported"
    assert export(layout, folder) == 5

    # key=value folders with values escaped as in a URL, and nothing else that isn't hidden from readers.
    found = {path.relative_to(folder).parent.as_posix() for path in folder.rglob("*.parquet")}
    odd = "model=a%2Fb%20%3D%20c%20%C3%A9"
    days = ("day=2026-03-01", "day=2026-03-02")
    assert found - {"."} == {f"{model}/{day}" for model in ("model=bikes", odd) for day in days} | {
        "model=bikes/day=2026-03-03"
    }
    assert [path.name for path in folder.iterdir() if path.is_file()] == ["_schemas.parquet"]
    for path in folder.rglob("[!_]*.parquet"):
        schema = pq.read_schema(path)
        assert {"model", "day"}.isdisjoint(schema.names)
        for field in schema:
            assert_plain(field.type)

    frame = pd.read_parquet(folder)
    assert sorted(frame["prediction_id"]) == sorted(ids)
    assert set(frame["model"].astype(str)) == {"bikes", "a/b = c é"}
    rows = duckdb.sql(
        f"SELECT model, day, count(*) FROM read_parquet('{folder}/*/*/*.parquet', hive_partitioning = true)"
        " GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    assert [(model, str(day), n) for model, day, n in rows][-1] == ("bikes", "2026-03-03", 1)
    assert len(rows) == 5


def assert_plain(kind: pa.DataType) -> None:
    """A type that Spark, too, reads: no nanoseconds, no unsigned integers, no dictionaries."""
    if pa.types.is_list(kind):
        return assert_plain(kind.value_type)
    assert not pa.types.is_timestamp(kind) or kind.unit == "us"
    assert kind in (
        pa.string(),
        pa.int32(),
        pa.float64(),
        pa.timestamp("us"),
    ), kind
    return None


def test_while_somebody_holds_the_file_nothing_is_exported_rather_than_a_part(
    layout: Layout, log: PredictionLog, log_bikes: Any, tmp_path: Path
) -> None:
    log_bikes(log)
    fold(layout)
    log_bikes(log)
    with Shell(layout.predictions) as shell, pytest.raises(BusyError, match=f"process {shell.pid}"):
        export(layout, tmp_path / "exported")
    assert not (tmp_path / "exported").exists()
    assert export(layout, tmp_path / "exported") == 2


def test_an_export_that_was_killed_is_in_nobodys_way(
    layout: Layout, log: PredictionLog, log_bikes: Any, tmp_path: Path
) -> None:
    log_bikes(log)
    left = tmp_path / "exported" / ".export-1234" / "model=bikes"
    left.mkdir(parents=True)
    assert export(layout, tmp_path / "exported") == 1
    assert {path.name for path in (tmp_path / "exported").iterdir()} == {"model=bikes", "_schemas.parquet"}


def test_a_model_that_nobody_logged_and_a_time_that_ends_before_it_begins(
    layout: Layout, log: PredictionLog, log_bikes: Any, tmp_path: Path
) -> None:
    log_bikes(log)
    with pytest.raises(NotFoundError, match=r"'bike'.*There are: bikes"):
        export(layout, tmp_path / "exported", model="bike")
    with pytest.raises(UsageError, match="not before"):
        export(
            layout,
            tmp_path / "e",
            since=datetime(2026, 2, 1, tzinfo=UTC),
            until=datetime(2026, 1, 1, tzinfo=UTC),
        )
    assert not (tmp_path / "exported").exists()
