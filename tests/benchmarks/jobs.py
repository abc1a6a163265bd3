"""What a job costs: until its first line, until the next one's, and the watcher at rest after them.

`python -m tests.benchmarks.jobs [--rounds 3] [--rest 30]`

The first line is that of the training's first stage, in the log of its progress; beside it `import mlflow` in
a fresh interpreter, in turns with it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from store.job_progress import PROGRESS_FILE
from store.jobs import Job, list_jobs
from store.layout import Layout
from workbench.watching import running_watcher

SETTINGS = """
[project]
name = "jobs"

[pipelines.p]
data = "data"
target = "y"
estimator = "logistic_regression"
split = { cv_folds = 0 }
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rest", type=float, default=30.0, help="seconds to watch the watcher at rest")
    options = parser.parse_args()
    imports, firsts, nexts = [], [], []
    with tempfile.TemporaryDirectory(prefix="jobs-") as folder:
        for number in range(options.rounds):
            imports.append(_import_mlflow())
            with _watched(Path(folder).resolve() / str(number)) as (layout, pid):
                firsts.append(_first_line(layout, "a"))
                nexts.append(_first_line(layout, "b"))
                if number + 1 == options.rounds:
                    rest = _at_rest(layout, pid, options.rest)
    import_s, first_s, next_s = map(statistics.median, (imports, firsts, nexts))
    rows = [
        ("import mlflow, fresh interpreter", f"{import_s:.2f} s", "", ""),
        ("a job's first line", f"{first_s:.2f} s", f"{first_s / import_s:.2f} × import mlflow", "< 2 ×"),
        ("the next job's", f"{next_s:.2f} s", f"{next_s / import_s:.2f} × import mlflow", "< 0.3 s"),
        *rest,
    ]
    widths = [max(len(row[place]) for row in rows) for place in range(4)]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def _import_mlflow() -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import mlflow"], check=True)
    return time.perf_counter() - begun


@contextlib.contextmanager
def _watched(root: Path) -> Iterator[tuple[Layout, int]]:
    """A project with a watcher that has nothing to do yet."""
    (root / "data").mkdir(parents=True)
    (root / "workbench.toml").write_text(SETTINGS)
    layout = Layout.of(root).ensure()
    child = subprocess.Popen(
        [sys.executable, "-m", "workbench", "-C", str(root), "watch"], stderr=subprocess.DEVNULL
    )
    try:
        _until(lambda: running_watcher(layout))
        time.sleep(2)
        yield layout, child.pid
    finally:
        child.terminate()
        child.wait(30)


def _first_line(layout: Layout, name: str) -> float:
    """From the moment that a job runs to the first word of its training; ends when the job has ended."""
    rows = "".join(f"{i % 23},{i % 7},{len(name + str(i)) % 2}\n" for i in range(400))
    (layout.root / f"data/{name}.csv").write_text(f"a,b,y\n{rows}{ord(name[0])},1,0\n")
    known = {job.id for job in list_jobs(layout)}

    def started() -> Job | None:
        return next((job for job in list_jobs(layout, states=("running",)) if job.id not in known), None)

    job: Job = _until(started)
    path = layout.jobs / job.id / PROGRESS_FILE
    _until(lambda: path.exists() and json.loads(path.read_bytes())["step"] > 0)
    assert job.started_at is not None
    seconds = time.time() - job.started_at.timestamp()
    _until(lambda: not list_jobs(layout, states=("queued", "running")))
    return seconds


def _at_rest(layout: Layout, pid: int, rest_s: float) -> list[tuple[str, str, str, str]]:
    """The watcher once the process that jobs are forked from has ended by itself."""
    import psutil

    watcher = psutil.Process(pid)
    held = sum(child.memory_info().rss for child in watcher.children(recursive=True)) / 1e6
    begun = time.perf_counter()
    _until(lambda: not watcher.children(recursive=True), deadline_s=300)
    idle_s = time.perf_counter() - begun
    before = watcher.cpu_times()
    time.sleep(rest_s)
    after = watcher.cpu_times()
    share = (after.user + after.system - before.user - before.system) / rest_s
    jobs = len(list_jobs(layout))
    return [
        ("what forks the next job, idle", f"{held:.0f} MB", f"gone after {idle_s:.0f} s", ""),
        (f"at rest after {jobs} jobs, memory", f"{watcher.memory_info().rss / 1e6:.0f} MB", "", "< 120 MB"),
        ("at rest, share of a core", f"{share:.2%}", "", "< 0.5 %"),
    ]


def _until(condition: Callable[[], Any], deadline_s: float = 120.0) -> Any:
    end = time.monotonic() + deadline_s
    while not (found := condition()):
        if time.monotonic() > end:
            raise TimeoutError("it never came to this")
        time.sleep(0.005)
    return found


if __name__ == "__main__":
    main()
