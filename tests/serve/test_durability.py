"""A prediction that was answered is in the store, whatever becomes of the server."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import httpx
import pytest
from sklearn.linear_model import LogisticRegression

from store.database import reading
from store.layout import Layout
from store.predictions import PredictionReader

NAMES = ("a", "b", "c", "d")


@pytest.fixture
def logged_project(project: Any, flower_data: Any, columns: Any) -> Any:
    X, y = flower_data
    project.add("two", LogisticRegression().fit(X, y), inputs=columns(**dict.fromkeys(NAMES, "double")))
    return project


@pytest.mark.slow
def test_a_prediction_survives_kill_after_acknowledgement(
    logged_project: Any, running: Any, wait_until: Any
) -> None:
    acknowledged: list[str] = []
    with running(logged_project) as server:

        def ask() -> None:
            with httpx.Client(base_url=server.url) as client:
                try:
                    while True:
                        answer = client.post("/predict", json=[[1, 2, 3, 4]] * 2).json()
                        acknowledged.extend(row["prediction_id"] for row in answer["predictions"])
                except (httpx.HTTPError, ValueError):
                    return  # killed

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(acknowledged) > 400, "400 answers")
        os.kill(server.process.pid, signal.SIGKILL)
        for thread in threads:
            thread.join()
    assert PredictionReader(logged_project.layout).known_ids(acknowledged) == set(acknowledged)


@pytest.mark.slow
def test_predictions_and_labels_reach_duckdb(logged_project: Any, running: Any, wait_until: Any) -> None:
    """While the server runs, and labels of folded predictions when the next one does."""
    with running(logged_project) as server:
        answers = server.post("/predict", [[1, 2, 3, 4], [4, 3, 2, 1], [0, 0, 0, 0]]).json()["predictions"]
        ids = [row["prediction_id"] for row in answers]
        items = [{"prediction_id": one, "actual": 1} for one in ids[:2]]
        receipt = server.post("/feedback", [*items, {"prediction_id": "stranger", "actual": 0}])
        assert receipt.status_code == 202
        assert receipt.json() == {"accepted": 2, "unknown": 1, "unknown_ids": ["stranger"]}
        wait_until(lambda: folded_rows(logged_project.layout) == 3, "the rows in the DuckDB file")
    reader = PredictionReader(logged_project.layout)
    table = reader.query("SELECT numeric, probability, version, role FROM predictions ORDER BY prediction_id")
    assert [row[0] for row in table.rows] == [[1, 2, 3, 4], [4, 3, 2, 1], [0, 0, 0, 0]]
    assert [row[1] for row in table.rows] == [row["probability"] for row in answers]
    assert reader.counts()[0].labelled == 2

    with running(logged_project) as server:
        late = {"prediction_id": ids[2], "actual": False, "timestamp": "2026-01-31T12:00:00Z"}
        assert server.post("/feedback", late).json() == {"accepted": 1, "unknown": 0}
        # No class of the model's: perhaps a mistake, perhaps a new class. It is kept, and told.
        receipt = server.post("/feedback", {"prediction_id": ids[0], "actual": "maybe"})
        assert receipt.status_code == 202
        assert receipt.json() == {
            "accepted": 1,
            "unknown": 0,
            "unexpected": 1,
            "warning": 'kept, but no class of the model that predicted: "maybe"; its classes are: 0, 1',
        }
        assert server.metric('workbench_feedback_total{status="unexpected"}') == 1
    labels = dict(reader.query("SELECT prediction_id, label FROM labels").rows)
    assert labels == {ids[0]: "maybe", ids[1]: "1", ids[2]: "0"}


def folded_rows(layout: Layout) -> int:
    """Rows in the DuckDB file itself, without what is still in the spool."""
    if not layout.predictions.exists():
        return 0
    with reading(layout) as (connection, unread):
        if unread is not None:
            return 0
        return int(connection.execute("SELECT count(*) FROM log.predictions").fetchall()[0][0])


@pytest.mark.parametrize(
    ("item", "field"),
    [
        ({"actual": 1}, "prediction_id"),
        ({"prediction_id": "x"}, "actual"),
        ({"prediction_id": "x", "actual": None}, "actual"),
        ({"prediction_id": "x", "actual": [1]}, "actual"),
        ({"prediction_id": "x", "actual": 1, "timestamp": "yesterday"}, "timestamp"),
        ({"prediction_id": "x", "actual": 1, "extra": 1}, "extra"),
        (5, "feedback"),
    ],
)
def test_wrong_feedback_is_named(server: Any, item: Any, field: str) -> None:
    answer = server.post("/feedback", [item])
    assert answer.status_code == 422
    assert answer.json()["errors"][0] | {"message": ""} == {"row": 0, "field": field, "message": ""}


def test_a_prediction_that_could_not_be_logged_says_so(logged_project: Any, running: Any) -> None:
    with running(logged_project) as server:
        for path in logged_project.layout.spool.iterdir():
            path.unlink()
        logged_project.layout.spool.rmdir()
        logged_project.layout.spool.write_text("in the way")
        answer = server.post("/predict", [1, 2, 3, 4])
        assert answer.status_code == 200
        assert answer.json()["prediction_id"] is None
        assert server.metric("workbench_spool_lost") == 1


def test_without_a_project_nothing_is_logged(logged_project: Any, running: Any) -> None:
    with running(logged_project, uri="models:/two/Production", logged=False) as server:
        assert server.post("/predict", [1, 2, 3, 4]).json()["prediction_id"] is None
        assert server.post("/feedback", {"prediction_id": "x", "actual": 1}).status_code == 503


def test_redacted_columns_never_reach_the_log(logged_project: Any, running: Any) -> None:
    with running(logged_project, store={"redact": ["b"]}) as server:
        server.post("/predict", [1, 2, 3, 4])
    table = PredictionReader(logged_project.layout).query("SELECT numeric FROM predictions")
    assert table.rows[0][0] == [1, None, 3, 4]
