"""Promotions are followed without a restart; what can't be served leaves the old version in service."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LogisticRegression

from store.alerts import list_alerts
from store.errors import UsageError
from store.journal import read_events


def constant(value: float, flower_data: Any) -> Any:
    X, _ = flower_data
    return DummyRegressor(strategy="constant", constant=value).fit(X, X[:, 0])


@pytest.mark.slow
def test_promotions_and_rollbacks_under_load_lose_no_request(
    project: Any, flower_data: Any, running: Any, wait_until: Any
) -> None:
    for value in (1.0, 2.0):
        project.add("steady", constant(value, flower_data), promote=value == 1.0)
    answers: list[tuple[int, float]] = []
    failures: list[str] = []
    done = threading.Event()
    with running(project) as server:

        def ask() -> None:
            with httpx.Client(base_url=server.url, timeout=30) as client:
                while not done.is_set():
                    answer = client.post("/predict", json=[1, 2, 3, 4])
                    if answer.status_code != 200:
                        failures.append(answer.text)
                    else:
                        answers.append((answer.json()["version"], answer.json()["prediction"]))

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for version in (2, 1, 2):
                project.registry.promote("steady", version)
                asked = len(answers)
                wait_until(
                    lambda v=version, n=asked: any(a[0] == v for a in answers[n:]), f"version {version}"
                )
            project.registry.rollback("steady")
            asked = len(answers)
            wait_until(lambda: any(a[0] == 1 for a in answers[asked:]), "the rollback")
        finally:
            done.set()
            for thread in threads:
                thread.join()
    assert not failures
    assert {version for version, _ in answers} == {1, 2}
    assert all(prediction == float(version) for version, prediction in answers)


def test_a_version_that_fails_to_load_leaves_the_old_one_and_is_journalled_once(
    project: Any, flower_data: Any, running: Any, wait_until: Any
) -> None:
    X, y = flower_data
    project.add("steady", constant(1.0, flower_data))
    project.add("steady", LogisticRegression().fit(X, y), serialization="pickle", promote=False)
    with running(project) as server:
        project.registry.promote("steady", 2)
        wait_until(lambda: server.get("/health/ready").json()["failures"], "the failure")
        assert server.post("/predict", [1, 2, 3, 4]).json()["version"] == 1
        listed = server.get("/models").json()["models"]
        assert [(model["status"], model["version"]) for model in listed] == [("serving", 1), ("failed", 2)]
        assert "pickle" in listed[1]["reason"]
        project.add("other", constant(3.0, flower_data))
        wait_until(lambda: server.post("/models/other/predict", [1, 2, 3, 4]).status_code == 200, "other")
    events = read_events(project.layout, what="load_failed")
    assert [(event.model, event.from_, event.to) for event in events] == [("steady", "1", "2")]


def test_clients_are_not_told_where_a_broken_file_lies_but_the_log_and_the_alert_are(
    project: Any, flower_data: Any, running: Any, wait_until: Any
) -> None:
    project.add("steady", constant(1.0, flower_data))
    version = project.add("steady", constant(2.0, flower_data), promote=False)
    project.add("broken", constant(3.0, flower_data))
    newest = sorted(project.root.glob("mlruns/1/models/*/artifacts/model.skops"), key=_made_at)[1:]
    for file in newest:
        file.write_bytes(b"no zip file")
    with running(project, settings={"workers": 2}) as server:
        project.registry.promote("steady", version)
        wait_until(lambda: len(server.get("/health/ready").json()["failures"]) == 2, "both failures")
        row = [1, 2, 3, 4]
        answers = [
            server.get("/health/ready"),
            server.get("/models"),
            server.get("/models/broken"),
            server.get("/v2/models/broken"),
            server.post("/models/broken/predict", row),
            server.post("/models/broken/predict/batch", [row]),
            server.post("/models/broken/invocations", {"inputs": [row]}),
            server.post("/v2/models/broken/infer", {"inputs": []}),
        ]
        assert [answer.status_code for answer in answers] == [200, 200, 503, 503, 503, 503, 503, 503]
        for answer in answers:
            assert "model.skops" in answer.text
            assert str(project.root) not in answer.text
            assert "artifacts" not in answer.text
    assert str(newest[-1]) in server.log.read_text()
    assert any(str(newest[-1]) in alert.message for alert in list_alerts(project.layout))


def _made_at(file: Path) -> int:
    return file.stat().st_mtime_ns


def test_a_version_that_answers_its_example_otherwise_is_not_served(
    project: Any, flower_data: Any, running: Any, wait_until: Any, columns: Any
) -> None:
    inputs = columns(a="double", b="double", c="double", d="double")
    options: dict[str, Any] = {"inputs": inputs, "example": [[1, 2, 3, 4]]}
    project.add("steady", constant(1.0, flower_data), metadata={"example_predictions": [1.0]}, **options)
    project.add(
        "steady",
        constant(2.0, flower_data),
        metadata={"example_predictions": [5.0]},
        promote=False,
        **options,
    )
    with running(project) as server:
        project.registry.promote("steady", 2)
        reason = wait_until(lambda: server.get("/health/ready").json()["failures"], "the failure")[0][
            "reason"
        ]
        assert "answers its stored example otherwise" in reason
        assert server.post("/predict", [1, 2, 3, 4]).json()["version"] == 1


def test_a_server_without_a_model_waits_for_one(
    project: Any, flower_data: Any, running: Any, wait_until: Any
) -> None:
    project.add("late", constant(1.0, flower_data), promote=False)
    with running(project) as server:
        assert server.get("/health").json()["model_loaded"] is False
        assert server.get("/health/ready").status_code == 503
        refused = server.post("/predict", [1, 2, 3, 4])
        assert refused.status_code == 503
        assert refused.headers["retry-after"]
        project.registry.promote("late", 1)
        wait_until(lambda: server.get("/health/ready").status_code == 200, "the promotion")
        assert server.get("/health").json() == {
            "status": "healthy",
            "model_loaded": True,
            "model": "late",
            "model_version": 1,
            "models": {"late": 1},
        }


@pytest.mark.slow
def test_a_uri_serves_one_version_and_follows_its_alias(
    project: Any, flower_data: Any, running: Any, wait_until: Any
) -> None:
    for value in (1.0, 2.0):
        project.add("steady", constant(value, flower_data), promote=value == 1.0)
    project.add("other", constant(3.0, flower_data))
    with running(project, uri="models:/steady@champion") as server:
        assert server.post("/models/other/predict", [1, 2, 3, 4]).status_code == 404
        project.registry.promote("steady", 2)
        wait_until(lambda: server.post("/predict", [1, 2, 3, 4]).json()["version"] == 2, "the promotion")
    with running(project, uri="models:/steady/1") as server:
        assert server.post("/predict", [1, 2, 3, 4]).json()["prediction"] == 1.0


def test_a_uri_of_a_version_that_is_not_there_is_named_and_waited_for(project: Any, running: Any) -> None:
    with running(project, uri="models:/steady/7") as server:
        refused = server.post("/predict", [1, 2, 3, 4])
        assert refused.status_code == 503
        assert "'steady' is not loaded" in refused.json()["detail"]
        assert "models:/steady/7 is not in service" in server.log.read_text()


def test_models_show_signature_metrics_and_version(server: Any) -> None:
    details = server.get("/models/mixed").json()
    assert (details["version"], details["task"], details["classes"]) == (1, "binary", [0, 1])
    assert details["metrics"] == {"roc_auc": 0.99}
    assert details["example"] == {"age": 30.0, "orders": 2, "plan": "pro", "active": True}
    assert {column["name"]: column["required"] for column in details["signature"]} == {
        "age": False,
        "orders": True,
        "plan": True,
        "active": True,
    }
    refused = {m["name"]: m for m in server.get("/models").json()["models"]}["pickled"]
    assert refused["status"] == "failed"
    assert "pickle" in refused["reason"]


@pytest.mark.parametrize("uri", ["model", "models:/", "models:/x", "models:/@champion", "runs:/1/model"])
def test_a_uri_that_names_no_model_is_wrong_usage(uri: str) -> None:
    from serve.model_reference import ModelReference

    with pytest.raises(UsageError):
        ModelReference.parse(uri)
