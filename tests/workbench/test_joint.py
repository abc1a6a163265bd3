"""`workbench report MODEL --joint`: the logged rows against the very rows that the version was trained on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from store.data_cache import object_path
from store.data_versions import keep_version, list_versions, record_version
from store.fold import fold
from store.layout import Layout
from store.log import FeatureSchema, PredictionLog, new_prediction_ids
from store.profile import build_profile
from store.references import publish_reference
from store.settings import StoreSettings

Workbench = Callable[..., Any]


@pytest.fixture
def trained(project: Path, make_run: Callable[..., str], workbench: Workbench) -> Path:
    """A project whose champion was trained on a file that is kept, and has answered rows like those."""
    from pipelines.data import load_data

    run_id = make_run("try", metrics={"roc_auc": 0.9}, has_model=True)
    assert workbench("models", "register", run_id).code == 0
    assert workbench("models", "promote", "churn", "1", "--yes").code == 0
    rng = np.random.default_rng(1)
    age, orders = rng.normal(40, 9, (2, 400))
    path = project / "data" / "people.csv"
    path.write_text("\n".join(["age,orders", *(f"{a},{b}" for a, b in zip(age, orders, strict=True)), ""]))
    layout = Layout.of(project).ensure()
    manifest = load_data([path], project).manifest()
    assert keep_version(layout, manifest) == ()
    record_version(layout, "churn", manifest, run_id=run_id)
    columns = {"age": age, "orders": orders}
    kinds: Any = dict.fromkeys(columns, "numeric")
    publish_reference(layout, "churn", 1, build_profile(columns, kinds, age, task="regression"))
    now = rng.normal(40, 9, 300)
    log = PredictionLog(layout, StoreSettings())
    assert log.append(
        model="churn", version=1, schema=FeatureSchema(("age", "orders"), ("numeric", "numeric")),
        prediction_ids=new_prediction_ids(300), predicted_at=datetime.now(UTC), predictions=now.tolist(),
        probability=None, probabilities=None, classes=None, categorical=[[]] * 300, latency_ms=1.0,
        numeric=np.column_stack([now, now + rng.normal(0, 1, 300)]).tolist(),
    )  # fmt: skip
    log.close()
    fold(layout, StoreSettings())
    return path


def test_rows_of_the_window_are_told_from_those_of_the_training(trained: Path, workbench: Workbench) -> None:
    """From the kept content, whatever became of the file; where that is gone too, it is said."""
    trained.write_text("age,orders\n")
    found = workbench("report", "churn", "--joint", "--json").json["joint"]
    assert (found["reference_rows"], found["current_rows"]) == (400, 300)
    assert found["low"] > 0.7
    assert {one["name"] for one in found["features"]} == {"age", "orders"}

    layout = Layout.of(trained.parent.parent)
    (version,) = list_versions(layout)
    object_path(layout, version.files[0].md5).unlink()
    text = workbench("report", "churn", "--joint").out
    assert "Not judged: the rows of its training can't be read" in text
    assert "data/people.csv has changed or is gone, and no copy was kept" in text


def test_of_files_it_is_in_every_form(trained: Path, workbench: Workbench, tmp_path: Path) -> None:
    files = ("--reference", trained, "--current", trained)
    assert "### Drift" in workbench("report", *files, "--joint", "--markdown").out
    assert "#### Reference and current rows" in workbench("report", *files, "--joint", "--markdown").out
    page = tmp_path / "page.html"
    assert workbench("report", *files, "--joint", "--html", page).code == 0
    assert "an AUC of 0.5 means that all columns together look as they did" in page.read_text()
    assert "joint" not in workbench("report", *files, "--json").json
