"""What the run index costs and gains, beside `MlflowClient.search_runs` on the same store in the same run.

    python tests/benchmarks/run_index.py [--runs 10000] [--keep FOLDER] [--at-rest 60] [--others 5]
        [--no-mlflow]

The store is made here without MLflow: 15 parameters, 10 metrics (two of them with 100 points) and 5 tags a
run, in 5 experiments. Each step runs in a process of its own where its memory or its start matters.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

EXPERIMENTS = 5
REFRESH_S = 1.5
"""`[ui] refresh`."""

START_MS = 1_700_000_000_000
SORTS = ("metrics.metric_3 ASC", "params.param_3 DESC", "tags.owner", "start_time ASC", "run_name")
FILTERS = (
    "metrics.metric_0 > 0.9 and params.param_1 = '5'",
    "tags.owner LIKE '%n'",
    "run_name ILIKE 'RUN-99%'",
    "params.nothing IS NULL",
    "metrics.metric_2 < 0.5 and metrics.metric_3 < 0.5 and tags.owner = 'bob'",
    "status IN ('FINISHED', 'FAILED') and start_time > 1700000000000",
)

COLD = """
import json, resource, sys, time
from pathlib import Path
from store.run_index import RunIndex
started = time.process_time()
index = RunIndex(Path(sys.argv[1]), Path(sys.argv[2]))
found = len(index.list())  # every run, also as objects
usage = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"cpu_s": time.process_time() - started, "peak_mb": usage.ru_maxrss / 1024, "runs": found}))
"""

WARM = """
import json, sys, time
started = time.perf_counter()
from pathlib import Path
from store.run_index import RunIndex
index = RunIndex(Path(sys.argv[1]), Path(sys.argv[2]))
rows = index.peek(order_by=["metrics.metric_3 ASC"], limit=50)
first_s = time.perf_counter() - started
started, cpu = time.perf_counter(), time.process_time()
index.list(order_by=["metrics.metric_3 ASC"], limit=50)
checked_s, checked_cpu_s = time.perf_counter() - started, time.process_time() - cpu
print(json.dumps({"first_s": first_s, "checked_s": checked_s, "checked_cpu_s": checked_cpu_s,
                  "ids": [run.run_id for run in rows]}))
"""

REST = """
import json, sys, time
from pathlib import Path
from store.run_index import RunIndex
index = RunIndex(Path(sys.argv[1]), Path(sys.argv[2]))
visible = [run.run_id for run in index.look()[:50]]
for _ in range(12):
    index.look(watched=visible)
started, cpu = time.monotonic(), time.process_time()
while time.monotonic() - started < float(sys.argv[3]):
    time.sleep(1.5)
    index.look(watched=visible)
print(json.dumps({"share": (time.process_time() - cpu) / (time.monotonic() - started)}))
"""

MLFLOW = """
import json, sys, time
import mlflow
client = mlflow.MlflowClient()
experiments = [experiment.experiment_id for experiment in client.search_experiments()]
started = time.perf_counter()
page = client.search_runs(experiments, order_by=["metrics.metric_3 ASC"], max_results=50)
print(json.dumps({"page_s": time.perf_counter() - started, "ids": [run.info.run_id for run in page]}))
"""


def make_store(root: Path, count: int) -> None:
    """Runs as MLflow writes them; the files are plain writes, which is what makes it quick."""
    chance = random.Random(1)
    for number in range(1, EXPERIMENTS + 1):
        (root / str(number)).mkdir(parents=True)
        (root / str(number) / "meta.yaml").write_text(
            f"artifact_location: file://{root}/{number}\ncreation_time: {START_MS}\n"
            f"experiment_id: '{number}'\nlast_update_time: {START_MS}\nlifecycle_stage: active\n"
            f"name: experiment {number}\n"
        )
    for position in range(count):
        experiment = 1 + position % EXPERIMENTS
        run_id, start_ms = f"{chance.getrandbits(128):032x}", START_MS + position * 1000
        folder = f"{root}/{experiment}/{run_id}"
        for part in ("", "metrics", "params", "tags", "artifacts"):
            os.mkdir(f"{folder}/{part}")  # noqa: PTH102
        for key in range(15):
            _write(f"{folder}/params/param_{key}", str(chance.choice((1, 2, 5, 10, "gini", "entropy", 0.1))))
        for key in range(10):
            points = 100 if key < 2 else 1
            lines = (f"{start_ms + step} {chance.random()} {step}\n" for step in range(points))
            _write(f"{folder}/metrics/metric_{key}", "".join(lines))
        tags = {
            "mlflow.runName": f"run-{position}", "mlflow.user": "ann", "mlflow.source.name": "train.py",
            "mlflow.source.type": "LOCAL", "owner": chance.choice(("ann", "bob")),
        }  # fmt: skip
        for tag, value in tags.items():
            _write(f"{folder}/tags/{tag}", value)
        _write(
            f"{folder}/meta.yaml",
            f"artifact_uri: file://{folder}/artifacts\nend_time: {start_ms + 500}\nentry_point_name: ''\n"
            f"experiment_id: '{experiment}'\nlifecycle_stage: active\nrun_id: {run_id}\n"
            f"run_name: run-{position}\nrun_uuid: {run_id}\nsource_name: ''\nsource_type: 4\n"
            f"source_version: ''\nstart_time: {start_ms}\nstatus: 3\ntags: []\nuser_id: ann\n",
        )


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.write(descriptor, text.encode())
    os.close(descriptor)


def child(code: str, root: Path, *arguments: object) -> dict[str, Any]:
    from store.tracking import tracking_environment

    environment = {**os.environ, **tracking_environment(root.as_uri())}
    command = [sys.executable, "-c", code, str(root), *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def command_cpu_s(folder: Path) -> float:
    """Of one `workbench runs list`, its start included."""
    command = [sys.executable, "-m", "workbench", "-C", str(folder), "runs", "list", "--limit", "50"]
    command += ["--order-by", "metrics.metric_3"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def freshness(root: Path, index_file: Path, others: int) -> dict[str, list[float]]:
    """Seconds until a screen that looks every `REFRESH_S` shows a change made just after a look."""
    from store.run_index import RunIndex

    index = RunIndex(root, index_file)
    runs = index.look()
    while not index.goes_round:
        index.look()
    visible = [run.run_id for run in runs[:50]]
    chance = random.Random(2)
    seconds: dict[str, list[float]] = {"new": [], "running": [], "visible": [], "other": []}

    def folder(run_id: str) -> Path:
        found = index.run_folder(run_id)
        assert found is not None
        return found

    def shown(run_id: str, tag: str) -> bool:
        return any(run.run_id == run_id and run.tags.get("owner") == tag for run in last)

    template = folder(visible[0])
    created = f"{chance.getrandbits(128):032x}"
    changes: list[tuple[str, str, str]] = [("new", created, "bob")]
    changes += [("running", created, f"running {number}") for number in range(3)]
    changes += [("visible", chance.choice(visible), f"visible {number}") for number in range(3)]
    changes += [("other", chance.choice(runs[200:]).run_id, f"other {number}") for number in range(others)]
    pending: dict[tuple[str, str, str], float] = {}
    last = index.look(watched=visible)
    while changes or pending:
        if changes and (changes[0][0] == "other" or not pending):
            change = changes.pop(0)
            kind, run_id, tag = change
            if kind == "new":
                made = template.parent / created
                shutil.copytree(template, made)
                meta = (made / "meta.yaml").read_text().replace(template.name, created)
                (made / "meta.yaml").write_text(meta.replace("status: 3", "status: 1"))
            _write(f"{folder(run_id)}/tags/owner", tag)
            pending[change] = time.monotonic()
        time.sleep(REFRESH_S)
        last = index.look(watched=visible)
        for change in [*pending]:
            if shown(*change[1:]):
                seconds[change[0]].append(time.monotonic() - pending.pop(change))
    shutil.rmtree(template.parent / created)
    index.close()
    return seconds


def median_ms(call: Callable[[], object], rounds: int = 7) -> float:
    taken = []
    for _ in range(rounds):
        started = time.perf_counter()
        call()
        taken.append((time.perf_counter() - started) * 1000)
    return statistics.median(taken)


def row(what: str, value: str, wanted: str = "") -> None:
    print(f"{what:<52}{value:>16}   {wanted}", flush=True)


def measure(folder: Path, arguments: argparse.Namespace) -> None:
    from store.run_index import RunIndex

    root, index_file = folder / "mlruns", folder / ".workbench" / "index.sqlite"
    if not root.exists():
        started = time.perf_counter()
        make_store(root, arguments.runs)
        row(f"{arguments.runs:,} runs made", f"{time.perf_counter() - started:.1f} s")
    for path in index_file.parent.glob("index.sqlite*"):
        path.unlink()
    cold = child(COLD, root, index_file)
    row("cold build, CPU", f"{cold['cpu_s']:.1f} s", "under 15 s")
    row("cold build, peak memory with all runs held", f"{cold['peak_mb']:.0f} MB", "under 120 MB")
    row("index on disk", f"{index_file.stat().st_size / 1e6:.1f} MB")
    warm = child(WARM, root, index_file)
    row("warm: first 50 by a metric, imports included", f"{warm['first_s'] * 1000:.0f} ms", "under 300 ms")
    row("  the same after a look at every file, CPU", f"{warm['checked_cpu_s']:.2f} s")
    row("  the same, wall", f"{warm['checked_s']:.2f} s")
    index = RunIndex(root, index_file)
    index.peek(limit=1)
    first_page_ms = median_ms(lambda: index.peek(order_by=["metrics.metric_3 ASC"], limit=50))
    for order in SORTS:
        taken = median_ms(lambda order=order: index.peek(order_by=[order], limit=50))  # type: ignore[misc]
        row(f"sort {order}", f"{taken:.1f} ms", "under 50 ms")
    for text in FILTERS:
        taken = median_ms(lambda text=text: index.peek(filter=text, limit=50))  # type: ignore[misc]
        row(f"filter {text}"[:51], f"{taken:.1f} ms", "under 50 ms")
    index.close()
    rest = child(REST, root, index_file, arguments.at_rest)
    row("at rest, a look each 1.5 s with 50 rows visible", f"{rest['share']:.2%} of a core", "under 2 %")
    for kind, seconds in freshness(root, index_file, arguments.others).items():
        wanted = "within 60 s" if kind == "other" else "within 2 s"
        row(f"a change of a {kind} run is shown after, at most", f"{max(seconds):.1f} s", wanted)
    (folder / "workbench.toml").write_text('[project]\nname = "benchmark"\n')
    for what in ("first", "next"):
        row(f"workbench runs list, sorted, the {what} time, CPU", f"{command_cpu_s(folder):.2f} s")
    if not arguments.no_mlflow:
        theirs = child(MLFLOW, root)
        row("MlflowClient.search_runs, 50 by the same metric", f"{theirs['page_s']:.1f} s")
        row("  same runs", str(theirs["ids"] == warm["ids"]))
        ratio = theirs["page_s"] * 1000 / first_page_ms
        row("  the open index is quicker by", f"{ratio:,.0f} x", "1,000 x at least")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--at-rest", type=float, default=60, metavar="SECONDS")
    parser.add_argument("--others", type=int, default=5, metavar="CHANGES", help="Of runs out of sight.")
    parser.add_argument("--no-mlflow", action="store_true")
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="Make the store here, or use the one here."
    )
    arguments = parser.parse_args()
    if arguments.keep:
        arguments.keep.mkdir(parents=True, exist_ok=True)
        measure(arguments.keep.resolve(), arguments)
        return
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), arguments)


if __name__ == "__main__":
    main()
