from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import pytest

from store import fold as fold_module
from store.errors import StorageError
from store.fold import fold
from store.layout import Layout
from store.log import PredictionLog
from store.predictions import PredictionReader
from store.segments import frame, list_segments
from store.settings import StoreSettings
from tests.store.conftest import Shell

SETTINGS = StoreSettings()
WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from store.layout import Layout
from store.log import FeatureSchema, PredictionLog, new_prediction_ids
from store.settings import StoreSettings
log = PredictionLog(Layout.of(Path(sys.argv[1])).ensure(), StoreSettings(), writer=sys.argv[2])
schema = FeatureSchema(("a", "b"), ("numeric", "categorical"))
for _ in range(int(sys.argv[3])):
    ids = new_prediction_ids(3)
    ok = log.append(model="m", version=1, schema=schema, prediction_ids=ids, predicted_at=datetime.now(UTC),
        predictions=[0, 1, 0], probability=[.1, .9, .2], probabilities=None, classes=(0, 1),
        numeric=[[1.5], [None], [2.5]], categorical=[["x"], [None], ["y"]], latency_ms=0.5)
    if not ok:
        sys.exit("could not log: " + str(log.problem))
    sys.stdout.write(" ".join(ids) + "\\n")
    sys.stdout.flush()
sys.stdin.read()
"""
FOLDER = """
import sys
from pathlib import Path
from store.fold import fold
from store.layout import Layout
from store import fold as fold_module
fold_module.MAX_BATCH_ROWS = 500
layout = Layout.of(Path(sys.argv[1]))
print("ready", flush=True)
while True:
    fold(layout)
"""


def stored_ids(layout: Layout) -> Counter[str]:
    with duckdb.connect(str(layout.predictions), read_only=True) as connection:
        return Counter(
            row[0] for row in connection.execute("SELECT prediction_id FROM predictions").fetchall()
        )


def start(code: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def kill(process: subprocess.Popen[str]) -> str:
    """Kill with SIGKILL; what it had written and nobody has read."""
    process.kill()
    process.wait(60)
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin, process.stdout:
        return process.stdout.read()


def acknowledged_ids(written: str) -> set[str]:
    """Ids of a writer's whole lines; the last may be cut."""
    whole = written[: written.rfind("\n") + 1]
    return set(whole.split())


def test_rows_move_into_the_file_and_ended_segments_go(
    layout: Layout, log: PredictionLog, log_bikes: Any
) -> None:
    ids = log_bikes(log, rows=5)
    log.append_feedback([(ids[0], 40.0, None)])

    report = fold(layout, SETTINGS)
    assert (report.predictions, report.feedback, report.segments, report.torn) == (5, 1, 0, [])
    assert list(stored_ids(layout)) == ids

    log.close()
    assert fold(layout, SETTINGS).segments == 1
    assert list_segments(layout.spool) == []
    assert list(stored_ids(layout)) == ids


def test_a_segment_in_use_is_taken_as_far_as_it_goes(
    layout: Layout, log: PredictionLog, log_bikes: Any
) -> None:
    for _ in range(3):
        log_bikes(log)
        assert fold(layout, SETTINGS).predictions == 1

    assert stored_ids(layout).total() == 3


def test_without_news_the_file_is_not_opened(
    layout: Layout, log: PredictionLog, log_bikes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_bikes(log)
    fold(layout, SETTINGS)
    monkeypatch.setattr(fold_module, "reading", None)

    assert fold(layout, SETTINGS).predictions == 0


def test_an_empty_spool_makes_no_file(layout: Layout) -> None:
    assert fold(layout, SETTINGS).predictions == 0
    assert not layout.predictions.exists()


def test_many_small_transactions_move_everything(
    layout: Layout, log: PredictionLog, log_bikes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fold_module, "MAX_BATCH_ROWS", 10)
    monkeypatch.setattr(fold_module, "_CHUNK_BYTES", 500)
    ids = [i for _ in range(60) for i in log_bikes(log, rows=2)]
    log.close()

    report = fold(layout, SETTINGS)
    assert (report.predictions, report.segments) == (120, 1)
    assert list(stored_ids(layout)) == ids


def test_a_torn_segment_yields_its_good_lines_and_keeps_the_rest(layout: Layout, log_bikes: Any) -> None:
    log = PredictionLog(layout, SETTINGS)
    ids = [*log_bikes(log), *log_bikes(log)]
    log.close()
    (segment,) = list_segments(layout.spool)
    lines = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(
        b"".join([*lines[:2], b"rubbish\n", frame(b'{"k":"p"}'), lines[2], b"12345678 {half a li"])
    )

    report = fold(layout, SETTINGS)
    assert list(stored_ids(layout)) == ids
    assert len(report.torn) == 1
    assert "3 damaged lines" in report.torn[0]
    (kept,) = (layout.spool / "torn").iterdir()
    assert kept.read_bytes() == b'rubbish\n{"k":"p"}\n12345678 {half a li\n'
    assert list_segments(layout.spool) == []


def test_a_segment_of_garbage_is_put_aside(layout: Layout) -> None:
    (layout.spool / "garbage.seg").write_bytes(random.Random(1).randbytes(10_000))

    report = fold(layout, SETTINGS)
    assert (report.predictions, len(report.torn), report.segments) == (0, 1, 1)
    assert list_segments(layout.spool) == []
    assert fold(layout, SETTINGS).torn == []


def test_a_label_waits_aside_until_its_prediction_comes(
    layout: Layout, log: PredictionLog, log_bikes: Any
) -> None:
    log.append_feedback([("late", 5.0, None), ("never", 6.0, None)])
    fold(layout, SETTINGS)
    reader = PredictionReader(layout)
    assert reader.query("SELECT count(*) FROM feedback").rows == [(0,)]
    assert reader.query("SELECT count(*) FROM log.feedback_aside").rows == [(2,)]

    log_bikes(log, ids=["late"])
    fold(layout, SETTINGS)
    assert reader.query("SELECT prediction_id, actual FROM feedback").rows == [("late", 5.0)]
    assert reader.query("SELECT prediction_id FROM log.feedback_aside").rows == [("never",)]


def test_two_folds_at_once_are_one(layout: Layout, log: PredictionLog, log_bikes: Any) -> None:
    from store.locks import locked

    log_bikes(log)
    with locked(layout.run / "fold.lock", what="a fold of somebody else"):
        report = fold(layout, SETTINGS)

    assert report.predictions == 0
    assert report.skipped
    assert "a fold of somebody else" in report.skipped
    assert fold(layout, SETTINGS).predictions == 1


def test_a_users_shell_that_holds_the_file_is_named_and_waited_out(
    layout: Layout, log: PredictionLog, log_bikes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_bikes(log)
    fold(layout, SETTINGS)
    with Shell(layout.predictions) as shell:
        new = log_bikes(log)

        report = fold(layout, SETTINGS)
        assert report.predictions == 0
        assert report.skipped
        assert f"process {shell.pid}" in report.skipped

    assert fold(layout, SETTINGS).predictions == 1
    assert new[0] in stored_ids(layout)


def test_a_damaged_file_is_made_again_from_the_archive_and_kept_aside(
    layout: Layout, log: PredictionLog, log_bikes: Any
) -> None:
    ids = log_bikes(log, rows=3)
    log.append_feedback([(ids[0], 1.0, None)])
    log.close()
    fold(layout, SETTINGS)
    layout.predictions.write_bytes(b"garbage" * 1000)
    ids += log_bikes(log)

    with pytest.raises(StorageError, match=r"predictions\.duckdb is damaged"):
        PredictionReader(layout).counts()
    fold(layout, SETTINGS)
    assert stored_ids(layout) == Counter(ids)
    (count,) = PredictionReader(layout).counts()
    assert (count.predictions, count.labelled) == (4, 1)
    assert len([*layout.state.glob("predictions.damaged-*.duckdb")]) == 1


def test_without_an_archive_a_damaged_file_is_named_and_the_spool_is_kept(
    layout: Layout, log: PredictionLog, log_bikes: Any
) -> None:
    layout.predictions.write_bytes(b"garbage" * 1000)
    log_bikes(log)
    log.close()

    with pytest.raises(StorageError, match=r"predictions\.duckdb"):
        fold(layout, StoreSettings(archive_days=0))
    assert len(list_segments(layout.spool)) == 1


def test_a_file_of_a_newer_workbench_is_refused(layout: Layout, log: PredictionLog, log_bikes: Any) -> None:
    log_bikes(log)
    fold(layout, SETTINGS)
    with duckdb.connect(str(layout.predictions)) as connection:
        connection.execute("UPDATE meta SET value = '99' WHERE key = 'schema_version'")
    log_bikes(log)

    with pytest.raises(StorageError, match="newer workbench"):
        fold(layout, SETTINGS)
    with pytest.raises(StorageError, match="newer workbench"):
        PredictionReader(layout).counts()


KILLED_AT = {
    "before the commit": """
real = fold_module._commit
def die(connection, plan, existing):
    class Dying:
        def __getattr__(self, name): return getattr(connection, name)
        def execute(self, sql, *a):
            if sql == "COMMIT": os.kill(os.getpid(), 9)
            return connection.execute(sql, *a)
    real(Dying(), plan, existing)
fold_module._commit = die
""",
    "after the commit, before the file is closed": """
real = fold_module._commit
def die(*a):
    real(*a)
    os.kill(os.getpid(), 9)
fold_module._commit = die
""",
    "before the segment is archived": """
def die(self, target):
    if self.suffix == ".seg": os.kill(os.getpid(), 9)
Path.replace = die
""",
    "while the file is made": """
from store import database
real = database.create_tables
def die(connection):
    real(connection)
    os.kill(os.getpid(), 9)
database.create_tables = die
""",
}


@pytest.mark.parametrize("moment", KILLED_AT)
def test_a_fold_killed_at_any_step_loses_and_doubles_nothing(
    moment: str, layout: Layout, log_bikes: Any
) -> None:
    log = PredictionLog(layout, SETTINGS)
    ids = log_bikes(log, rows=4)
    log.append_feedback([(ids[1], 1.0, None)])
    log.close()
    code = (
        "import os, sys; from pathlib import Path\n"
        "from store import fold as fold_module; from store.layout import Layout\n"
        f"{KILLED_AT[moment]}\nfold_module.fold(Layout.of(Path(sys.argv[1])))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(layout.root)], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL

    reader = PredictionReader(layout)
    assert reader.query("SELECT count(*), count(DISTINCT prediction_id) FROM predictions").rows == [(4, 4)]
    fold(layout, SETTINGS)
    assert list(stored_ids(layout)) == ids
    assert reader.query("SELECT count(*) FROM feedback").rows == [(1,)]
    assert list_segments(layout.spool) == []


READER = """
import sys
from pathlib import Path
from store.layout import Layout
from store.predictions import PredictionReader
reader = PredictionReader(Layout.of(Path(sys.argv[1])), timeout_s=20)
last = 0
while last < int(sys.argv[2]):
    ((n, distinct),) = reader.query("SELECT count(*), count(DISTINCT prediction_id) FROM predictions").rows
    if n != distinct or n < last or reader.note:
        sys.exit(f"{n} rows, {distinct} distinct, {last} before: {reader.note}")
    last = n
print("saw all", flush=True)
"""


def hunt(root: Path, rounds: int, seed: int) -> tuple[set[str], Counter[str]]:
    """Kill writers, folds and readers at random moments; acknowledged ids, and the stored ones."""
    chance = random.Random(seed)
    layout = Layout.of(root).ensure()
    acknowledged: set[str] = set()
    for number in range(rounds):
        writer, folder = start(WRITER, str(root), f"w{number}", "1000000"), start(FOLDER, str(root))
        reader = start(READER, str(root), "1000000000")
        assert writer.stdout is not None
        assert folder.stdout is not None
        assert folder.stdout.readline() == "ready\n"
        written = writer.stdout.readline()
        deadline = time.monotonic() + chance.uniform(0.05, 0.4)
        while time.monotonic() < deadline:
            written += writer.stdout.readline()
        order = [writer, folder, reader]
        chance.shuffle(order)
        rest = {process.pid: kill(process) for process in order}
        acknowledged |= acknowledged_ids(written + rest[writer.pid])
    fold(layout)
    return acknowledged, stored_ids(layout)


def test_random_kills_of_writers_and_folds_lose_and_double_nothing(tmp_path: Path) -> None:
    """Of applications that write by themselves; for servers see tests/serve/test_kill_hunt.py."""
    acknowledged, stored = hunt(tmp_path, rounds=3, seed=int(os.environ.get("PYTEST_SEED", "4")))

    assert acknowledged
    assert acknowledged - stored.keys() == set()
    assert max(stored.values()) == 1


@pytest.mark.slow
def test_four_writers_a_fold_and_three_readers_together(tmp_path: Path) -> None:
    """No reader ever sees a row twice, or one less than before."""
    layout = Layout.of(tmp_path).ensure()
    requests = 800
    readers = [start(READER, str(tmp_path), str(4 * 3 * requests)) for _ in range(3)]
    folder = start(FOLDER, str(tmp_path))
    writers = [start(WRITER, str(tmp_path), f"w{n}", str(requests)) for n in range(4)]
    acknowledged: set[str] = set()
    for writer in writers:
        assert writer.stdout is not None
        acknowledged.update(*(writer.stdout.readline().split() for _ in range(requests)))
    for reader in readers:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "saw all\n"
    for process in (*readers, *writers, folder):
        kill(process)
    fold(layout)

    assert stored_ids(layout) == Counter(acknowledged)
