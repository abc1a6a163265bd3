"""Scripts that know nothing of workbench, run with only `workbench env` set, are tracked and served."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

SCRIPTS = Path(__file__).parent / "scripts"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, workbench_in: Callable[[Path], Any]) -> Any:
    """A project without pipelines in whose environment the three scripts have run."""
    folder = tmp_path_factory.mktemp("guides")
    (folder / "workbench.toml").write_text('[project]\nname = "guides"\n\n[serve]\nport = 0\n')
    command = workbench_in(folder)
    variables = command.json("env")
    for script in sorted(SCRIPTS.glob("*.py")):
        # MLflow loads each logged model in a process of its own, to see what it imports. Where that takes too
        # long it names what it knows, which is enough of those that log a whole grid.
        patience_s = "120" if script.stem == "churn" else "1"
        done = subprocess.run(
            [sys.executable, "-W", "ignore", str(script)],
            cwd=folder,
            env=os.environ | variables | {"MLFLOW_REQUIREMENTS_INFERENCE_TIMEOUT": patience_s},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{script.name}\n{done.stdout}\n{done.stderr}"
    return command


@pytest.fixture(scope="module")
def server(project: Any) -> Iterator[str]:
    """The address of a server for whatever has a champion."""
    from serve.control import start_background, stop_server
    from store.layout import Layout

    project("models", "promote", "cancer-classifier", "--best", "roc_auc", "--experiment",
            "breast-cancer-classifier", "--yes", "--reason", "best of the grid")  # fmt: skip
    project("models", "promote", "churn-classifier", "1", "--yes", "--reason", "the only one")
    layout = Layout.of(project.folder)
    yield start_background(project.folder).url
    stop_server(layout)


def post(url: str, body: object) -> Any:
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)


def test_their_runs_are_listed_with_parameters_and_metrics(project: Any) -> None:
    runs = project.json("runs", "list")
    assert {run["experiment"] for run in runs} == {
        "fraud-detection-v2",
        "breast-cancer-classifier",
        "churn-prediction",
    }
    fraud = [run for run in runs if run["experiment"] == "fraud-detection-v2"]
    assert sorted(run["params"]["max_depth"] for run in fraud) == ["1", "3"]
    assert all(0.5 < run["metrics"]["cv_roc_auc_mean"] <= 1 for run in fraud)


def test_their_registered_models_are_listed_with_stages(project: Any) -> None:
    fraud = project.json("models", "show", "fraud-detector")
    assert fraud["champion"] is not None  # the script moved its best version to Production
    assert len(project.json("models", "show", "cancer-classifier")["versions"]) == 3


def test_a_model_in_production_by_stage_alone_is_served_from_a_plain_list(server: str) -> None:
    answer = post(f"{server}/models/fraud-detector/predict", {"features": [0.1] * 20})
    assert answer["prediction"] in (0, 1)
    assert 0 <= answer["probability"] <= 1
    assert answer["prediction_id"]


def test_the_best_of_a_grid_is_promoted_and_served(server: str, project: Any) -> None:
    model = project.json("models", "show", "cancer-classifier")
    runs = project.json("runs", "list", "--experiment", "breast-cancer-classifier")
    best = max(runs, key=lambda run: run["metrics"]["roc_auc"])
    champion = next(v for v in model["versions"] if v["version"] == model["champion"])
    assert champion["run_id"] == best["run_id"]
    assert (
        post(f"{server}/models/cancer-classifier/predict", {"features": [1.0] * 30})["version"]
        == champion["version"]
    )


def test_a_flat_record_gets_its_answer(server: str) -> None:
    record = {"age": 35, "total_spend": 1250.5, "visits": 12, "days_since_last": 45}
    answer = post(f"{server}/models/churn-classifier/predict", record)
    assert answer["prediction"] in (0, 1)
    assert answer["confidence"] in ("high", "medium", "low")
