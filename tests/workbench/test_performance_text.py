"""A metric explained: what it is, what it was, what lies behind it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from store.errors import NotFoundError
from workbench.cli.monitor import _explain
from workbench.drift_text import print_metric
from workbench.performance_text import coverage_text, find_metric, residual_text, sentences, tables

COVERAGE = {"predictions": 2400, "labelled": 1700, "lag_p50_s": 5400.0, "lag_p90_s": 90000.0, "maturity": 0.8}
CLASSES = [
    {"class": "ham", "actual": 1200, "predicted": 1100, "precision": {"value": 0.9, "low": 0.8, "high": 0.95},
     "recall": None, "f1": None},
    {"class": "spam", "actual": 500, "predicted": 600, "precision": None, "recall": None, "f1": None},
    {"class": "never", "actual": 0, "predicted": 0, "precision": None, "recall": None, "f1": None},
]  # fmt: skip
DETAILS = {
    "coverage": COVERAGE,
    "classes": CLASSES,
    "calibration": {
        "of": "spam", "brier": 0.2, "ece": 0.1,
        "bins": [{"rows": 10, "predicted": 0.1, "observed": 0.2, "low": 0.1, "high": 0.4}],
    },
    "segments": [
        {"feature": "season", "value": None, "predictions": 9, "labelled": 8, "metric": "accuracy",
         "mean": 0.5, "low": 0.2, "high": 0.8},
    ],
}  # fmt: skip


def a_metric(**changes: Any) -> dict[str, Any]:
    return {
        "metric": "accuracy", "value": 0.61, "low": 0.58, "high": 0.63, "reference": 0.745, "n": 1700,
        "estimated": False, "dropped": True, "below": True, "p_value": 1e-9,
    } | changes  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "it has dropped, by more than chance (p = 1e-09)"),
        ({"dropped": False}, "which 2 of 3 parts of the rows do not confirm"),
        ({"dropped": False, "below": False, "p_value": 0.4}, "it is not surely worse (p = 0.4"),
        ({"reference": None}, "There is no reference of it to compare with."),
        ({"estimated": True, "p_value": None}, "calibrated probabilities (CBPE): an estimate never raises"),
        ({"metric": "mae", "estimated": True, "p_value": None}, "as if errors were as large as they used"),
    ],
)
def test_what_is_said_of_a_metric(changes: dict[str, Any], said: str) -> None:
    assert said in " ".join(sentences(a_metric(**changes), DETAILS))


def test_what_is_measured_comes_before_what_is_estimated() -> None:
    measured, estimated = a_metric(), a_metric(estimated=True)
    assert find_metric({"performance": [estimated, measured]}, "accuracy") is measured
    assert find_metric({"performance": [estimated]}, "accuracy") is estimated
    assert find_metric({"performance": []}, "accuracy") is None


def test_classes_calibration_and_segments_are_tables() -> None:
    by_class, calibration, segments = tables(DETAILS)
    assert by_class.rows == (
        ("ham", "1,200", "1,100", "0.900 [0.800, 0.950]", "—", "—"),
        ("spam", "500", "600", "—", "—", "—"),
    )
    assert calibration.title == "Calibration of spam: Brier score 0.200, mean distance (ECE) 0.100"
    assert calibration.rows == (("10%", "20% [10%, 40%]", "10"),)
    assert segments.rows == (("season=missing", "9", "8", "0.500 [0.200, 0.800]"),)
    assert list(tables({})) == []


def test_coverage_and_residuals_in_words() -> None:
    assert "within 90 minutes, nine in ten within 25 hours." in coverage_text(DETAILS)
    assert "About 80% of those to come should be here." in coverage_text(DETAILS)
    at_once = {"coverage": {**COVERAGE, "lag_p50_s": 0.1, "lag_p90_s": 0.2}}
    assert "Of the outcomes nine in ten arrive within a second." in coverage_text(at_once)
    assert coverage_text({}) == residual_text({}) == ""
    moved = {"bias": 3.0, "low": 2.0, "high": 4.0, "reference_bias": 0.1, "p_value": 1e-5}
    assert residual_text({"residuals": moved}).endswith("on held-out training data it was 0.100 (p 1e-05).")


def test_all_of_it_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_metric({"current_rows": 2400, "performance_details": DETAILS}, a_metric())
    shown = capsys.readouterr().out
    for part in ("accuracy: critical", "Accuracy is 0.610 [0.580, 0.630], of 1,700", "By class", "spam"):
        assert part in shown


def test_a_metric_is_explained_in_each_model_that_has_it(capsys: pytest.CaptureFixture[str]) -> None:
    common = {"features": [], "prediction": None, "current_rows": 2400, "version": 1}
    reports = [
        {**common, "model": "bikes", "performance": []},
        {**common, "model": "spam", "performance": [a_metric()], "performance_details": DETAILS},
    ]
    _explain(reports, "accuracy", as_json=False, is_one=False)
    assert "Accuracy is 0.610" in capsys.readouterr().out
    _explain(reports, "accuracy", as_json=True, is_one=False)
    assert [one["metric"] for one in json.loads(capsys.readouterr().out)] == ["accuracy"]
    with pytest.raises(
        NotFoundError, match=r"bikes version 1, spam version 1 have no column 'acuracy'"
    ) as said:
        _explain(reports, "acuracy", as_json=False, is_one=False)
    assert said.value.hint == "Did you mean 'accuracy'?"
