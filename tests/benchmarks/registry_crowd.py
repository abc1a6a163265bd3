"""A crowd at the registry: registrations and promotions from 4 processes, and readers while aliases flip.

    python tests/benchmarks/registry_crowd.py [--changes 100] [--reads 20000]

The reads go through plain MLflow's client as well as through ours; with MLflow's own writer in place of ours
its readers fail, which is shown beside.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from store.file_registry import FileRegistry
from store.journal import check_journal
from store.layout import Layout
from store.tracking import tracking_environment

PROCESSES = 4
RUN = "0123456789abcdef0123456789abcdef"

OPEN = """
import json, sys, time
from pathlib import Path
from store.file_registry import FileRegistry
from store.layout import Layout
root = Path(sys.argv[1])
registry = FileRegistry(root / "mlruns", Layout.of(root))
"""
CHANGE = (
    OPEN
    + """
done = []
for _ in range(int(sys.argv[2])):
    version = registry.register("crowd", run_id=sys.argv[3]).version
    registry.promote("crowd", version)
    done.append(version)
print(json.dumps(done))
"""
)
FLIP = (
    OPEN
    + """
print("go", flush=True)
number = 0
while True:
    number += 1
    registry.promote("flips", 1 + number % 2)
"""
)
MLFLOW_FLIP = """
from mlflow import MlflowClient
client = MlflowClient()
print("go", flush=True)
number = 0
while True:
    number += 1
    client.set_registered_model_alias("flips", "champion", str(1 + number % 2))
"""


def make_project(root: Path) -> FileRegistry:
    folder = root / "mlruns" / "1" / RUN
    (folder / "artifacts" / "model").mkdir(parents=True)
    (folder / "artifacts" / "model" / "MLmodel").write_text("flavors: {}\n")
    (root / "mlruns" / "1" / "meta.yaml").write_text(
        f"artifact_location: file://{root}/mlruns/1\ncreation_time: 1\nexperiment_id: '1'\n"
        "last_update_time: 1\nlifecycle_stage: active\nname: crowd\n"
    )
    (folder / "meta.yaml").write_text(
        f"artifact_uri: file://{folder}/artifacts\nend_time: 2\nentry_point_name: ''\nexperiment_id: '1'\n"
        f"lifecycle_stage: active\nrun_id: {RUN}\nrun_name: one\nrun_uuid: {RUN}\nsource_name: ''\n"
        "source_type: 4\nsource_version: ''\nstart_time: 1\nstatus: 3\ntags: []\nuser_id: ann\n"
    )
    registry = FileRegistry(root / "mlruns", Layout.of(root))
    for _ in range(2):
        registry.register("flips", run_id=RUN)
    registry.promote("flips", 1)
    return registry


def start(code: str, root: Path, *arguments: object) -> subprocess.Popen[str]:
    uri = (root / "mlruns").as_uri()
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code, str(root), *map(str, arguments)],
        env={**os.environ, **tracking_environment(uri)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def crowd(registry: FileRegistry, root: Path, changes: int) -> None:
    started = time.perf_counter()
    children = [start(CHANGE, root, changes // PROCESSES, RUN) for _ in range(PROCESSES)]
    made: list[int] = []
    failed = 0
    for process in children:
        out, err = process.communicate()
        failed += process.returncode != 0
        if process.returncode:
            print(err)
        else:
            made += json.loads(out)
    seconds = time.perf_counter() - started
    model = registry.model("crowd")
    events = [event.what for event in registry.history("crowd")]
    print(f"{changes} registrations and {changes} promotions from {PROCESSES} processes: {seconds:.1f} s")
    print(f"  processes that failed: {failed}")
    print(f"  versions lost: {changes - len({version.version for version in model.versions})}")
    print(f"  numbers given twice: {len(made) - len(set(made))}")
    print(f"  events: {events.count('registered')} registered, {events.count('promoted')} promoted")
    print(f"  champions: {sum('champion' in version.aliases for version in model.versions)}")
    print(f"  journal: {check_journal(Layout.of(root)) or 'the chain is whole'}")


def read_while(code: str, root: Path, reads: int, read: Any) -> tuple[int, float]:
    """How many of the reads failed, and the seconds they took, while a child flips the alias."""
    writer = start(code, root)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "go\n", writer.communicate()
    failed = 0
    started = time.perf_counter()
    try:
        for _ in range(reads):
            try:
                if read() not in (1, 2):
                    failed += 1
            except Exception:
                failed += 1
        assert writer.poll() is None, writer.communicate()
    finally:
        writer.kill()
        writer.communicate()
    return failed, time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--changes", type=int, default=100)
    parser.add_argument("--reads", type=int, default=20_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        os.environ.update(tracking_environment((root / "mlruns").as_uri()))
        registry = make_project(root)
        crowd(registry, root, arguments.changes)
        from mlflow import MlflowClient

        client = MlflowClient()
        ours = lambda: registry.version("flips", "champion").version  # noqa: E731
        theirs = lambda: int(client.get_model_version_by_alias("flips", "champion").version)  # noqa: E731
        for what, code, read, reads in (
            ("our reads of the champion during our flips", FLIP, ours, arguments.reads),
            ("MLflow's reads of the alias during our flips", FLIP, theirs, arguments.reads),
            ("our reads during MLflow's flips", MLFLOW_FLIP, ours, arguments.reads // 10),
            ("MLflow's reads during MLflow's flips", MLFLOW_FLIP, theirs, arguments.reads // 10),
        ):
            failed, seconds = read_while(code, root, reads, read)
            print(f"{reads:,} {what}: {failed:,} failed, {seconds:.1f} s", flush=True)


if __name__ == "__main__":
    main()
