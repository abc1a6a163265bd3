"""What the end-to-end tests share: the real command in a process of its own, and the data the demo ships."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]


def clean_environment(**extra: str) -> dict[str, str]:
    """The environment without anything that would steer workbench or MLflow."""
    ours = ("WORKBENCH_", "MLFLOW_", "MODEL_", "PORT", "COVERAGE")
    return {key: value for key, value in os.environ.items() if not key.startswith(ours)} | extra


class Workbench:
    """The `workbench` command, run in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(
        self, *arguments: str, expect: int | None = 0, timeout_s: float = 240, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "workbench", *arguments],
            cwd=self.folder,
            env=clean_environment(**environment),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        assert expect is None or done.returncode == expect, (
            f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
        return done

    def json(self, *arguments: str, expect: int = 0) -> Any:
        return json.loads(self(*arguments, "--json", expect=expect).stdout)


@pytest.fixture(scope="session")
def workbench_in() -> Callable[[Path], Workbench]:
    """Make a `workbench` command for a folder."""
    return Workbench


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout under test."""
    return REPOSITORY
