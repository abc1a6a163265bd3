"""A store written by hand, and its index."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from store.run_index import RunIndex
from store.runs import Run

SEEN_WITHIN_S = 60.0


def _write_run(
    experiment: Path,
    run_id: str,
    *,
    name: str = "run",
    status: int = 3,
    start_ms: int = 1_700_000_000_000,
    metrics: dict[str, float] | None = None,
) -> Path:
    """A run as MLflow's file store has it, written by hand."""
    folder = experiment / run_id
    for part in ("metrics", "params", "tags", "artifacts"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for key, value in (metrics or {}).items():
        (folder / "metrics" / key).write_text(f"{start_ms} {value} 0\n")
    (folder / "meta.yaml").write_text(
        f"artifact_uri: {(folder / 'artifacts').as_uri()}\nend_time: null\nentry_point_name: ''\n"
        f"experiment_id: '{experiment.name}'\nlifecycle_stage: active\nrun_id: {run_id}\nrun_name: {name}\n"
        f"run_uuid: {run_id}\nsource_name: ''\nsource_type: 4\nsource_version: ''\nstart_time: {start_ms}\n"
        f"status: {status}\ntags: []\nuser_id: ann\n"
    )
    return folder


def _write_experiment(root: Path, number: int = 1, name: str = "cancer") -> Path:
    folder = root / str(number)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "meta.yaml").write_text(
        f"artifact_location: {folder.as_uri()}\ncreation_time: 1700000000000\nexperiment_id: '{number}'\n"
        f"last_update_time: 1700000000000\nlifecycle_stage: active\nname: {name}\n"
    )
    return folder


def _run_id(number: int) -> str:
    return f"{number:032x}"


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    return _write_experiment(tmp_path / "mlruns")


@pytest.fixture
def index(tmp_path: Path) -> Iterator[RunIndex]:
    index = RunIndex(tmp_path / "mlruns", tmp_path / ".workbench" / "index.sqlite")
    yield index
    index.close()


def _look_until(index: RunIndex, condition: Callable[[tuple[Run, ...]], bool]) -> tuple[Run, ...]:
    """Look as a screen does until it shows what is waited for."""
    deadline = time.monotonic() + SEEN_WITHIN_S
    while True:
        runs = index.look()
        if condition(runs):
            return runs
        assert time.monotonic() < deadline, runs


def _names(runs: Any) -> list[str]:
    return [run.name for run in runs]


@pytest.fixture
def write_run() -> Callable[..., Any]:
    """Writes a run as MLflow has it."""
    return _write_run


@pytest.fixture
def write_experiment() -> Callable[..., Any]:
    """Writes an experiment as MLflow has it."""
    return _write_experiment


@pytest.fixture
def run_id() -> Callable[..., Any]:
    """The id of run `number`."""
    return _run_id


@pytest.fixture
def look_until() -> Callable[..., Any]:
    """Looks as a screen does until it shows what is waited for."""
    return _look_until


@pytest.fixture
def names() -> Callable[..., Any]:
    """The names of runs."""
    return _names


@pytest.fixture
def index_file(index: RunIndex) -> Path:
    """The file of `index`."""
    return index.root.parent / ".workbench" / "index.sqlite"
