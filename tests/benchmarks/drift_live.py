"""The monitor on a long log: the newest report of 30 features, from counts by five minutes.

    python -m tests.benchmarks.drift_live [--rows 10000000] [--store DIR]

The log takes minutes to make; in the folder of `--store` it is kept, and taken as it is the next time.

A report is what `workbench report` computes: drift, values out of range and copies of rows, performance by
20,000 labels. Beside it, in the same run, what it replaces: the same counts from the rows. Times are wall
clock, processor time beside it. Exits with 1 over a limit.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import numpy as np

from pipelines.drift.live import LiveDrift
from pipelines.drift.windows import Watched
from pipelines.monitor_settings import MonitorSettings
from pipelines.performance import performance_details
from store.fold import fold
from store.layout import Layout
from store.log import PredictionLog
from store.predictions import PredictionReader
from store.references import read_reference
from store.settings import StoreSettings
from store.shared_reading import shared_reading
from store.slices import Key, SliceReader
from tests.benchmarks.prediction_log import fill_and_fold, publish

KEY = Key("cancer", 1)
LIMITS = {"report of the last 24 hours": 100.0, "live refresh, a window of 1 hour": 150.0}
LABELS = 20_000


def median_ms(question: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Wall-clock and processor time."""
    question()
    times, used = [], []
    for _ in range(rounds):
        started, before = time.perf_counter(), time.process_time()
        question()
        times.append((time.perf_counter() - started) * 1000)
        used.append((time.process_time() - before) * 1000)
    return statistics.median(times), statistics.median(used)


def label(layout: Layout, ids: Sequence[str]) -> None:
    rng = np.random.default_rng(0)
    log = PredictionLog(layout, StoreSettings())
    log.append_feedback([(one, int(rng.random() < 0.5), None) for one in ids])
    log.close()
    fold(layout)


@contextmanager
def filled(folder: Path | None, rows: int) -> Iterator[Layout]:
    """A log of so many rows with labels: made in `folder`, found there, or made for the time being."""
    if folder is None:
        with tempfile.TemporaryDirectory() as temporary, filled(Path(temporary), rows) as layout:
            yield layout
        return
    layout = Layout.of(folder).ensure()
    is_whole = folder / f"{rows}-rows"
    if not is_whole.exists():
        publish(layout)
        ids = fill_and_fold(layout, rows, min(rows, 200_000))
        label(layout, ids[:: max(1, len(ids) // LABELS)])
        is_whole.touch()
    yield layout


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--store", type=Path, help="folder that keeps the log")
    options = parser.parse_args()
    with filled(options.store, options.rows) as layout:
        now = PredictionReader(layout).counts()[0].last_at + timedelta(seconds=1)
        profile = read_reference(layout, KEY.model, KEY.version)
        assert profile is not None
        live = LiveDrift(layout)

        def report(window: str, *, with_rows: bool) -> Callable[[], object]:
            watched = Watched(KEY, profile, MonitorSettings(window=window))
            return lambda: live.report(watched, now, with_rows=with_rows)

        def performance(hours: int) -> object:
            return performance_details(
                layout, KEY.model, 1, start=now - timedelta(hours=hours), end=now, reference=profile
            )

        def whole(window: str, hours: int) -> Callable[[], object]:
            drift = report(window, with_rows=True)

            def ask() -> None:
                with shared_reading(layout):
                    drift()
                    performance(hours)

            return ask

        slices = SliceReader(layout)
        measured = {
            "report of the last 24 hours": median_ms(whole("24h", 24), options.rounds),
            "live refresh, a window of 1 hour": median_ms(report("1h", with_rows=True), options.rounds),
            "24 hours, drift alone": median_ms(report("24h", with_rows=False), options.rounds),
            "24 hours, drift and single rows": median_ms(report("24h", with_rows=True), options.rounds),
            "24 hours, performance alone": median_ms(lambda: performance(24), options.rounds),
            "1 hour, drift alone": median_ms(report("1h", with_rows=False), options.rounds),
            "which versions are asked": median_ms(
                lambda: slices.volumes(now - timedelta(days=8)), options.rounds
            ),
            "100,000 rows counted one by one": median_ms(lambda: slices.newest(KEY, profile, 100_000), 1),
        }
    print(f"{options.rows:,} rows, 30 features, median of {options.rounds}")
    for name, (ms, used) in measured.items():
        limit = LIMITS.get(name)
        aim = "" if limit is None else f"  ≤ {limit:.0f}{'  MISSED' if ms > limit else ''}"
        print(f"{name:<40} {ms:>9.1f} ms {used:>9.1f} CPU{aim}")
    return int(any(measured[name][0] > limit for name, limit in LIMITS.items()))


if __name__ == "__main__":
    sys.exit(main())
