from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from store import log_prediction
from store.layout import Layout
from store.log import FeatureSchema, PredictionLog
from store.predictions import PredictionReader
from store.settings import StoreSettings


def test_an_acknowledged_prediction_can_be_read_at_once(
    layout: Layout, log: PredictionLog, log_bikes: Any
) -> None:
    (prediction_id,) = log_bikes(log, request_id="r-1", predictions=[17.25])

    (row,) = PredictionReader(layout).recent().records()
    assert row["prediction_id"] == prediction_id
    assert (row["model"], row["version"], row["prediction"], row["role"]) == ("bikes", 3, 17.25, "champion")
    assert (row["latency_ms"], row["request_id"]) == (0.42, "r-1")
    assert row["features"] == {"temp": 0.5, "season": "spring", "hum": 81.0}


def test_a_request_that_fits_no_schema_is_lost_and_counted(layout: Layout, log: PredictionLog) -> None:
    logged = log.append(
        model="m",
        version=1,
        schema=FeatureSchema(("a", "b"), ("numeric", "numeric")),
        prediction_ids=["x", "y"],
        predicted_at=datetime.now(UTC),
        predictions=[1, 2],
        probability=None,
        probabilities=None,
        classes=None,
        numeric=[[1.0], [2.0]],
        categorical=[],
        latency_ms=1,
    )

    assert not logged
    assert log.lost == 2
    assert log.problem == "1 numeric values for 2 numeric features"


def test_a_spool_that_cannot_be_written_loses_without_raising(tmp_path: Path, log_bikes: Any) -> None:
    (tmp_path / ".workbench").write_text("a file where the folder should be")
    log = PredictionLog(Layout.of(tmp_path), StoreSettings())

    assert not log.append_feedback([("a", 1, None)])
    with pytest.raises(AssertionError):
        log_bikes(log)
    assert log.lost == 2
    assert log.problem
    assert "directory" in log.problem.lower() or "exists" in log.problem.lower()


def test_the_problem_ends_with_the_next_success(layout: Layout, log: PredictionLog, log_bikes: Any) -> None:
    log.append_feedback([("a",)])  # type: ignore[list-item]
    assert (log.lost, log.problem is None) == (1, False)

    log_bikes(log)
    assert (log.lost, log.problem) == (1, None)


def test_redacted_columns_never_reach_the_disk(layout: Layout, log_bikes: Any) -> None:
    log = PredictionLog(layout, StoreSettings(redact=("season", "hum")))
    log_bikes(log, categorical=[["a secret season"]], numeric=[[0.5, 987654.0]])
    log.close()

    written = b"".join(path.read_bytes() for path in layout.spool.glob("*.seg"))
    assert b"secret" not in written
    assert b"987654" not in written
    (row,) = PredictionReader(layout).recent().records()
    assert row["features"] == {"temp": 0.5, "season": None, "hum": None}


def test_features_can_be_left_out_of_the_log(layout: Layout, log_bikes: Any) -> None:
    log = PredictionLog(layout, StoreSettings(log_features=False))
    log_bikes(log)
    log.close()

    (row,) = PredictionReader(layout).recent().records()
    assert row["features"] == {}
    assert row["prediction"] == 41.5


def test_of_two_labels_in_one_request_the_last_counts(
    layout: Layout, log: PredictionLog, log_bikes: Any
) -> None:
    (prediction_id,) = log_bikes(log)
    log.append_feedback([(prediction_id, 1.0, None), (prediction_id, 2.0, None)])

    assert PredictionReader(layout).recent().records()[0]["actual_label"] == "2"


def test_an_application_logs_with_one_call(layout: Layout) -> None:
    features = {
        "age": 35,
        "plan": "pro",
        "member": True,
        "joined": datetime(2026, 1, 1, tzinfo=UTC),
        "gone": None,
    }
    first = log_prediction(layout.root, model="churn", features=features, prediction=1, probability=0.83)
    second = log_prediction(layout.root, model="churn", features=features | {"plan": None}, prediction=0)

    rows = {row["prediction_id"]: row for row in PredictionReader(layout).recent("churn").records()}
    assert rows.keys() == {first, second}
    assert rows[first]["label"] == "1"
    assert rows[first]["probability"] == 0.83
    assert rows[first]["features"] == {
        "age": 35.0,
        "plan": "pro",
        "member": 1.0,
        "joined": datetime(2026, 1, 1, tzinfo=UTC).timestamp(),
        "gone": None,
    }
    # A missing category keeps the schema of the first call.
    assert rows[second]["features"]["plan"] is None
    assert len(PredictionReader(layout).query("SELECT DISTINCT schema_id FROM predictions").rows) == 1


def test_an_application_may_log_classes_by_name(layout: Layout) -> None:
    log_prediction(
        layout.root,
        model="mail",
        features={"n": 1},
        prediction="spam",
        probabilities={"ham": 0.2, "spam": 0.8},
    )

    (row,) = PredictionReader(layout).recent("mail").records()
    assert (row["label"], row["prediction"], row["probabilities"]) == ("spam", 1.0, [0.2, 0.8])
