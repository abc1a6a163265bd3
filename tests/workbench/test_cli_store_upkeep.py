"""`workbench store stats|export|vacuum|check`, `backup` and `restore`: the log looked after by commands."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime

import duckdb
import pandas as pd
import pytest

from store.fold import fold
from store.layout import Layout
from store.locks import locked
from store.log import FeatureSchema, PredictionLog, new_prediction_ids
from store.settings import StoreSettings


@pytest.fixture
def logged(project):
    """Ids of three folded predictions of `churn`, the first with a label, and of one in the spool."""
    schema = FeatureSchema(("age", "plan"), ("numeric", "categorical"))
    ids = new_prediction_ids(4)
    layout = Layout.of(project).ensure()
    for some, day in ((ids[:3], 1), (ids[3:], 2)):
        log = PredictionLog(layout, StoreSettings())
        assert log.append(
            model="churn",
            version=1,
            schema=schema,
            prediction_ids=some,
            predicted_at=datetime(2026, 3, day, 12, tzinfo=UTC),
            predictions=[1] * len(some),
            probability=[0.8] * len(some),
            probabilities=None,
            classes=(0, 1),
            numeric=[[31.0]] * len(some),
            categorical=[["pro"]] * len(some),
            latency_ms=1.5,
        )
        if day == 1:
            log.append_feedback([(ids[0], 0, None)])
        log.close()
        if day == 1:
            fold(layout)
    return ids


def test_stats_counts_and_sizes(workbench, logged):
    found = workbench("store", "stats", "--json").json
    (model,) = found["models"]
    assert (model["predictions"], model["labelled"], model["reference"]) == (4, 1, False)
    assert found["file_bytes"] > 0
    assert found["spool_segments"] == 1
    assert "churn" in workbench("store", "stats").out


def test_an_export_is_read_by_duckdb_and_pandas(workbench, logged, tmp_path):
    folder = tmp_path / "exported"
    workbench("store", "export", str(folder))

    assert sorted(p.name for p in (folder / "model=churn").iterdir()) == ["day=2026-03-01", "day=2026-03-02"]
    rows = duckdb.sql(f"SELECT prediction_id, actual FROM '{folder}/*/*/*.parquet' ORDER BY 1").fetchall()
    assert rows == [(logged[0], 0.0), *((one, None) for one in logged[1:])]
    frame = pd.read_parquet(folder)
    assert sorted(frame["prediction_id"]) == logged
    assert list(frame["numeric"].iloc[0]) == [31.0]
    again = workbench("store", "export", str(folder))
    assert (again.code, "not empty" in again.err) == (1, True)


def test_an_export_of_a_stretch_of_time(workbench, logged, tmp_path):
    workbench("store", "export", str(tmp_path / "e"), "--since", "2026-03-02", "--until", "2026-03-03")
    assert pd.read_parquet(tmp_path / "e")["prediction_id"].tolist() == logged[3:]


def test_vacuum_and_check(workbench, logged):
    workbench("store", "vacuum")
    assert workbench("store", "check", "--json").json["problems"] == []


def test_a_damaged_file_is_found_and_made_again(workbench, logged, project):
    file = Layout.of(project).predictions
    content = bytearray(file.read_bytes())
    content[16_384:60_000] = b"\xff" * (60_000 - 16_384)
    file.write_bytes(content)

    found = workbench("store", "check")
    assert (found.code, "--rebuild" in found.err) == (1, True)
    workbench("store", "check", "--rebuild")
    rows = workbench("store", "sql", "SELECT prediction_id FROM predictions ORDER BY 1", "--json").json
    assert [row["prediction_id"] for row in rows] == logged


def test_a_backup_comes_back(workbench, logged, project, tmp_path):
    file = tmp_path / "backup.tar.gz"
    run = project / "mlruns" / "0" / "meta.yaml"
    run.parent.mkdir(parents=True, exist_ok=True)
    run.write_text("name: Default\n")
    workbench("backup", str(file))
    shutil.rmtree(project / ".workbench")
    run.write_text("name: Changed\n")

    refused = workbench("restore", str(file))
    assert (refused.code, "--yes" in refused.err) == (2, True)
    assert workbench("restore", str(file), "--yes").code == 0
    assert run.read_text() == "name: Default\n"
    assert workbench("store", "stats", "--json").json["models"][0]["predictions"] == 4
    (kept,) = project.glob("mlruns.before-*")
    assert (kept / "0" / "meta.yaml").read_text() == "name: Changed\n"


def test_a_project_in_use_is_not_restored_over(workbench, logged, project, tmp_path):
    """A server, a watcher or an application that goes on writing would write to what was put aside."""
    file = tmp_path / "backup.tar.gz"
    workbench("backup", str(file))
    layout = Layout.of(project)
    for name in ("server.lock", "watch.lock"):
        with locked(layout.run / name, what="testing"):
            refused = workbench("restore", str(file), "--yes")
            assert (refused.code, "in use" in refused.err) == (1, True)
    log = PredictionLog(layout, StoreSettings())
    log.append_feedback([(logged[1], 1, None)])
    refused = workbench("restore", str(file), "--yes")
    assert (refused.code, "writes the prediction log" in refused.err) == (1, True)
    log.close()
    assert workbench("restore", str(file), "--yes").code == 0
    assert workbench("store", "stats", "--json").json["models"][0]["predictions"] == 4


def test_a_damaged_backup_changes_nothing(workbench, logged, project, tmp_path):
    file = tmp_path / "backup.tar.gz"
    workbench("backup", str(file))
    file.write_bytes(file.read_bytes()[:-200])

    refused = workbench("restore", str(file), "--yes")
    assert (refused.code, "no whole backup" in refused.err) == (1, True)
    assert workbench("store", "stats", "--json").json["models"][0]["predictions"] == 4
