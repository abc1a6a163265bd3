"""A project folder of each test's own, and predictions to log in it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from store.layout import Layout
from store.log import FeatureSchema, PredictionLog, new_prediction_ids
from store.settings import StoreSettings


class Shell:
    """A user's own DuckDB session that holds the file."""

    def __init__(self, path: Path) -> None:
        code = (
            "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
        )
        command = [sys.executable, "-c", code, str(path)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self.process.pid

    def __enter__(self) -> Shell:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "open\n"
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


BIKES = FeatureSchema(("temp", "season", "hum"), ("numeric", "categorical", "numeric"))


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.of(tmp_path).ensure()


@pytest.fixture
def log(layout: Layout) -> Any:
    log = PredictionLog(layout, StoreSettings())
    yield log
    log.close()


@pytest.fixture
def log_bikes() -> Callable[..., list[str]]:
    """Log one request of the model `bikes` (a regression); returns its prediction ids."""

    def log_request(
        log: PredictionLog,
        *,
        rows: int = 1,
        numeric: Sequence[Sequence[float | None]] | None = None,
        categorical: Sequence[Sequence[str | None]] | None = None,
        ids: list[str] | None = None,
        **changes: Any,
    ) -> list[str]:
        ids = ids or new_prediction_ids(rows)
        values: dict[str, Any] = {
            "model": "bikes",
            "version": 3,
            "schema": BIKES,
            "prediction_ids": ids,
            "predicted_at": datetime.now(UTC),
            "predictions": [41.5] * len(ids),
            "probability": None,
            "probabilities": None,
            "classes": None,
            "numeric": numeric or [[0.5, 81.0]] * len(ids),
            "categorical": categorical or [["spring"]] * len(ids),
            "latency_ms": 0.42,
        }
        assert log.append(**(values | changes)), log.problem
        return ids

    return log_request


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own of 24 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a tmpfs here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
