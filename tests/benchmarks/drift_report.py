"""`workbench report` on two Parquet files beside Evidently's DataDriftPreset, both with their start-up.

    python -m tests.benchmarks.drift_report --evidently VENV/bin/python [--rows 50000] [--rounds 3]

Evidently lives in an environment of its own:
    python -m venv VENV; VENV/bin/pip install evidently "pandas<3.1".
The two take turns. Exits with 1 where a ratio misses its aim.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

AIMS = {50_000: (25.0, 5.0), 1_000_000: (30.0, None)}
"""By rows: how many times quicker at least, and how many times less memory."""

EVIDENTLY = """
import sys
import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset
reference, current = (pd.read_parquet(path) for path in sys.argv[1:3])
Report([DataDriftPreset()]).run(current, reference).dict()
"""


def write(path: Path, rows: int, seed: int) -> None:
    """25 numeric and 5 categorical columns."""
    import pyarrow as pa
    from pyarrow import parquet

    rng = np.random.default_rng(seed)
    columns = {f"n{place}": rng.normal(0.05 * seed, 1 + place, rows) for place in range(25)}
    names = np.array([f"category {place}" for place in range(8)])
    shares = [0.3, 0.2, 0.15, 0.1, 0.1, 0.05, 0.05, 0.05]
    columns |= {f"c{place}": names[rng.choice(8, rows, p=shares)] for place in range(5)}
    parquet.write_table(pa.table(columns), path)


def measure(command: list[str]) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak memory in MB of one process."""
    started = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ}
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command[0]} failed with {process.returncode}")
    return time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--evidently", default=os.environ.get("EVIDENTLY_PYTHON"), help="its Python")
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if not options.evidently:
        parser.error("--evidently or EVIDENTLY_PYTHON: the Python of an environment with Evidently")
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{side}.parquet" for side in ("reference", "current")]
        for seed, path in enumerate(paths):
            # In a process of its own: what a child's peak is counted from is the memory of its parent.
            writer = multiprocessing.get_context("spawn").Process(
                target=write, args=(path, options.rows, seed)
            )
            writer.start()
            writer.join()
        reference, current = map(str, paths)
        commands = {
            "workbench": [
                *(sys.executable, "-m", "workbench", "report"),
                *("--reference", reference, "--current", current, "--json"),
            ],
            "evidently": [options.evidently, "-c", EVIDENTLY, reference, current],
        }
        measure(commands["workbench"])  # bytecode
        found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in commands}
        for _ in range(options.rounds):
            for name, command in commands.items():
                found[name].append(measure(command))
    medians = {
        name: [statistics.median(one[part] for one in times) for part in range(3)]
        for name, times in found.items()
    }
    print(f"{options.rows:,} against {options.rows:,} rows × 30, median of {options.rounds}")
    print(f"{'':<12}{'wall s':>10}{'CPU s':>10}{'peak MB':>10}")
    for name, values in medians.items():
        print(f"{name:<12}{values[0]:>10.2f}{values[1]:>10.2f}{values[2]:>10.0f}")
    ratios = [medians["evidently"][part] / medians["workbench"][part] for part in range(3)]
    print(f"{'ratio':<12}{ratios[0]:>10.1f}{ratios[1]:>10.1f}{ratios[2]:>10.1f}")
    quicker, smaller = AIMS.get(options.rows, (25.0, None))
    is_met = ratios[0] >= quicker and (smaller is None or ratios[2] >= smaller)
    print(
        f"aim: {quicker:g} times quicker"
        + (f", {smaller:g} times less memory" if smaller else "")
        + ("" if is_met else "  MISSED")
    )
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
