"""The watcher's figures: how soon, how many, how small, how quick a large file is judged.

`python -m tests.benchmarks.watcher [--rows 1000000] [--files 10000] [--rest 30]`
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

from store.layout import Layout
from store.ledger import find_file, list_files

ROWS = "a,b,y\n" + "".join(f"{i % 23},{i % 7},{i % 2}\n" for i in range(100))
SETTINGS = """
[project]
name = "watched"

[pipelines.p]
data = "data"
target = "y"

[pipelines.p.retrain]
on_new_data = false
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--rest", type=float, default=30.0, help="seconds to watch the watcher at rest")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="watcher-") as folder:
        root = Path(folder).resolve()
        rows = [
            *_notice(root / "notice", options.rest),
            *_reconcile(root / "many", options.files),
            *_validate(root / "large", options.rows),
        ]
    width = max(len(name) for name, _, _ in rows)
    for name, value, bound in rows:
        print(f"{name:{width}}  {value:>14}  {bound}")


def _project(root: Path) -> Layout:
    (root / "data").mkdir(parents=True)
    (root / "workbench.toml").write_text(SETTINGS)
    return Layout.of(root).ensure()


def _notice(root: Path, rest_s: float) -> list[tuple[str, str, str]]:
    """From the end of a file's writing to its entry in the ledger, and what the watcher takes at rest."""
    import psutil

    from workbench.watching import running_watcher

    layout = _project(root)
    child = subprocess.Popen(
        [sys.executable, "-m", "workbench", "-C", str(root), "watch"], stderr=subprocess.DEVNULL
    )
    try:
        _until(lambda: running_watcher(layout))
        time.sleep(2)
        seconds = []
        for number in range(10):
            path = root / f"{number}.csv"
            path.write_text(ROWS + f"{number},0,1\n")
            target = root / "data" / path.name
            if number % 2:
                path.rename(target)
            else:
                target.write_text(path.read_text())
            begun = time.perf_counter()
            _until(lambda name=target.name: find_file(layout, "p", f"data/{name}"))
            seconds.append(time.perf_counter() - begun)
        _until(lambda: all(file.state == "ready" for file in list_files(layout)))
        time.sleep(5)
        process = psutil.Process(child.pid)
        before = process.cpu_times()
        time.sleep(rest_s)
        after = process.cpu_times()
        share = (after.user + after.system - before.user - before.system) / rest_s
        memory = process.memory_info().rss / 1e6
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(30)
    return [
        ("whole file noticed, median of 10", f"{statistics.median(seconds):.2f} s", "< 1 s"),
        ("whole file noticed, slowest", f"{max(seconds):.2f} s", ""),
        ("at rest, share of a core", f"{share:.2%}", "< 0.5 %"),
        ("at rest, memory", f"{memory:.0f} MB", "< 120 MB"),
    ]


def _reconcile(root: Path, files: int) -> list[tuple[str, str, str]]:
    """A first look, in a fresh process, at a folder whose files are all known."""
    layout = _project(root)
    for number in range(files):
        path = root / "data" / f"{number % 100:02d}" / f"{number}.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"a,b,y\n{number},1,0\n1,2,1\n")
    code = """
        import sys, time
        from pathlib import Path
        from workbench.settings import load_project
        from pipelines.watch import Watch
        project = load_project(Path(sys.argv[1]))
        watch = Watch(project.layout, lambda: None)
        begun = time.perf_counter()
        watch.configure(project.settings.pipelines)
        watch.look()
        seconds = time.perf_counter() - begun
        print(len(watch.pipelines["p"].known), len(watch.to_examine("p")), seconds)
        watch.close()
    """
    begun = time.perf_counter()
    _run(root, "watch", "--once")
    first = time.perf_counter() - begun
    ready = sum(file.state == "ready" for file in list_files(layout))
    lines = [
        subprocess.run(
            [sys.executable, "-c", dedent(code), str(root)], capture_output=True, text=True, check=True
        ).stdout.split()
        for _ in range(3)
    ]
    assert all(line[:2] == [str(files), "0"] for line in lines), lines
    seconds = statistics.median(float(line[2]) for line in lines)
    return [
        (f"{files:,} known files reconciled", f"{seconds:.2f} s", "< 3 s at 10,000"),
        (f"{ready:,} new files validated, whole process", f"{first:.1f} s", ""),
    ]


def _validate(root: Path, rows: int) -> list[tuple[str, str, str]]:
    """`workbench data validate` of one CSV file of 30 columns, in a process of its own; pandas beside it."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import csv

    _project(root)
    path = root / "data" / "large.csv"
    generator = np.random.default_rng(0)
    columns: dict[str, Any] = {f"x{i}": generator.normal(size=rows).round(5) for i in range(25)}
    columns |= {f"c{i}": generator.choice(["red", "green", "blue", "x,y"], rows) for i in range(3)}
    columns |= {"id": np.arange(rows), "y": generator.integers(0, 2, rows)}
    csv.write_csv(pa.table(columns), path)
    size = path.stat().st_size / 1e6
    seconds, memory = _measured("-m", "workbench", "-C", str(root), "data", "validate", str(path))
    code = "import pandas, sys; pandas.read_csv(sys.argv[1]).describe(include='all')"
    pandas_seconds, pandas_memory = _measured("-c", code, str(path))
    return [
        (f"{rows:,} × 30 CSV ({size:.0f} MB) validated", f"{seconds:.1f} s", "< 8 s at 1,000,000"),
        ("its memory", f"{memory:.0f} MB", "< 800 MB"),
        ("pandas.read_csv and describe", f"{pandas_seconds:.1f} s", ""),
        ("its memory", f"{pandas_memory:.0f} MB", ""),
    ]


def _measured(*arguments: str) -> tuple[float, float]:
    """Seconds and peak memory (MB) of a Python process."""
    begun = time.perf_counter()
    child = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, arguments
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return time.perf_counter() - begun, usage.ru_maxrss / unit


def _run(root: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "workbench", "-C", str(root), *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _until(condition: Callable[[], Any], deadline_s: float = 60.0) -> None:
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("it never came to this")
        time.sleep(0.005)


if __name__ == "__main__":
    main()
