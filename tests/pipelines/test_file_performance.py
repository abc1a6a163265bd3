"""Performance of two plain files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipelines.drift.files import compare_files


def write(folder: Path, name: str, n: int, seed: int, *, turned: bool = False) -> Path:
    rng = np.random.default_rng(seed)
    p = rng.random(n)
    frame = pd.DataFrame({"age": rng.normal(size=n), "p": p})
    frame["label"] = np.where(p >= 0.5, "yes", "no")
    frame["y"] = np.where(rng.random(n) < (1 - p if turned else p), "yes", "no")
    path = folder / name
    frame.to_csv(path, index=False)
    return path


def metrics(reference: Path, current: Path, predictions: str) -> dict[str, dict[str, Any]]:
    report = compare_files(reference, current, predictions=predictions, target="y")
    return {one["metric"]: one for one in report.performance}


def test_predicted_classes_are_held_against_what_happened(tmp_path: Path) -> None:
    reference, current = write(tmp_path, "ref.csv", 2000, 1), write(tmp_path, "cur.csv", 900, 2, turned=True)
    found = metrics(reference, current, "label")
    assert found["accuracy"]["dropped"]
    assert found["accuracy"]["low"] < 0.25 < found["accuracy"]["high"]
    assert abs(found["accuracy"]["reference"] - 0.75) < 0.03
    assert "roc_auc" not in found


def test_probabilities_of_the_second_class_will_do(tmp_path: Path) -> None:
    reference, current = write(tmp_path, "ref.csv", 2000, 1), write(tmp_path, "cur.csv", 900, 2)
    found = metrics(reference, current, "p")
    assert {"accuracy", "f1", "roc_auc", "brier"} <= found.keys()
    assert not any(one["dropped"] or one["estimated"] for one in found.values())
    assert found["accuracy"]["value"] == metrics(reference, current, "label")["accuracy"]["value"]


def test_without_outcomes_in_the_current_file_performance_is_estimated(tmp_path: Path) -> None:
    reference, current = write(tmp_path, "ref.csv", 4000, 1), write(tmp_path, "cur.csv", 900, 2)
    pd.read_csv(current).drop(columns="y").to_csv(current, index=False)
    found = metrics(reference, current, "p")
    assert all(one["estimated"] for one in found.values())
    assert abs(found["accuracy"]["value"] - 0.75) < 0.03


def test_a_reference_without_outcomes_says_nothing(tmp_path: Path) -> None:
    reference, current = write(tmp_path, "ref.csv", 300, 1), write(tmp_path, "cur.csv", 300, 2)
    pd.read_csv(reference).drop(columns="y").to_csv(reference, index=False)
    assert metrics(reference, current, "p") == {}
