"""How the folds leave rows in the DuckDB file: in groups that a small fold can afford to write again."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from store import database
from store.database import GROUP_ROWS, DamagedError
from store.fold import fold
from store.layout import Layout
from store.log import FeatureSchema, PredictionLog, new_prediction_ids
from store.predictions import PredictionReader
from store.settings import StoreSettings
from store.vacuum import vacuum

SCHEMA = FeatureSchema(("a", "b"), ("numeric", "numeric"))
# Ends as a fold that is killed after its transaction and before the file is closed.
KILLED_FOLD = """
import os, signal, sys
from pathlib import Path
from store import fold
from store.layout import Layout
commit = fold._commit
def commit_and_die(*arguments):
    commit(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
fold._commit = commit_and_die
fold.fold(Layout.of(Path(sys.argv[1])))
"""


def add(log: PredictionLog, rows: int) -> None:
    numbers: Any = np.random.default_rng(0).random((rows, 2))
    assert log.append(
        model="m",
        version=1,
        schema=SCHEMA,
        prediction_ids=new_prediction_ids(rows),
        predicted_at=datetime.now(UTC),
        predictions=numbers[:, 0],
        probability=None,
        probabilities=None,
        classes=None,
        numeric=numbers,
        categorical=[],
        latency_ms=0.1,
    )


def groups(layout: Layout) -> list[int]:
    """Rows of each group of the table of predictions."""
    with duckdb.connect(str(layout.predictions), read_only=True) as connection:
        found = connection.execute(
            "SELECT max(start + count) FROM pragma_storage_info('predictions')"
            " WHERE column_name = 'prediction_id' GROUP BY row_group_id ORDER BY row_group_id"
        ).fetchall()
    return [rows for (rows,) in found]


def n_rows(layout: Layout) -> int:
    reader = PredictionReader(layout)
    ((n, n_different),) = reader.query("SELECT count(*), count(DISTINCT prediction_id) FROM m").rows
    assert n == n_different
    assert reader.note is None
    return int(n)


def test_folds_leave_groups_of_few_rows(layout: Layout, log: PredictionLog) -> None:
    for rows in (15_000, 15_000, 1, 1, 30_000):
        add(log, rows)
        fold(layout)

    found = groups(layout)
    assert sum(found) == 60_002
    assert len(found) >= 3
    assert max(found) <= GROUP_ROWS


def test_a_file_of_large_groups_is_continued(
    layout: Layout, log: PredictionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(database, "GROUP_ROWS", 122_880)
        add(log, 30_000)
        fold(layout)
    assert groups(layout) == [30_000]

    for rows in (1, 25_000):
        add(log, rows)
        fold(layout)
    first, *others = groups(layout)
    assert (first, sum(others)) == (30_000, 25_001)
    assert max(others) <= GROUP_ROWS

    vacuum(layout)
    assert groups(layout) == [55_001]
    add(log, 2)
    fold(layout)
    assert n_rows(layout) == 55_003


def test_what_a_killed_fold_left_beside_the_file_belongs_to_it(layout: Layout, log: PredictionLog) -> None:
    add(log, 10)
    fold(layout)
    for n in range(2):
        add(log, 1000)
        killed = subprocess.run([sys.executable, "-c", KILLED_FOLD, str(layout.root)], check=False)
        assert killed.returncode == -signal.SIGKILL
        assert database.wal_of(layout.predictions).stat().st_size > 0
        assert n_rows(layout) == 1010 + 1000 * n

    add(log, 5)
    assert fold(layout).predictions == 5
    assert not database.wal_of(layout.predictions).exists()
    assert n_rows(layout) == 2015


def test_a_file_of_another_kind_is_damage_and_nothing_is_fetched_to_read_it(
    layout: Layout, log: PredictionLog
) -> None:
    with sqlite3.connect(layout.predictions) as connection:
        connection.execute("CREATE TABLE t (a)")
    connection.close()
    add(log, 3)

    with pytest.raises(DamagedError, match="not a valid DuckDB"):
        PredictionReader(layout).counts()
    assert fold(layout).predictions == 3
    assert n_rows(layout) == 3


@pytest.mark.parametrize("name", ["log", 'it\'s ü "ñ" 😀'])
def test_whatever_the_folder_and_the_models_are_called(tmp_path: Path, name: str) -> None:
    layout = Layout.of(tmp_path / name).ensure()
    log = PredictionLog(layout, StoreSettings())
    models = ["log", "fresh", "memory", "main", "temp"]
    for model in models:
        assert log.append(
            model=model,
            version=1,
            schema=SCHEMA,
            prediction_ids=new_prediction_ids(1),
            predicted_at=datetime.now(UTC),
            predictions=[0.5],
            probability=None,
            probabilities=None,
            classes=None,
            numeric=[[1.0, 2.0]],
            categorical=[],
            latency_ms=0.1,
        )
    fold(layout)
    vacuum(layout)
    log.close()
    fold(layout)

    # For the user's own shell, where the file has another name, and for readers of ours.
    with duckdb.connect(str(layout.predictions), read_only=True) as connection:
        assert [connection.execute(f"SELECT a FROM {model}").fetchall() for model in models] == [[(1.0,)]] * 5
    assert [PredictionReader(layout).query(f"SELECT b FROM {m}").rows for m in models] == [[(2.0,)]] * 5
    assert [*layout.spool.iterdir()] == []
