"""Predictions over HTTP: every shape of request, and what each kind of model answers."""

from __future__ import annotations

import csv
import io
from typing import Any

import numpy as np
import pytest

ROW = {"a": 1.0, "b": -0.5, "c d": 0.25, "é": 2}
VALUES = list(ROW.values())


@pytest.mark.parametrize(
    "body",
    [{"features": ROW}, {"features": VALUES}, ROW],
    ids=["features", "list of features", "flat record"],
)
def test_one_record_in_any_shape_gets_one_answer(server: Any, body: Any) -> None:
    answer = server.post("/models/two/predict", body)
    assert answer.status_code == 200
    assert list(answer.json()) == [
        *("prediction", "probability", "confidence"),
        *("model", "version", "prediction_id", "latency_ms"),
    ]
    assert answer.json()["model"] == "two"
    assert answer.json()["version"] == 1


@pytest.mark.parametrize(
    "body",
    [{"records": [ROW, ROW]}, [ROW, ROW], [VALUES, VALUES], {"features": [VALUES, VALUES]}],
    ids=["records", "list", "list of lists", "features of lists"],
)
def test_many_records_get_a_list(server: Any, body: Any) -> None:
    predictions = server.post("/predict", body).json()["predictions"]
    assert len({p["prediction_id"] for p in predictions}) == 2
    assert len({p["probability"] for p in predictions}) == 1


def test_the_answer_is_what_scikit_learn_gives(server: Any, several_models: Any, flower_data: Any) -> None:
    from store.model_files import load_model

    X, _ = flower_data
    version = several_models.registry.version("two", "champion")
    model = load_model(version.model_dir)
    answers = server.post("/models/two/predict/batch", X.tolist()).json()["predictions"]
    expected = model.estimator.predict_proba(X)
    assert [a["probability"] for a in answers] == expected[:, 1].tolist()
    assert [a["prediction"] for a in answers] == model.estimator.predict(X).tolist()


def test_confidence_follows_the_likeliest_class(server: Any, flower_data: Any) -> None:
    X, _ = flower_data
    for answer in server.post("/models/two/predict/batch", X.tolist()).json()["predictions"]:
        winning = max(answer["probability"], 1 - answer["probability"])
        assert answer["confidence"] == ("high" if winning >= 0.8 else "medium" if winning >= 0.6 else "low")


def test_more_than_two_classes_answer_probabilities_by_label(server: Any) -> None:
    answer = server.post("/models/three/predict", {"features": [2.0, 0.0, 0.0, 0.0]}).json()
    assert answer["prediction"] in {"red", "green", "blue"}
    assert set(answer["probabilities"]) == {"red", "green", "blue"}
    assert sum(answer["probabilities"].values()) == pytest.approx(1)
    assert "probability" not in answer


def test_regression_answers_a_number_and_no_confidence(server: Any) -> None:
    answer = server.post("/models/unsigned/predict", {"features": [1.0, 0, 0, 0]}).json()
    assert isinstance(answer["prediction"], float)
    assert not {"probability", "probabilities", "confidence"} & set(answer)


def test_a_model_without_names_takes_made_up_ones(server: Any) -> None:
    by_name = server.post("/models/unsigned/predict", {"x0": 1, "x1": 0, "x2": 0, "x3": 0}).json()
    by_place = server.post("/models/unsigned/predict", {"features": [1, 0, 0, 0]}).json()
    assert by_name["prediction"] == by_place["prediction"]


def test_mixed_columns_are_predicted_on_a_frame(server: Any) -> None:
    record = {"age": None, "orders": 3, "plan": "free", "active": False}
    full = server.post("/models/mixed/predict", record)
    assert full.status_code == 200
    del record["age"]
    assert server.post("/models/mixed/predict", record).json()["probability"] == full.json()["probability"]


def test_predict_without_a_name_is_the_first_model_of_the_settings(server: Any) -> None:
    assert server.post("/predict", ROW).json()["model"] == "two"


def test_csv_in_and_out(server: Any) -> None:
    body = "a,b,c d,é\n1,-0.5,0.25,2\n1,-0.5,0.25,2\n"
    answer = server.post(
        "/predict/batch", content=body.encode(), headers={"Content-Type": "text/csv", "Accept": "text/csv"}
    )
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == 2
    assert float(rows[0]["probability"]) == server.post("/predict", ROW).json()["probability"]


def test_csv_columns_may_come_in_any_order_and_cells_may_be_missing(server: Any) -> None:
    body = "plan,active,orders,age\nfree,no,3,\npro,true,2,30\n"
    answer = server.post("/models/mixed/predict/batch", content=body, headers={"Content-Type": "text/csv"})
    assert answer.status_code == 200
    assert len(answer.json()["predictions"]) == 2


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_csv_may_have_another_delimiter(server: Any, delimiter: str) -> None:
    body = delimiter.join(["plan", "orders", "age", "active"]) + "\n" + delimiter.join(["pro", "3", "", "no"])
    answer = server.post("/models/mixed/predict/batch", content=body, headers={"Content-Type": "text/csv"})
    assert answer.status_code == 200
    assert len(answer.json()["predictions"]) == 1


def test_json_lines(server: Any) -> None:
    body = '{"a":1,"b":2,"c d":3,"é":4}\n\n[1,2,3,4]\n'
    answer = server.post(
        "/predict/batch", content=body.encode(), headers={"Content-Type": "application/x-ndjson"}
    )
    first, second = answer.json()["predictions"]
    assert first["probability"] == second["probability"]


def test_a_large_batch_is_answered_row_by_row(server: Any) -> None:
    X = np.random.default_rng(0).normal(size=(5000, 4))
    predictions = server.post("/predict/batch", X.tolist()).json()["predictions"]
    assert len({p["prediction_id"] for p in predictions}) == 5000


def test_the_request_id_is_echoed_when_it_is_a_plain_word(server: Any) -> None:
    echoed = server.post("/predict", ROW, headers={"X-Request-ID": "order-17"})
    assert echoed.headers["x-request-id"] == "order-17"
    for strange in ("a b", "x" * 200, "<script>"):
        made = server.post("/predict", ROW, headers={"X-Request-ID": strange})
        assert made.headers["x-request-id"] != strange


def test_metrics_count_by_model_and_by_the_tutorials_names(server: Any) -> None:
    line = 'workbench_predictions_total{model="two",role="champion",status="success",version="1"}'
    before = server.metric(line), server.metric('predictions_total{status="success"}')
    server.post("/predict", [ROW, ROW, ROW])
    assert server.metric(line) == before[0] + 3
    assert server.metric('predictions_total{status="success"}') == before[1] + 3
    errors = server.metric("input_errors_total")
    server.post("/predict", {"a": "x"})
    assert server.metric("input_errors_total") == errors + 1
    text = server.get("/metrics").text
    for name in (
        "workbench_prediction_latency_seconds_bucket",
        "prediction_latency_seconds_bucket",
        "workbench_requests_in_flight",
        "workbench_spool_lost",
        'workbench_model_info{model="two",role="champion",task="binary",version="1"} 1.0',
    ):
        assert name in text
