"""A reference from a file of data, for a version that nobody here trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipelines.performance import PerformanceReference
from pipelines.profiling import profile_file
from store.errors import DataError
from store.loaded_model import prepare
from store.model_files import ColumnSpec, ModelFile


@pytest.fixture
def model(tmp_path: Path) -> Any:
    from sklearn.linear_model import LogisticRegression

    X = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0], "b": [1.0, 0.0, 1.0, 0.0]})
    estimator = LogisticRegression().fit(X, [0, 0, 1, 1])
    columns = tuple(ColumnSpec(name, "double", True) for name in X)
    file = ModelFile(
        path=tmp_path, inputs=columns, n_inputs=None, flavor="sklearn", serialization_format="skops",
        model_path="", python_version=None, versions={}, metadata={}, run_id=None, model_id=None,
        code_dir=None,
    )  # fmt: skip
    return prepare(file, estimator)


def test_its_rows_are_what_windows_are_compared_with(model: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.random(200) * 3, "b": rng.random(200), "extra": ["x"] * 200})
    frame.to_csv(tmp_path / "rows.csv", index=False)

    profile = profile_file(model, tmp_path / "rows.csv", redact=("b",))
    assert [feature.name for feature in profile.features] == ["a"]
    assert profile.redacted == ("b",)
    assert profile.task == "binary"
    assert profile.prediction.categories == ("0", "1")
    assert profile.score is not None
    assert profile.feature("a").counts.n == profile.score.counts.n == profile.rows == 200


def test_a_column_that_is_missing_is_named(model: Any, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a\n1.0\n")
    with pytest.raises(DataError, match="'b'"):
        profile_file(model, tmp_path / "rows.csv")


def test_with_what_truly_happened_performance_is_kept_too(model: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.random(200) * 3, "b": rng.random(200)})
    frame["y"] = (frame["a"] > 1.5).astype(int)
    frame.loc[0, "y"] = None
    frame.to_csv(tmp_path / "rows.csv", index=False)

    profile = profile_file(model, tmp_path / "rows.csv", target="y")
    held = PerformanceReference.from_json(profile.performance)
    assert held is not None
    assert held.figures["accuracy"].n == 199
    assert held.figures["roc_auc"].value > 0.9
    assert len(held.calibrators) == 1
    with pytest.raises(DataError, match="no column 'nothing'"):
        profile_file(model, tmp_path / "rows.csv", target="nothing")
