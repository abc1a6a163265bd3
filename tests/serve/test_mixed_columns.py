"""A model of mixed columns: quick rows and slow ones side by side, each with scikit-learn's answer."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

RANDOM = np.random.default_rng(8)
N_ROWS = 90


@pytest.fixture(scope="module")
def fitted() -> tuple[Any, Any]:
    import pandas as pd

    frame = pd.DataFrame(
        {
            "age": np.where(RANDOM.random(N_ROWS) < 0.1, np.nan, RANDOM.normal(40, 9, N_ROWS)),
            "orders": RANDOM.integers(0, 9, N_ROWS),
            "plan": RANDOM.choice(["free", "pro", "team"], N_ROWS),
        }
    )
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    columns = ColumnTransformer(
        [("numbers", numbers, ["age", "orders"]), ("plan", OneHotEncoder(), ["plan"])]
    )
    return make_pipeline(columns, LogisticRegression()).fit(frame, RANDOM.integers(0, 2, N_ROWS)), frame


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, fitted: Any, running: Any, columns: Any
) -> Iterator[Any]:
    from tests.serve.conftest import Project

    project = Project(tmp_path_factory.mktemp("mixed"))
    inputs = columns(age="double?", orders="integer", plan="string")
    project.add("churn", fitted[0], inputs=inputs, example=[[30.0, 2, "pro"]])
    with running(project) as found:
        yield found


def has_pandas(server: Any) -> bool:
    """Whether any process of the server has loaded pandas' libraries."""
    pids = [server.process.pid, *(child.pid for child in psutil.Process(server.process.pid).children(True))]
    return any("/pandas/" in Path(f"/proc/{pid}/maps").read_text() for pid in pids)


def record(frame: Any, position: int) -> dict[str, Any]:
    row = frame.iloc[position]
    return {
        "age": None if np.isnan(row["age"]) else float(row["age"]),
        "orders": int(row["orders"]),
        "plan": str(row["plan"]),
    }


def test_rows_and_batches_are_scikit_learns(server: Any, fitted: Any) -> None:
    pipeline, frame = fitted
    rows = [record(frame, position) for position in range(20)]
    batch = server.post("/predict/batch", rows).json()["predictions"]
    assert [row["probability"] for row in batch] == pipeline.predict_proba(frame[:20])[:, 1].tolist()
    for position, row in enumerate(rows):
        alone = server.post("/predict", row).json()["probability"]
        assert alone == pipeline.predict_proba(frame[position : position + 1])[0, 1]


def test_a_category_the_model_refuses_is_a_clear_422_and_harms_nobody_else(server: Any, fitted: Any) -> None:
    pipeline, frame = fitted
    rows = [record(frame, position) for position in range(60)]
    for position in range(0, 60, 7):
        rows[position]["plan"] = "gold"
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda row: server.post("/predict", row), rows))
    expected = pipeline.predict_proba(frame[:60])[:, 1]
    for position, answer in enumerate(answers):
        if position % 7 == 0:
            assert answer.status_code == 422
            assert "gold" in answer.json()["detail"]
        else:
            assert answer.json()["probability"] == pytest.approx(expected[position], abs=1e-15)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="looks at what a process has loaded")
def test_where_no_row_is_left_to_scikit_learn_the_server_has_no_pandas(
    tmp_path: Path, fitted: Any, running: Any, columns: Any, server: Any
) -> None:
    from tests.serve.conftest import Project

    pipeline = clone(fitted[0]).set_params(columntransformer__plan__handle_unknown="ignore")
    project = Project(tmp_path)
    inputs = columns(age="double?", orders="integer", plan="string")
    project.add("churn", pipeline.fit(fitted[1], RANDOM.integers(0, 2, N_ROWS)), inputs=inputs)
    with running(project) as lean:
        answer = lean.post("/predict", {"orders": 2, "plan": "gold"})
        assert answer.status_code == 200
        assert not has_pandas(lean)
    assert has_pandas(server)


def test_a_whole_number_beyond_the_columns_bits_is_a_422(server: Any) -> None:
    answer = server.post("/predict", {"age": 30, "orders": 2**31, "plan": "pro"})
    assert answer.status_code == 422
    assert "32 bits" in answer.json()["detail"]
