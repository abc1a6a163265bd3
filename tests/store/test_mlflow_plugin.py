"""Plain MLflow scripts log tree models with nothing but the environment of `workbench env`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from store.model_files import load_model
from store.tracking import open_registry, tracking_environment

SCRIPT = """
import mlflow, sys
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
assert "mlflow.sklearn" not in sys.modules
X, y = load_breast_cancer(return_X_y=True, as_frame=True)
model = Pipeline([("scaler", StandardScaler()), ("model", GradientBoostingClassifier(n_estimators=3))])
model.fit(X, y)
mlflow.set_experiment("breast-cancer-classifier")
with mlflow.start_run(run_name="gb"):
    mlflow.sklearn.log_model(model, "model", registered_model_name="cancer-classifier")
try:
    mlflow.sklearn.save_model.__wrapped__(model, "as MLflow does it")
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.mark.slow
def test_a_tree_model_is_logged_without_naming_types(tmp_path: Path) -> None:
    """Which MLflow by itself refuses."""
    from store.layout import Layout

    uri = (tmp_path / "mlruns").as_uri()
    environment = {**os.environ, **tracking_environment(uri), "WORKBENCH_MLFLOW_PLUGIN": "1"}
    environment["MLFLOW_REQUIREMENTS_INFERENCE_TIMEOUT"] = "1"  # what it requires is not asked here
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "untrusted" in done.stdout.lower()
    version = open_registry(uri, Layout.of(tmp_path)).version("cancer-classifier", 1)
    assert version.model_dir is not None
    assert load_model(version.model_dir).task == "binary"
