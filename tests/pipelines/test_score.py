"""Batch scoring gives the answers of the model itself, in any format, and leaves no half file behind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipelines.data import read_table
from pipelines.score import features_of, score
from store.errors import DataError, StorageError
from store.layout import Layout
from store.loaded_model import LoadedModel
from store.log import PredictionLog
from store.model_files import ColumnSpec, ModelFile
from store.predictions import PredictionReader
from store.settings import StoreSettings


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    """Two classes from a number, a text and an optional number."""
    from sklearn.compose import make_column_transformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder
    from sklearn.tree import DecisionTreeClassifier

    frame = pd.DataFrame({"a": np.arange(40.0), "city": ["x", "y"] * 20, "b": [1.0, np.nan] * 20})
    prepare = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["city"]), remainder="passthrough"
    )
    estimator = make_pipeline(prepare, DecisionTreeClassifier(max_depth=2, random_state=0))
    estimator.fit(frame, np.where(frame["a"] > 20, "yes", "no"))
    columns = (
        ColumnSpec("a", "double", True),
        ColumnSpec("city", "string", True),
        ColumnSpec("b", "double", False),
    )
    return LoadedModel(
        file=ModelFile(Path("model"), columns, 3, "sklearn", "skops", "model.skops"),
        estimator=estimator,
        task="binary",
        columns=columns,
        classes=("no", "yes"),
        threshold=None,
        needs_frame=True,
    )


def rows(path: Path, text: str = "id;a;city\n1;5;x\n2;30,5;Atlantis\n3;21;y\n") -> Path:
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize(
    "name", ["out.csv", "out.tsv", "out.csv.gz", "out.jsonl", "out.jsonl.gz", "out.parquet"]
)
def test_every_format_holds_the_rows_with_their_answers(
    model: LoadedModel, tmp_path: Path, name: str
) -> None:
    done = score(model, rows(tmp_path / "in.csv"), tmp_path / name)
    assert (done.rows, done.not_logged) == (3, 0)
    result = read_table(tmp_path / name)
    assert result["id"].tolist() == [1, 2, 3]
    assert result["prediction"].tolist() == ["no", "yes", "yes"]
    assert result["probability"].tolist() == [0.0, 1.0, 1.0]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["in.csv", name])


def test_standard_output_gets_csv(model: LoadedModel, tmp_path: Path, capfdbinary: Any) -> None:
    score(model, rows(tmp_path / "in.csv"))
    assert capfdbinary.readouterr().out.startswith(b"id,a,city,prediction,probability\n1,5,x,no,0.0\n")


def test_chunks_are_streamed_and_counted(model: LoadedModel, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("pipelines.score.CHUNK_ROWS", 10)
    text = "a,city\n" + "".join(f"{n},x\n" for n in range(25))
    seen: list[int] = []
    score(model, rows(tmp_path / "in.csv", text), tmp_path / "out.parquet", on_progress=seen.append)
    assert seen == [10, 20, 25]
    assert len(read_table(tmp_path / "out.parquet")) == 25


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\n1\n", "lacks column 'city'"),
        ("a,city\n1,x\n,y\n", "'a' of .* is missing in row 2"),
        ("a,city\nfive,x\n", "'a' of .* should be double, and holds 'five'"),
        ("a,city\n1,x\n1\n", "line 3"),
    ],
)
def test_wrong_columns_are_named_and_nothing_is_left(
    model: LoadedModel, tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        score(model, rows(tmp_path / "in.csv", text), tmp_path / "out.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_true_and_false_with_gaps_are_read_as_the_numbers_they_were_trained_as(
    model: LoadedModel, tmp_path: Path
) -> None:
    truth = replace(model.file, metadata={"columns": {"b": {"kind": "boolean"}}})
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0], "city": "x", "b": ["True", None, "no"]})
    X = features_of(replace(model, file=truth), frame, tmp_path / "in.csv")
    assert X["b"].tolist() == pytest.approx([1.0, np.nan, 0.0], nan_ok=True)
    with pytest.raises(DataError, match=r"'b' of .* should be double"):
        features_of(model, frame, tmp_path / "in.csv")


def test_an_output_that_cannot_be_written_is_named(model: LoadedModel, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot write"):
        score(model, rows(tmp_path / "in.csv"), tmp_path / "no" / "out.csv")


def test_logged_rows_are_found_by_their_ids(model: LoadedModel, tmp_path: Path) -> None:
    layout = Layout.of(tmp_path).ensure()
    log = PredictionLog(layout, StoreSettings(), "batch")
    done = score(model, rows(tmp_path / "in.csv"), tmp_path / "out.csv", log=log, name="demo", version=4)
    log.close()
    assert done.not_logged == 0
    ids = read_table(tmp_path / "out.csv")["prediction_id"].tolist()
    assert set(PredictionReader(layout).known_ids(ids)) == set(ids)
    logged = PredictionReader(layout).query(
        "SELECT model, version, label FROM predictions ORDER BY prediction_id"
    )
    assert [tuple(row) for row in logged.rows] == [("demo", 4, "no"), ("demo", 4, "yes"), ("demo", 4, "yes")]
