"""The DuckDB file made again: nothing that can be read is lost or doubled, and what is lost is said."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from store.archive import day_folders, keep_archive, read_archive
from store.database import HeldError, reading, wal_of
from store.errors import BusyError, StorageError
from store.fold import fold, rebuild_now
from store.layout import Layout
from store.log import PredictionLog
from store.predictions import PredictionReader
from store.salvage import salvage
from store.settings import StoreSettings
from store.stats import check
from store.vacuum import vacuum
from tests.store.conftest import Shell

LATER = datetime.now(UTC) + timedelta(days=40)
TOMORROW = datetime.now(UTC) + timedelta(days=1)


def fold_some(layout: Layout, log_bikes: Any, rows: int = 3, **changes: Any) -> list[str]:
    log = PredictionLog(layout, StoreSettings())
    ids: list[str] = log_bikes(log, rows=rows, **changes)
    log.append_feedback([(ids[0], 41.0, None)])
    log.close()
    fold(layout)
    return ids


def stored(layout: Layout) -> Counter[str]:
    return Counter(
        row[0] for row in PredictionReader(layout).query("SELECT prediction_id FROM predictions").rows
    )


def labelled(layout: Layout) -> int:
    return sum(count.labelled for count in PredictionReader(layout).counts())


def test_what_is_older_than_the_archive_comes_from_the_old_file(
    layout: Layout, log: PredictionLog, log_bikes: Any
) -> None:
    old = fold_some(layout, log_bikes)
    keep_archive(layout, 30, now=TOMORROW)
    keep_archive(layout, 30, now=LATER)
    new = fold_some(layout, log_bikes)
    growing = log_bikes(log, rows=2)  # folded from a segment that is still in the spool
    log.append_feedback([(growing[0], 40.0, None)])
    fold(layout)
    before = PredictionReader(layout).query("FROM bikes ORDER BY prediction_id").rows

    made = rebuild_now(layout)
    assert (made.predictions, made.saved, made.losses) == (3, 3, ())
    fold(layout)
    assert stored(layout) == Counter([*old, *new, *growing])
    assert PredictionReader(layout).query("FROM bikes ORDER BY prediction_id").rows == before
    assert check(layout).problems == []


def can_read(layout: Layout, condition: str) -> bool:
    try:
        with duckdb.connect(str(layout.predictions), read_only=True) as connection:
            connection.execute(f"SELECT sum(hash(numeric)) FROM predictions WHERE {condition}")
    except duckdb.Error:
        return False
    return True


def test_of_a_damaged_file_the_groups_that_can_be_read_are_kept(layout: Layout, log_bikes: Any) -> None:
    random = np.random.default_rng(1)
    ids = []
    for _ in range(2):
        ids += fold_some(layout, log_bikes, rows=65_000, numeric=random.random((65_000, 2)).tolist())
    for segment in (layout.archive / "segments").iterdir():
        segment.unlink()
    whole = layout.predictions.read_bytes()
    for block in range(len(whole) // 262_144):  # until it is one of the first group alone
        content, start = bytearray(whole), 3 * 4096 + block * 262_144 + 1_000
        content[start : start + 50] = b"\xff" * 50
        layout.predictions.write_bytes(content)
        if can_read(layout, "rowid >= 122880") and not can_read(layout, "rowid < 122880"):
            break
    assert check(layout).is_damaged

    made = rebuild_now(layout)
    assert len(made.losses) == 1, made
    assert "rows of the old file can't be read" in made.losses[0]
    kept = stored(layout)
    assert 0 < len(kept) < len(ids)
    assert kept.keys() <= set(ids)
    assert set(kept.values()) == {1}


def test_a_file_that_is_gone_is_made_again_even_without_news(layout: Layout, log_bikes: Any) -> None:
    ids = fold_some(layout, log_bikes)
    layout.predictions.unlink()

    fold(layout)
    assert stored(layout) == Counter(ids)
    assert labelled(layout) == 1
    (event,) = [line for line in layout.journal.read_text().splitlines() if "log_rebuilt" in line]
    assert "is lost unless a backup has it" in event


def test_the_log_of_a_file_that_went_is_not_applied_to_the_new_one(layout: Layout, log_bikes: Any) -> None:
    ids = fold_some(layout, log_bikes)
    layout.predictions.unlink()
    wal_of(layout.predictions).write_bytes(b"of another file")
    fold(layout)
    assert stored(layout) == Counter(ids)


def test_a_damaged_part_of_the_archive_is_named_and_the_rest_comes_back(
    layout: Layout, log_bikes: Any
) -> None:
    fold_some(layout, log_bikes)
    keep_archive(layout, 30, now=TOMORROW)
    (damaged,) = day_folders(layout)[0].glob("*.predictions.parquet")
    ids = fold_some(layout, log_bikes)
    damaged.write_bytes(b"PAR1 and then nothing")
    layout.predictions.write_bytes(b"garbage" * 1000)

    keep_archive(layout, 30, now=TOMORROW)
    made = rebuild_now(layout)
    assert stored(layout) == Counter(ids)
    assert any(str(damaged) in loss for loss in made.losses)


def test_a_segment_counts_once_however_the_clock_jumped_meanwhile(
    layout: Layout, log_bikes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The names of packed segments are looked for where they were packed, not in the newest folders."""
    ids = fold_some(layout, log_bikes)
    for day in ("2090-01-01", "2090-01-02", "2090-01-03", "9999-99-99"):
        (layout.archive / day).mkdir(parents=True)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda self, missing_ok=False: None)
        keep_archive(layout, 30, now=TOMORROW)
    keep_archive(layout, 30, now=TOMORROW)
    rows = Counter(
        row for part in read_archive(layout) for row in part.predictions()["prediction_id"].to_pylist()
    )
    assert rows == Counter(ids)


def test_a_file_that_somebody_holds_is_not_replaced(layout: Layout, log_bikes: Any) -> None:
    fold_some(layout, log_bikes)
    with Shell(layout.predictions) as shell:
        with pytest.raises(BusyError, match=f"process {shell.pid}"):
            rebuild_now(layout)
        assert any(f"process {shell.pid}" in problem for problem in check(layout).problems)
    assert rebuild_now(layout).losses == ()


def test_somebody_elses_file_is_told_from_ours(layout: Layout) -> None:
    with duckdb.connect(str(layout.predictions)) as connection:
        connection.execute("CREATE TABLE meta (a INTEGER)")
    with pytest.raises(StorageError, match="no prediction log of workbench"):
        PredictionReader(layout).counts()


def test_other_threads_keep_their_locks_while_the_old_file_is_read(
    layout: Layout, log_bikes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A POSIX lock ends when its process closes any descriptor of the file."""
    ids = fold_some(layout, log_bikes)
    refused: list[HeldError] = []

    def read_meanwhile(*arguments: Any) -> Any:
        def read() -> None:
            try:
                with reading(layout, timeout_s=0):
                    pass
            except HeldError as error:
                refused.append(error)

        thread = threading.Thread(target=read)
        thread.start()
        thread.join()
        return salvage(*arguments)

    monkeypatch.setattr("store.rebuild.salvage", read_meanwhile)
    rebuild_now(layout)
    assert len(refused) == 1
    assert stored(layout) == Counter(ids)


UPKEEP = """
import sys
from pathlib import Path
from store.fold import fold, rebuild_now
from store.layout import Layout
from store.vacuum import vacuum
layout = Layout.of(Path(sys.argv[1]))
print("ready", flush=True)
while True:
    rebuild_now(layout)
    fold(layout)
    vacuum(layout)
"""


def test_rebuilds_and_vacuums_killed_at_any_moment_lose_and_double_nothing(
    layout: Layout, log: PredictionLog, log_bikes: Any
) -> None:
    """Rows that only the DuckDB file has, that the archive has, and that are still in the spool."""
    ids = fold_some(layout, log_bikes, rows=2_000)
    keep_archive(layout, 30, now=TOMORROW)
    keep_archive(layout, 30, now=LATER)
    ids += fold_some(layout, log_bikes, rows=2_000)
    ids += log_bikes(log, rows=50)
    for round_number in range(int(os.environ.get("KILL_ROUNDS", "6"))):
        child = subprocess.Popen(
            [sys.executable, "-c", UPKEEP, str(layout.root)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        time.sleep(0.05 + 0.61803 * round_number % 0.7)
        child.send_signal(signal.SIGKILL)
        child.communicate()
        fold(layout)
        assert stored(layout) == Counter(ids)
        for kept in layout.state.glob("predictions.damaged-*"):
            kept.unlink()
    assert labelled(layout) == 2
    assert check(layout).problems == []
    rebuild_now(layout)
    vacuum(layout)
    assert [path.name for path in layout.run.iterdir() if path.suffix in (".duckdb", ".wal")] == []
