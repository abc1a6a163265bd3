"""Performance from a real prediction log: labels, intervals, drops, estimates, lateness, pairs."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipelines.metrics import Scores
from pipelines.performance import compare_roles, performance_details, performance_report, replay
from pipelines.performance.lateness import maturity
from pipelines.performance.reference import PerformanceReference, reference_of
from store.fold import fold
from store.layout import Layout
from store.loaded_model import prepare
from store.log import FeatureSchema, PredictionLog, new_prediction_ids
from store.model_files import ColumnSpec, ModelFile
from store.profile import Profile, build_profile
from store.references import publish_reference
from store.settings import StoreSettings

START = datetime(2026, 7, 1, tzinfo=UTC)
END = START + timedelta(hours=3)
CHURN = FeatureSchema(("age", "city"), ("numeric", "categorical"))
CLASSES = ["no", "yes"]


def profile_of(y: Any, p: Any) -> Profile:
    predicted = [CLASSES[int(one >= 0.5)] for one in p]
    profile = build_profile(
        {"age": np.zeros(len(p))},
        {"age": "numeric"},
        predicted,
        task="binary",
        classes=CLASSES,
        scores=p,
    )
    scores = Scores((p >= 0.5).astype(int), np.column_stack([1 - p, p]))
    performance = reference_of("binary", y, scores, profile.prediction.categories)
    # Through its file, as every process reads it.
    return Profile.from_json(replace(profile, performance=performance.as_json()).to_json())


@pytest.fixture
def log(layout: Layout) -> Any:
    log = PredictionLog(layout, StoreSettings())
    yield log
    log.close()


def send(
    log: PredictionLog, p: Any, *, minutes: float, version: int = 1, role: str = "champion"
) -> list[str]:
    ids = new_prediction_ids(len(p))
    assert log.append(
        model="churn",
        version=version,
        schema=CHURN,
        prediction_ids=ids,
        predicted_at=START + timedelta(minutes=minutes),
        predictions=[CLASSES[int(one >= 0.5)] for one in p],
        probability=p.tolist(),
        probabilities=None,
        classes=CLASSES,
        numeric=[[30.0]] * len(p),
        categorical=[["Köln" if one > 0.3 else "Bonn"] for one in p],
        latency_ms=1.0,
        role=role,
        request_id=f"request-{minutes}",
    )
    return ids


@pytest.fixture
def reference() -> Profile:
    rng = np.random.default_rng(1)
    p = rng.random(5000)
    return profile_of((rng.random(5000) < p).astype(int), p)


def by_metric(report: list[dict[str, Any]], *, estimated: bool = False) -> dict[str, dict[str, Any]]:
    return {one["metric"]: one for one in report if one["estimated"] == estimated}


def test_of_very_many_rows_the_counts_tell_what_all_are_like_and_a_part_the_rest(
    layout: Layout, log: PredictionLog, reference: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(2)
    publish_reference(layout, "churn", 1, reference)
    for minute in range(0, 180, 5):
        p = rng.random(200)
        ids = send(log, p, minutes=minute)
        truth = rng.random(200) < p
        given = [(one, CLASSES[int(hit)], None) for one, hit in zip(ids, truth, strict=True)]
        log.append_feedback(given[:120])
    fold(layout)

    exact = performance_details(layout, "churn", 1, start=START, end=END)
    monkeypatch.setattr("pipelines.performance.counted.MANY_ROWS", 5000)
    monkeypatch.setattr("pipelines.performance.counted.SAMPLE_ROWS", 1000)
    details = performance_details(layout, "churn", 1, start=START, end=END, segments=("city",))
    assert exact["sampled"] is None
    assert details["sampled"] == {"rows": 2400, "of": 7200}  # twelve stretches of five minutes
    assert details["coverage"] == exact["coverage"] | {"maturity": pytest.approx(1, abs=1)}
    whole, part = by_metric(exact["metrics"]), by_metric(details["metrics"])
    assert list(part) == list(whole)
    for metric in ("accuracy", "precision", "recall", "f1"):
        assert part[metric] == whole[metric] | {"dropped": part[metric]["dropped"]}
        assert part[metric]["n"] > 2000
    assert part["roc_auc"]["n"] == 1440
    assert part["roc_auc"]["value"] == pytest.approx(whole["roc_auc"]["value"], abs=0.05)
    assert details["classes"] == exact["classes"]
    assert by_metric(details["metrics"], estimated=True)["accuracy"]["n"] == 2400
    json.dumps(details, allow_nan=False)


def test_errors_of_very_many_rows(
    layout: Layout, log: PredictionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(4)
    for minute in range(0, 180, 5):
        actual = rng.normal(50, 10, 100)
        ids = new_prediction_ids(100)
        assert log.append(
            model="sales",
            version=1,
            schema=FeatureSchema(("age",), ("numeric",)),
            prediction_ids=ids,
            predicted_at=START + timedelta(minutes=minute),
            predictions=(actual + rng.normal(0, 2, 100)).tolist(),
            probability=None,
            probabilities=None,
            classes=None,
            numeric=[[1.0]] * 100,
            categorical=[[]] * 100,
            latency_ms=1.0,
        )
        log.append_feedback([(one, float(value), None) for one, value in zip(ids, actual, strict=True)])
    fold(layout)
    whole = by_metric(performance_report(layout, "sales", 1, start=START, end=END))
    monkeypatch.setattr("pipelines.performance.counted.MANY_ROWS", 2000)
    monkeypatch.setattr("pipelines.performance.counted.SAMPLE_ROWS", 600)
    part = by_metric(performance_report(layout, "sales", 1, start=START, end=END))
    assert list(part) == list(whole) == ["rmse", "mae", "r2"]
    for metric, one in whole.items():
        assert part[metric]["n"] == one["n"] == 3600
        for bound in ("value", "low", "high"):
            assert part[metric][bound] == pytest.approx(one[bound], rel=0.02)


def test_a_healthy_model_has_intervals_around_its_reference(
    layout: Layout, log: PredictionLog, reference: Profile
) -> None:
    rng = np.random.default_rng(2)
    publish_reference(layout, "churn", 1, reference)
    for minute in range(0, 180, 30):
        p = rng.random(200)
        ids = send(log, p, minutes=minute)
        truth = rng.random(200) < p
        log.append_feedback([(one, CLASSES[int(hit)], None) for one, hit in zip(ids, truth, strict=True)])
    fold(layout)

    details = performance_details(layout, "churn", 1, start=START, end=END, segments=("city",))
    found = by_metric(details["metrics"])
    assert list(found) == ["accuracy", "precision", "recall", "f1", "roc_auc", "brier", "ece"]
    accuracy = found["accuracy"]
    assert accuracy["low"] < accuracy["reference"] < accuracy["high"]
    assert accuracy["value"] == pytest.approx(0.75, abs=0.04)
    assert (accuracy["n"], accuracy["dropped"], accuracy["below"]) == (1200, False, False)
    assert found["brier"]["smaller_is_better"]
    assert not details["concept"]["alarm"]

    assert details["coverage"]["coverage"] == 1.0
    assert details["coverage"]["lag_p50_s"] > 0
    assert details["calibration"]["of"] == "yes"
    assert details["calibration"]["ece"] < 0.06
    assert [one["class"] for one in details["classes"]] == CLASSES
    assert sum(one["actual"] for one in details["classes"]) == 1200
    assert {one["value"] for one in details["segments"]} == {"Köln", "Bonn"}
    assert sum(one["labelled"] for one in details["segments"]) == 1200


def test_before_labels_arrive_performance_is_estimated_and_never_dropped(
    layout: Layout, log: PredictionLog, reference: Profile
) -> None:
    rng = np.random.default_rng(3)
    publish_reference(layout, "churn", 1, reference)
    p = rng.beta(8, 8, 4000)  # all of them hard to tell
    send(log, p, minutes=5)

    report = performance_report(layout, "churn", 1, start=START, end=END)
    assert by_metric(report) == {}
    found = by_metric(report, estimated=True)
    truth = np.maximum(p, 1 - p).mean()
    assert found["accuracy"]["value"] == pytest.approx(truth, abs=0.02)
    assert found["accuracy"]["low"] < found["accuracy"]["value"] < found["accuracy"]["high"]
    assert found["accuracy"]["reference"] == pytest.approx(0.75, abs=0.02)
    assert set(found) == {"accuracy", "precision", "recall", "f1", "roc_auc"}
    assert not any(one["dropped"] or one["below"] for one in report)


def test_a_drop_on_two_of_three_windows_is_a_drop_and_a_concept_alarm(
    layout: Layout, log: PredictionLog, reference: Profile
) -> None:
    rng = np.random.default_rng(4)
    publish_reference(layout, "churn", 1, reference)
    for minute in range(0, 180, 60):
        p = rng.random(600)
        ids = send(log, p, minutes=minute)
        turned = rng.random(600) < (p if minute < 60 else 1 - p)
        log.append_feedback([(one, CLASSES[int(hit)], None) for one, hit in zip(ids, turned, strict=True)])

    details = performance_details(layout, "churn", 1, start=START, end=END)
    accuracy = by_metric(details["metrics"])["accuracy"]
    assert accuracy["dropped"]
    assert accuracy["p_value"] < 0.01
    assert details["concept"]["alarm"]
    assert "accuracy" in details["concept"]["metrics"]
    # The estimate looks at inputs alone, and those are as ever.
    assert by_metric(details["metrics"], estimated=True)["accuracy"]["value"] > 0.7

    hours = [(START + timedelta(hours=h), START + timedelta(hours=h + 1)) for h in range(3)]
    reports: list[list[dict[str, Any]]] = []
    for start, end in hours:
        reports.append(performance_report(layout, "churn", 1, start=start, end=end, history=reports))
    assert [by_metric(one)["accuracy"]["below"] for one in reports] == [False, True, True]
    assert [by_metric(one)["accuracy"]["dropped"] for one in reports] == [False, False, True]


def test_labels_that_contradict_or_name_nothing_known(
    layout: Layout, log: PredictionLog, reference: Profile
) -> None:
    publish_reference(layout, "churn", 1, reference)
    ids = send(log, np.array([0.9, 0.9, 0.1, 0.2]), minutes=1)
    log.append_feedback([(ids[0], "no", None), ("nobody", "yes", None), (ids[2], "maybe", None)])
    log.append_feedback([(ids[0], "yes", None)])

    details = performance_details(layout, "churn", 1, start=START, end=END)
    accuracy = by_metric(details["metrics"])["accuracy"]
    assert (accuracy["n"], accuracy["value"]) == (2, 0.5)  # the last label wins; an unknown class is a miss
    assert accuracy["p_value"] is None
    assert not accuracy["dropped"]
    assert details["coverage"]["labelled"] == 2


def test_nothing_logged_and_no_reference_are_no_errors(layout: Layout, log: PredictionLog) -> None:
    assert performance_report(layout, "churn", 1, start=START, end=END) == []
    ids = send(log, np.array([0.9, 0.1]), minutes=1)
    log.append_feedback([(ids[0], "yes", None)])
    found = by_metric(performance_report(layout, "churn", 1, start=START, end=END))
    assert found["accuracy"]["value"] == 1.0
    assert found["accuracy"]["reference"] is None


def test_a_regression_has_errors_residuals_and_an_estimate(layout: Layout, log: PredictionLog) -> None:
    rng = np.random.default_rng(5)
    predicted = rng.uniform(0, 100, 4000)
    y = predicted + rng.normal(0, 2 + predicted / 20)
    performance = reference_of("regression", y, Scores(predicted), None)
    profile = build_profile({}, {}, predicted, task="regression")
    publish_reference(layout, "bikes", 3, replace(profile, performance=performance.as_json()))
    schema = FeatureSchema((), ())
    now = rng.uniform(50, 100, 900)
    actual = now + 3 + rng.normal(0, 2 + now / 20)
    for part in range(3):
        rows = slice(part * 300, part * 300 + 300)
        ids = new_prediction_ids(300)
        assert log.append(
            model="bikes", version=3, schema=schema, prediction_ids=ids, classes=None,
            predicted_at=START + timedelta(minutes=part), predictions=now[rows].tolist(),
            probability=None, probabilities=None, numeric=[[]] * 300, categorical=[[]] * 300, latency_ms=1.0,
        )  # fmt: skip
        log.append_feedback([(one, float(value), None) for one, value in zip(ids, actual[rows], strict=True)])

    details = performance_details(layout, "bikes", 3, start=START, end=END)
    found = by_metric(details["metrics"])
    assert list(found) == ["rmse", "mae", "r2"]
    error = actual - now
    assert found["rmse"]["value"] == pytest.approx(np.sqrt(np.mean(error**2)))
    assert found["rmse"]["low"] < found["rmse"]["value"] < found["rmse"]["high"]
    assert found["mae"]["dropped"]
    assert details["concept"]["alarm"]
    residuals = details["residuals"]
    assert residuals["bias"] == pytest.approx(float(error.mean()))
    assert residuals["p_value"] < 1e-6
    # It knows that errors of large predictions are larger, and not that there is a bias by now.
    estimate = by_metric(details["metrics"], estimated=True)["rmse"]
    assert estimate["value"] == pytest.approx(np.sqrt(np.mean((2 + now / 20) ** 2)), rel=0.06)


def test_numbers_beyond_all_bounds_are_left_out(layout: Layout, log: PredictionLog) -> None:
    predicted = [1e200, -1e300, 2.0, 3.0]
    ids = new_prediction_ids(4)
    assert log.append(
        model="bikes", version=3, schema=FeatureSchema((), ()), prediction_ids=ids, classes=None,
        predicted_at=START, predictions=predicted, probability=None, probabilities=None,
        numeric=[[]] * 4, categorical=[[]] * 4, latency_ms=1.0,
    )  # fmt: skip
    log.append_feedback([(one, 5.0, None) for one in ids])
    details = performance_details(layout, "bikes", 3, start=START, end=END)
    assert json.loads(json.dumps(details, allow_nan=False))["coverage"]["labelled"] == 4


def test_several_classes(layout: Layout) -> None:
    rng = np.random.default_rng(6)
    matrix = rng.dirichlet([1, 1, 1], 3000)
    y = np.array([rng.choice(3, p=row) for row in matrix])
    held = reference_of("multiclass", y, Scores(matrix.argmax(axis=1), matrix), ["a", "b", "c"])
    again = PerformanceReference.from_json(held.as_json())
    assert again is not None
    assert len(again.calibrators) == 3
    assert again.figures["accuracy"].value == pytest.approx(float((matrix.argmax(axis=1) == y).mean()))

    from pipelines.performance.estimate import estimated_figures
    from pipelines.performance.rows import Rows

    rows = Rows(("a", "b", "c"), matrix.argmax(axis=1), np.full(3000, -1), np.zeros(3000, dtype=bool), matrix)
    estimates = {one.metric: one.value for one in estimated_figures(rows, again)}
    for metric in ("accuracy", "f1", "roc_auc"):
        assert estimates[metric] == pytest.approx(again.figures[metric].value, abs=0.02)


def test_maturity_is_the_share_of_labels_due_by_now() -> None:
    lags = np.array([60.0] * 50 + [7200.0] * 50)
    assert maturity(lags, START, START, START + timedelta(hours=1)) == 0.5
    assert maturity(lags, START, START, START + timedelta(hours=3)) == 1.0
    assert maturity(lags, START, START, START) == 0.0


def test_another_version_is_asked_the_same_rows(layout: Layout, log: PredictionLog, tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(8)
    X = pd.DataFrame({"a": rng.normal(size=400), "member": rng.random(400) < 0.5})
    y = np.where(X["a"] + X["member"] + rng.normal(0, 0.5, 400) > 0.5, "yes", "no")
    columns = (ColumnSpec("a", "double", True), ColumnSpec("member", "boolean", True))
    file = ModelFile(
        path=tmp_path, inputs=columns, n_inputs=None, flavor="sklearn", serialization_format="skops",
        model_path="", python_version=None, versions={}, metadata={}, run_id=None, model_id=None,
        code_dir=None,
    )  # fmt: skip
    better = prepare(file, LogisticRegression().fit(X, y))
    ids = new_prediction_ids(400)
    assert log.append(
        model="churn", version=1, schema=FeatureSchema(("a", "member"), ("numeric", "numeric")),
        prediction_ids=ids, predicted_at=START, predictions=rng.choice(CLASSES, 400).tolist(),
        probability=rng.random(400).tolist(), probabilities=None, classes=CLASSES,
        numeric=[[a, float(m)] for a, m in zip(X["a"], X["member"], strict=True)],
        categorical=[[]] * 400, latency_ms=1.0,
    )  # fmt: skip
    log.append_feedback([(one, str(truth), None) for one, truth in zip(ids, y, strict=True)])

    found = replay(layout, "churn", 1, better, start=START, end=END, classes=("no", "yes"))
    assert found["rows"] == 400
    accuracy = next(one for one in found["metrics"] if one["metric"] == "accuracy")
    assert accuracy["challenger"] == pytest.approx(np.mean(np.array(better.predict(X).prediction) == y))
    assert accuracy["probability_better"] > 0.99
    assert replay(layout, "churn", 7, better, start=START, end=END, classes=("no", "yes"))["rows"] == 0


def test_champion_and_challenger_are_compared_on_the_requests_both_answered(
    layout: Layout, log: PredictionLog
) -> None:
    rng = np.random.default_rng(7)
    for minute in range(3):
        p = rng.random(100)
        truth = rng.random(100) < p
        worse = np.clip(p + rng.normal(0, 0.4, 100), 0, 1)
        ids = send(log, worse, minutes=minute)
        send(log, p, minutes=minute, version=2, role="challenger")
        log.append_feedback([(one, CLASSES[int(hit)], None) for one, hit in zip(ids, truth, strict=True)])

    found = compare_roles(layout, "churn", 1, 2, start=START, end=END, classes=("no", "yes"))
    assert found["rows"] == 300
    area = next(one for one in found["metrics"] if one["metric"] == "roc_auc")
    assert area["method"] == "delong"
    assert area["challenger"] > area["champion"]
    assert area["low"] < area["difference"] < area["high"]
    assert area["probability_better"] > 0.99
    nobody = compare_roles(layout, "churn", 1, 9, start=START, end=END, classes=("no", "yes"))
    assert nobody == {"rows": 0, "metrics": []}
