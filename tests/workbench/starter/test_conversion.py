"""Every key of a configuration file becomes a setting or is left with a reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.settings import PipelineSettings
from workbench.starter.config_sources import ConfigSource
from workbench.starter.conversion import convert, entries_of, first_value, nested
from workbench.starter.outcomes import NOTHING, Conversion

TUTORIAL = {
    "data": {
        "path": "data/customers.csv",
        "test_size": 0.25,
        "random_state": 7,
        "feature_cols": ["age", "visits"],
    },
    "model": {"algorithm": "random_forest", "n_estimators": 200, "max_depth": 10, "random_state": 7},
    "evaluation": {"metrics": ["accuracy", "f1_score", "auc"], "min_accuracy": 0.85},
}
DATACLASS = {
    "data_path": "data/customers.csv", "target_column": "churned", "test_size": 0.2, "random_seed": 42,
    "n_estimators": 200, "max_depth": 5, "learning_rate": 0.05, "cv_folds": 5, "model_output": "m.pkl",
}  # fmt: skip


def converted(values: dict[str, Any], task: Any = "binary", estimator: str | None = None) -> Conversion:
    return convert(ConfigSource(Path("config.yaml"), "config", values, estimator), task)


def left(result: Conversion) -> dict[str, str]:
    return {outcome.key: outcome.reason for outcome in result.left}


def test_the_configuration_of_the_tutorials() -> None:
    result = converted(TUTORIAL)
    assert result.settings == {
        "data": "data/customers.csv",
        "split.test_size": 0.25,
        "split.seed": 7,
        "features": ["age", "visits"],
        "estimator": "random_forest",
        "params.n_estimators": 200,
        "params.max_depth": 10,
        "evaluate.metrics": ["accuracy", "f1", "roc_auc"],
        "gate.min": {"accuracy": 0.85},
    }
    assert result.left == []


def test_the_configuration_dataclass_of_the_tutorials() -> None:
    result = converted(DATACLASS, estimator="sklearn.ensemble.GradientBoostingClassifier")
    assert result.settings == {
        "data": "data/customers.csv",
        "target": "churned",
        "split.test_size": 0.2,
        "split.seed": 42,
        "split.cv_folds": 5,
        "estimator": "gradient_boosting",
        "params.n_estimators": 200,
        "params.max_depth": 5,
        "params.learning_rate": 0.05,
    }
    assert left(result) == {"model_output": "models are kept in the model registry"}


@pytest.mark.parametrize("values", [TUTORIAL, DATACLASS, {"a": 1}, {"model": {"x": {"y": [1]}}}])
def test_no_key_is_lost(values: dict[str, Any]) -> None:
    source = ConfigSource(Path("c.yaml"), "config", values)
    result = convert(source, "binary")
    assert {e.key for e in entries_of(source)} <= {o.key.split(":")[0] for o in result.outcomes}


def test_an_estimator_that_is_not_named_is_guessed_from_its_parameters_and_said() -> None:
    result = converted({"train": {"n_estimators": 50, "learning_rate": 0.1}})
    assert result.settings["estimator"] == "gradient_boosting"
    assert "guessed" in result.noted[0]
    assert "estimator" not in converted({"data": {"path": "a.csv"}}).settings


@pytest.mark.parametrize(
    ("word", "task", "setting"),
    [
        ("RandomForestClassifier", "binary", "random_forest"),
        ("Random Forest", "regression", "random_forest"),
        ("rf", "multiclass", "random_forest"),
        ("sklearn.svm.SVC", "binary", "svm"),
        ("LogisticRegression", "binary", "logistic_regression"),
        ("logistic-regression", "binary", "logistic_regression"),
        ("sklearn.ensemble.StackingClassifier", "binary", "sklearn.ensemble.StackingClassifier"),
        ("HistGradientBoostingRegressor", "regression", "hist_gradient_boosting"),
        ("random_forest", None, "random_forest"),
        ("linear_regression", None, "linear_regression"),
    ],
)
def test_estimators_under_their_many_names(word: str, task: str | None, setting: str) -> None:
    assert converted({"model": {"type": word}}, task).settings == {"estimator": setting}


def test_an_estimator_that_does_not_exist_here_is_left() -> None:
    result = converted({"model": {"algorithm": "my_transformer", "max_depth": 3}})
    assert "estimator" not in result.settings
    assert set(left(result)) == {"model.algorithm", "model.max_depth"}


def test_parameters_of_another_estimator_are_left() -> None:
    result = converted(
        {
            "model": {
                "algorithm": "random_forest",
                "random_forest": {"max_depth": 3},
                "svm": {"C": 1.0},
                "learning_rate": 0.1,
            }
        }
    )
    assert result.settings == {"estimator": "random_forest", "params.max_depth": 3}
    assert left(result) == {
        "model.svm.C": "it belongs to another estimator, SVC",
        "model.learning_rate": "RandomForestClassifier has no such parameter, and there is no such setting",
    }


def test_yaml_numbers_that_are_text_are_numbers() -> None:
    result = converted({"model": {"algorithm": "gradient_boosting", "learning_rate": "1e-3"}})
    assert result.settings["params.learning_rate"] == 0.001


def test_null_and_grids_are_left_or_need_nothing() -> None:
    result = converted(
        {"model": {"algorithm": "rf", "max_depth": None, "n_estimators": [1, 2], "criterion": None}}
    )
    assert result.settings == {"estimator": "random_forest"}
    assert set(left(result)) == {"model.n_estimators", "model.criterion"}
    assert [o.key for o in result.converted if o.setting == NOTHING] == ["model.max_depth"]


def test_two_seeds_are_kept_apart() -> None:
    result = converted({"data": {"random_state": 1}, "model": {"algorithm": "rf", "random_state": 2}})
    assert (result.settings["split.seed"], result.settings["params.random_state"]) == (1, 2)


def test_what_the_settings_would_refuse_is_left_with_their_reason() -> None:
    result = converted({"data": {"test_size": 1000}, "threshold": 7, "cv_folds": -1, "random_state": "x"})
    assert result.settings == {}
    assert set(left(result)) == {"data.test_size", "threshold", "cv_folds", "random_state"}


def test_metrics_of_another_task_are_left() -> None:
    result = converted(
        {"evaluation": {"metrics": ["rmse", "accuracy", "vibes"], "max_rmse": 3.5}}, "regression"
    )
    assert result.settings == {"evaluate.metrics": ["rmse"], "gate.min": {"rmse": 3.5}}
    assert left(result) == {
        "evaluation.metrics: accuracy": "not a metric of regression",
        "evaluation.metrics: vibes": "there is no such metric",
    }


def test_other_sections_find_their_place() -> None:
    result = converted(
        {
            "project": {"name": "shop"},
            "mlflow": {"tracking_uri": "sqlite:///mlflow.db", "experiment_name": "churn-prediction"},
            "registered_model_name": "churn-classifier",
            "api": {"host": "0.0.0.0", "port": 8080},
            "class_weight": {0: 1.0, 1: 5.0},
            "drop_cols": "a, b",
            "id_col": "id",
        }
    )
    assert result.project_name == "shop"
    assert result.sections == {"tracking": {"uri": "sqlite:///mlflow.db"}, "serve": {"port": 8080}}
    assert result.settings == {
        "experiment": "churn-prediction",
        "model": "churn-classifier",
        "class_weight": {"0": 1.0, "1": 5.0},
        "ignore": ["a", "b"],
        "id_column": "id",
    }
    assert set(left(result)) == {"api.host"}


def test_a_tracking_server_is_not_needed_so_its_address_is_left() -> None:
    result = converted({"mlflow": {"tracking_uri": "http://localhost:5000"}})
    assert result.sections == {}
    assert "no server needed" in left(result)["mlflow.tracking_uri"]


def test_features_listed_by_kind_are_one_list() -> None:
    result = converted({"features": {"numerical": ["a", "b"], "categorical": ["c"], "target": "y"}})
    assert result.settings == {"features": ["a", "b", "c"], "target": "y"}


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("data_path", "s3://bucket/a.csv", "local files"),
        ("data_path", "data.xlsx", "not a format that is read"),
        ("drift.threshold", 0.1, "monitoring"),
        ("retraining.schedule", "weekly", "retraining"),
        ("wandb.project", "x", "no other tracking service"),
        ("data.test_path", "test.csv", "held-out rows are split from data"),
        ("preprocessing.scaler", "standard", "chosen from each column"),
        ("param_grid.max_depth", [1, 2], "no search"),
        ("training.epochs", 10, "no parameter of this estimator"),
        ("whatever", 1, "there is no such setting"),
    ],
)
def test_why_a_key_is_left(key: str, value: Any, reason: str) -> None:
    nested_values: Any = value
    for part in reversed(key.split(".")):
        nested_values = {part: nested_values}
    assert reason in left(converted(nested_values))[key]


def test_the_first_of_two_keys_wins_and_the_second_is_named() -> None:
    result = converted({"data": {"path": "a.csv", "raw_path": "b.csv"}})
    assert result.settings["data"] == "a.csv"
    assert left(result) == {"data.raw_path": "data is set by another key already"}


def test_conversions_validate_as_settings() -> None:
    for values in (TUTORIAL, DATACLASS):
        settings = nested({"target": "churned", **converted(values).settings})
        assert PipelineSettings.model_validate(settings).data == "data/customers.csv"


def test_first_value_skips_what_is_empty() -> None:
    entries = entries_of(ConfigSource(Path("c"), "config", {"target": None, "data": {"label": "y"}}))
    assert first_value(entries, "target") == "y"


def test_an_overridden_setting_is_left_with_the_reason() -> None:
    result = converted(TUTORIAL)
    result.override("params", "--estimator takes its place")
    assert not any(key.startswith("params") for key in result.settings)
    assert left(result)["model.max_depth"] == "--estimator takes its place"
