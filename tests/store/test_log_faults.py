"""Accidents of real processes and disks: the log loses and doubles nothing that was acknowledged."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from store import ids as prediction_ids
from store.errors import StorageError
from store.fold import fold
from store.layout import Layout
from store.log import PredictionLog
from store.predictions import PredictionReader
from store.profile import build_profile
from store.references import publish_reference
from store.segments import frame
from store.series import SeriesReader
from store.settings import StoreSettings

FOLDER = """
import sys
from pathlib import Path
from store.fold import fold
from store.layout import Layout
print("ready", flush=True)
while True:
    fold(Layout.of(Path(sys.argv[1])))
"""


def ids_of(layout: Layout) -> Counter[str]:
    return Counter(
        row[0] for row in PredictionReader(layout).query("SELECT prediction_id FROM predictions").rows
    )


def test_a_full_disk_loses_only_what_it_says(small_disk: Path, log_bikes: Any) -> None:
    """Appends, then the fold, meet a full disk; what was acknowledged is there when it has room again."""
    layout = Layout.of(small_disk).ensure()
    log = PredictionLog(layout, StoreSettings())
    ids = log_bikes(log, rows=10)
    fold(layout)
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * (_free(small_disk) - 3_000_000))
    while log.lost == 0:
        try:
            ids += log_bikes(log, rows=1_000)
        except AssertionError:
            assert "space" in str(log.problem) or "free" in str(log.problem)
    assert log.lost == 1_000

    rest = small_disk / "rest"
    rest.write_bytes(b"x" * max(0, _free(small_disk) - 60_000))
    with pytest.raises(StorageError, match="space"):
        fold(layout)
    assert ids_of(layout) == Counter(ids)
    ballast.unlink()
    rest.unlink()
    assert fold(layout).predictions == len(ids) - 10
    assert ids_of(layout) == Counter(ids)
    log.close()


def _free(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def test_a_stopped_fold_holds_nobody_up(layout: Layout, log: PredictionLog, log_bikes: Any) -> None:
    """Appends go on, readers answer, another fold says who has it, and nothing is missing afterwards."""
    ids = log_bikes(log, rows=100)
    process = subprocess.Popen(
        [sys.executable, "-c", FOLDER, str(layout.root)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        for _ in range(5):
            process.send_signal(signal.SIGSTOP)
            ids += log_bikes(log, rows=10)
            PredictionReader(layout, timeout_s=0.1).counts()
            fold(layout)
            process.send_signal(signal.SIGCONT)
            ids += log_bikes(log, rows=10)
            time.sleep(0.02)
    finally:
        process.kill()
        process.communicate()
    fold(layout)

    assert ids_of(layout) == Counter(ids)


@pytest.fixture
def _ids_of_today() -> Iterator[None]:
    """The ids of this process never go back in time; those of the tests that follow are of today again."""
    yield
    prediction_ids._source.reseed()


@pytest.mark.usefixtures("_ids_of_today")
def test_a_clock_that_jumps_loses_nothing_and_counts_everything(
    layout: Layout, log: PredictionLog, log_bikes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_reference(
        layout, "bikes", 3, build_profile({"temp": [0.1, 0.5, 0.9]}, {"temp": "numeric"}, [1.0, 2.0, 3.0],
                                          task="regression"),
    )  # fmt: skip
    ids = []
    start = datetime.now(UTC)
    real = time.time_ns
    for days in (0, 400, -400, 0, -9, 3):
        monkeypatch.setattr(time, "time_ns", lambda days=days: real() + days * 86_400 * 10**9)
        ids += log_bikes(log, rows=3, predicted_at=start + timedelta(days=days))
        log.append_feedback([(ids[-1], 1.0, None)])
        fold(layout)

    assert ids_of(layout) == Counter(ids)
    series = SeriesReader(layout).series(
        "bikes", 3, start=start - timedelta(days=401), end=start + timedelta(days=401), features=["temp"]
    )
    assert series["feature", "temp"].total.n == len(ids)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_a_file_that_cannot_be_written_is_named(layout: Layout, log: PredictionLog, log_bikes: Any) -> None:
    log_bikes(log)
    fold(layout)
    layout.predictions.chmod(0o444)
    log_bikes(log)

    with pytest.raises(StorageError, match="permissions"):
        fold(layout)
    layout.predictions.chmod(0o644)
    assert fold(layout).predictions == 1


def test_a_disk_that_became_read_only_is_named_and_read_all_the_same(
    small_disk: Path, log_bikes: Any
) -> None:
    layout = Layout.of(small_disk).ensure()
    log = PredictionLog(layout, StoreSettings())
    ids = log_bikes(log)
    fold(layout)
    ids += log_bikes(log)
    log.close()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)

    assert not log.append_feedback([(ids[0], 1.0, None)])
    assert (log.lost, "ead-only" in str(log.problem)) == (1, True)
    with pytest.raises(StorageError, match="ead-only"):
        fold(layout)
    assert ids_of(layout) == Counter(ids)

    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert log.append_feedback([(ids[0], 1.0, None)])
    report = fold(layout)
    assert (report.predictions, report.feedback) == (1, 1)
    log.close()


def test_a_line_that_no_table_holds_is_put_aside_and_keeps_nothing_else_waiting(
    layout: Layout, log: PredictionLog, log_bikes: Any
) -> None:
    ids = log_bikes(log)
    (segment,) = layout.spool.glob("*.seg")
    line = segment.read_bytes().splitlines(keepends=True)[-1]
    payload = line.partition(b" ")[2][:-1].replace(b'"v":3', b'"v":20261122113000', 1)
    with segment.open("ab") as file:
        file.write(frame(payload))
    ids += log_bikes(log)
    assert ids_of(layout) == Counter(ids)

    report = fold(layout)
    assert (report.predictions, len(report.torn)) == (2, 1)
    assert ids_of(layout) == Counter(ids)
    assert not log.append_feedback([("p", "\ud800", None)])
    with pytest.raises(AssertionError, match="32 bits"):
        log_bikes(log, version=2**31)
    assert log.lost == 2
