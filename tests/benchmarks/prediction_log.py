"""The prediction log beside what one would write without it: a DuckDB insert per request, a scan per chart.

    python tests/benchmarks/prediction_log.py                   a million rows, some minutes
    python tests/benchmarks/prediction_log.py --rows 10000000   as many as its limits are made for

Everything is measured in this one run, in processes of their own, on 30 features of breast cancer data.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from store.ids import new_prediction_ids
from store.layout import Layout
from store.log import FeatureSchema, PredictionLog
from store.profile import build_profile
from store.references import publish_reference
from store.settings import StoreSettings

DAYS = 7
FOLD_ROWS = 1_000_000
LIMITS = {
    "fold 1,000,000 rows, s": 20.0,
    "fold peak memory, MB": 400.0,
    "last 100, ms": 50.0,
    "60 points of one feature, ms": 20.0,
    "60 points of all 30, ms": 150.0,
    "1,000 new labels joined, ms": 20.0,
    "reader peak memory, MB": 300.0,
    "bytes a prediction": 280.0,
}


def data() -> tuple[np.ndarray[Any, Any], FeatureSchema]:
    from sklearn.datasets import load_breast_cancer

    loaded = load_breast_cancer()
    names = tuple(str(name) for name in loaded.feature_names)
    return loaded.data, FeatureSchema(names, ("numeric",) * len(names))


def publish(layout: Layout) -> None:
    X, schema = data()
    scores = np.random.default_rng(0).random(len(X))
    profile = build_profile(
        dict(zip(schema.names, X.T, strict=True)),
        dict.fromkeys(schema.names, "numeric"),
        (scores > 0.5).astype(int),
        task="binary",
        classes=(0, 1),
        scores=scores,
    )
    publish_reference(layout, "cancer", 1, profile)


def append(log: PredictionLog, schema: FeatureSchema, X: Any, scores: Any, at: datetime) -> list[str]:
    ids = new_prediction_ids(len(X))
    assert log.append(
        model="cancer",
        version=1,
        schema=schema,
        prediction_ids=ids,
        predicted_at=at,
        predictions=(scores > 0.5).astype(int),
        probability=scores,
        probabilities=None,
        classes=(0, 1),
        numeric=X,
        categorical=[[]] * len(X),
        latency_ms=0.42,
    ), log.problem
    return ids


def fill(layout: Layout, rows: int, *, batch: int, seed: int = 0) -> None:
    """Append `rows` predictions, `batch` a request, spread over a week."""
    X, schema = data()
    rng = np.random.default_rng(seed)
    log = PredictionLog(layout, StoreSettings())
    start = datetime.now(UTC) - timedelta(days=DAYS)
    for first in range(0, rows, batch):
        chosen = X[rng.integers(0, len(X), batch)] * rng.choice([1.0, 0.99, 1.01], (batch, 1))
        at = start + timedelta(days=DAYS) * (first / rows)
        append(log, schema, np.round(chosen, 5), rng.random(batch), at)
    log.close()


FOLD = """
import json, sys, time
from pathlib import Path
from serve.clerk import _NoPandas
sys.meta_path.insert(0, _NoPandas())
from store.fold import fold
from store.layout import Layout
layout, started, rows = Layout.of(Path(sys.argv[1])), time.perf_counter(), 0
while True:
    report = fold(layout)
    rows += report.predictions
    if rows >= int(sys.argv[2]):
        break
seconds = time.perf_counter() - started
# Not getrusage: that of a child begins with what its parent had.
peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
print(json.dumps({"seconds": seconds * int(sys.argv[2]) / rows, "cpu": time.process_time(), "peak": peak}))
"""
APPEND = """
import sys, time
sys.path.insert(0, sys.argv[2])
from prediction_log import append, data
from datetime import UTC, datetime
from pathlib import Path
import numpy as np
from store.layout import Layout
from store.log import PredictionLog
from store.settings import StoreSettings
X, schema = data()
log = PredictionLog(Layout.of(Path(sys.argv[1])), StoreSettings())
print("ready", flush=True)
while True:
    append(log, schema, X[:1], np.array([0.25]), datetime.now(UTC))
    time.sleep(0.002)
"""


def child(code: str, *arguments: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure_fold(folder: Path, rows: int) -> dict[str, float]:
    """Fold `rows` requests of one row each while another process goes on appending."""
    layout = Layout.of(folder).ensure()
    publish(layout)
    fill(layout, rows, batch=1)
    writer = subprocess.Popen(
        [sys.executable, "-c", APPEND, str(folder), str(Path(__file__).parent)], stdout=subprocess.PIPE
    )
    try:
        assert writer.stdout is not None
        writer.stdout.readline()
        return child(FOLD, str(folder), str(rows))
    finally:
        writer.kill()
        writer.communicate()


def measure_inserts(folder: Path, requests: int = 500) -> float:
    """Seconds a request takes that inserts its row into DuckDB itself."""
    import duckdb

    X, _ = data()
    connection = duckdb.connect(str(folder / "peer.duckdb"), config={"threads": "1"})
    columns = ", ".join(f"f{i} DOUBLE" for i in range(X.shape[1]))
    connection.execute(f"CREATE TABLE predictions (id VARCHAR, made TIMESTAMP, p DOUBLE, {columns})")
    marks = ", ".join("?" * (X.shape[1] + 3))
    started = time.perf_counter()
    for number in range(requests):
        row = ["id", datetime.now(UTC).replace(tzinfo=None), 0.25, *X[number % len(X)].tolist()]
        connection.execute(f"INSERT INTO predictions VALUES ({marks})", row)
    seconds = (time.perf_counter() - started) / requests
    connection.close()
    return seconds


def measure_append(folder: Path, requests: int = 5_000) -> float:
    X, schema = data()
    log = PredictionLog(Layout.of(folder).ensure(), StoreSettings())
    started = time.perf_counter()
    for number in range(requests):
        append(log, schema, X[number % len(X)][None], np.array([0.25]), datetime.now(UTC))
    seconds = (time.perf_counter() - started) / requests
    log.close()
    return seconds


READ = """
import json, statistics, sys, time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from store.layout import Layout
from store.predictions import PredictionReader
from store.series import SeriesReader
layout = Layout.of(Path(sys.argv[1]))
reader, series = PredictionReader(layout), SeriesReader(layout)
end = datetime.now(UTC)
start, since = end - timedelta(days=8), datetime.fromisoformat(sys.argv[2])
def timed(question):
    times = []
    for _ in range(9):
        began = time.perf_counter()
        question()
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)
one = series.series("cancer", 1, start=start, end=end, features=["mean radius"])
assert [found.total.n for found in one.values()] == [int(sys.argv[3])]
assert len(reader.new_labels(since).rows) == 1000
found = {
    "last": timed(lambda: reader.recent(limit=100)),
    "one": timed(lambda: series.series("cancer", 1, start=start, end=end, features=["mean radius"])),
    "all": timed(lambda: series.series("cancer", 1, start=start, end=end)),
    "labels": timed(lambda: reader.new_labels(since)),
}
peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
print(json.dumps(found | {"peak": peak}))
"""
RAW = r"""
import json, sys, time
import duckdb
connection = duckdb.connect(sys.argv[1], read_only=True, config={"threads": "2"})
connection.execute("SET enable_progress_bar = false")
def timed(sql):
    began = time.perf_counter()
    connection.execute(sql).fetchall()
    return (time.perf_counter() - began) * 1000
def points(slot):
    return ("SELECT time_bucket(INTERVAL 168 minutes, predicted_at) AS point, histogram(\"numeric\"[%d],"
            " [9.0, 10, 11, 12, 13, 14, 15, 16, 17, 18]) FROM predictions GROUP BY point" % slot)
print(json.dumps({
    "last": timed("SELECT * FROM predictions ORDER BY predicted_at DESC LIMIT 100"),
    "one": timed(points(1)),
    "all": timed(points(1)) * 30,
    "labels": timed("SELECT p.prediction_id, p.prediction, l.label FROM predictions p JOIN labels l"
                    " USING (prediction_id) WHERE l.received_at > (SELECT max(received_at) FROM feedback)"
                    " - INTERVAL 1 minute"),
}))
"""


def measure_reads(folder: Path, rows: int) -> dict[str, float]:
    from store.fold import fold
    from store.vacuum import vacuum

    layout = Layout.of(folder).ensure()
    publish(layout)
    rows = rows // 1000 * 1000
    ids = fill_and_fold(layout, rows, 1_000_000)
    rng = np.random.default_rng(1)
    log = PredictionLog(layout, StoreSettings(), "feedback")
    for first in range(0, len(ids) - 1000, 5_000):
        log.append_feedback([(one, int(rng.integers(2)), None) for one in ids[first : first + 5_000]])
    fold(layout)
    since = datetime.now(UTC)
    log.append_feedback([(one, int(rng.integers(2)), None) for one in ids[-1000:]])
    log.close()
    fold(layout)
    vacuum(layout)
    found = child(READ, str(folder), since.isoformat(), str(rows))
    found["bytes"] = layout.predictions.stat().st_size / rows
    return found | {f"raw {key}": value for key, value in child(RAW, str(layout.predictions)).items()}


def fill_and_fold(layout: Layout, rows: int, step: int) -> list[str]:
    """As a server's life of a week: appended and folded in turns."""
    from store.fold import fold

    X, schema = data()
    rng = np.random.default_rng(0)
    start = datetime.now(UTC) - timedelta(days=DAYS)
    ids: list[str] = []
    log = PredictionLog(layout, StoreSettings())
    for first in range(0, rows, 1000):
        chosen = X[rng.integers(0, len(X), 1000)] * rng.choice([1.0, 0.99, 1.01], (1000, 1))
        at = start + timedelta(days=DAYS) * (first / rows)
        ids = (ids + append(log, schema, np.round(chosen, 5), rng.random(1000), at))[-100_000:]
        if (first + 1000) % step == 0:
            fold(layout)
    log.close()
    fold(layout)
    return ids


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows that are read from")
    parser.add_argument("--fold-rows", type=int, default=FOLD_ROWS)
    parser.add_argument("--only", choices=("fold", "read"))
    options = parser.parse_args()
    lines: list[tuple[str, float, float | None]] = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        if options.only != "read":
            folded = measure_fold(root / "fold", options.fold_rows)
            lines += [
                (f"fold {FOLD_ROWS:,} rows, s", folded["seconds"] * FOLD_ROWS / options.fold_rows, None),
                ("fold peak memory, MB", folded["peak"], None),
                ("append, µs", measure_append(root / "append") * 1e6, measure_inserts(root) * 1e6),
            ]
        if options.only != "fold":
            read = measure_reads(root / "read", options.rows)
            lines += [
                ("last 100, ms", read["last"], read["raw last"]),
                ("60 points of one feature, ms", read["one"], read["raw one"]),
                ("60 points of all 30, ms", read["all"], read["raw all"]),
                ("1,000 new labels joined, ms", read["labels"], read["raw labels"]),
                ("reader peak memory, MB", read["peak"], None),
                ("bytes a prediction", read["bytes"], None),
            ]
    print(f"{'':32}{'here':>12}{'plain DuckDB':>14}{'ratio':>9}{'limit':>9}")
    for name, value, peer in lines:
        compared = f"{peer:14,.1f}{peer / value:8.1f}x" if peer is not None else " " * 23
        limit = f"{LIMITS[name]:9,.0f}" if name in LIMITS else ""
        print(f"{name:32}{value:12,.1f}{compared}{limit}")


if __name__ == "__main__":
    main()
