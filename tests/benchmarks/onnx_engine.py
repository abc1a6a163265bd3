"""What `[serve] engine = "onnx"` changes for one row and for a thousand, in one process, without the server.

    python tests/benchmarks/onnx_engine.py

Medians of interleaved calls, in microseconds; "native" is what serves by default: a plan with scikit-learn's
bits where there is one, else scikit-learn.
"""

from __future__ import annotations

import statistics
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import AdaBoostClassifier, GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from store.loaded_model import LoadedModel, prepare
from store.model_files import ModelFile
from store.onnx_plans import make_onnx_plan
from store.plans import make_plan

ROUNDS = 30
MODELS: dict[str, Any] = {
    "logistic, scaled": make_pipeline(StandardScaler(), LogisticRegression()),
    "forest of 200": RandomForestClassifier(200, random_state=0),
    "boosting of 200": GradientBoostingClassifier(n_estimators=200, random_state=0),
    "neural network": make_pipeline(StandardScaler(), MLPClassifier(random_state=0)),
    "calibrated logistic": make_pipeline(StandardScaler(), CalibratedClassifierCV(LogisticRegression())),
    "AdaBoost": AdaBoostClassifier(random_state=0),
    "SVR": make_pipeline(StandardScaler(), SVR()),
}


def main() -> None:
    warnings.simplefilter("ignore")
    X, y = load_breast_cancer(return_X_y=True)
    thousand = np.concatenate([X, X])[:1000]
    print(f"{'model':20} {'rows':>5} {'native':>9} {'onnx':>9}  factor  conversion")
    for name, estimator in MODELS.items():
        model = _loaded(estimator.fit(X, y), X.shape[1])
        native = model.plan
        started = time.perf_counter()
        found = make_onnx_plan(model, X[:5])
        took = time.perf_counter() - started
        if found.plan is None:
            print(f"{name:20} {found.note}")
            continue
        for rows in (X[:1], thousand):
            times: tuple[list[float], list[float]] = ([], [])
            for _ in range(ROUNDS):
                for plan, measured in zip((native, found.plan), times, strict=True):
                    model.plan = plan
                    started = time.perf_counter()
                    model.predict(rows)
                    measured.append((time.perf_counter() - started) * 1e6)
            before, after = map(statistics.median, times)
            print(
                f"{name:20} {len(rows):5} {before:9.0f} {after:9.0f} {before / after:6.1f}x  "
                f"{took:.1f} s, {found.note}"
            )


def _loaded(estimator: Any, width: int) -> LoadedModel:
    file = ModelFile(
        Path("model"),
        inputs=None,
        n_inputs=width,
        flavor="sklearn",
        serialization_format="skops",
        model_path="",
    )
    model = prepare(file, estimator)
    model.plan = make_plan(model)
    return model


if __name__ == "__main__":
    main()
