"""One Pipeline from raw columns to a prediction, and no more steps than the model needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipelines.build import build_pipeline
from pipelines.columns import infer_kinds, typed
from pipelines.settings import PipelineSettings
from pipelines.user_module import load_user_module
from store.errors import SettingsError, TrainingError, UserCodeError

NUMBERS = pd.DataFrame({"a": np.linspace(0, 1, 40), "b": np.linspace(5, 3, 40) ** 2})
Y = np.array(["no", "yes"] * 20)


def build(frame: pd.DataFrame, user: Any = None, **settings: Any) -> Any:
    settings = {"data": "t", "target": "y", **settings}
    kinds = infer_kinds(frame)
    pipeline, _, _ = build_pipeline(
        PipelineSettings.model_validate(settings), "binary", typed(frame, kinds), kinds, user
    )
    return pipeline


def module(folder: Path, text: str) -> Any:
    path = folder / "mine.py"
    path.write_text(text, "utf-8")
    return load_user_module(path, "demo")


@pytest.mark.parametrize(
    ("estimator", "gaps", "steps"),
    [
        ("logistic_regression", False, ["scaler", "model"]),
        ("logistic_regression", True, ["imputer", "scaler", "model"]),
        ("random_forest", False, ["model"]),
        ("gradient_boosting", True, ["imputer", "model"]),
        (None, True, ["model"]),
    ],
)
def test_numbers_alone_need_no_column_transformer(
    estimator: str | None, gaps: bool, steps: list[str]
) -> None:
    frame = NUMBERS.copy()
    if gaps:
        frame.loc[3, "a"] = None
    pipeline = build(frame, estimator=estimator)
    assert [name for name, _ in pipeline.steps] == steps
    pipeline.fit(frame, Y)


@pytest.mark.parametrize("estimator", ["logistic_regression", None, "random_forest"])
def test_mixed_columns_are_learned_and_unknown_or_missing_values_answered(
    customers: pd.DataFrame, estimator: str | None
) -> None:
    raw = customers.drop(columns=["churned", "amount", "tier", "customer id"])
    frame = typed(raw, infer_kinds(raw))
    pipeline = build(raw, estimator=estimator).fit(frame, customers["churned"].to_numpy())
    strange = frame.head(3).copy()
    strange["city"] = pd.Series(["Atlantis", None, float("nan")], dtype=object)
    strange["größe"] = np.nan
    answers = pipeline.predict_proba(strange)
    assert np.isfinite(answers).all()
    # What JSON brings as None and a file as NaN is the same gap.
    same = strange.iloc[[1, 1]].copy()
    same["city"] = pd.Series([None, float("nan")], index=same.index, dtype=object)
    assert pipeline.predict_proba(same)[0].tolist() == pipeline.predict_proba(same)[1].tolist()


def test_dates_become_numbers_and_their_gaps_stay_gaps() -> None:
    from pipelines.transforms import DatetimeParts

    frame = pd.DataFrame({"d": pd.to_datetime(["2020-02-29 12:30", None, "2021-01-01 00:00"])})
    parts = DatetimeParts().fit(frame)
    values = parts.transform(frame)
    named = dict(zip(parts.get_feature_names_out(), values[0], strict=True))
    assert (named["d_month"], named["d_day"], named["d_weekday"], named["d_hour"]) == (2, 29, 5, 12.5)
    assert np.isnan(values[1]).all()
    assert parts.transform(frame.astype(str).where(frame.notna(), None)).tolist()[0] == values.tolist()[0]


def test_seeds_reach_every_step() -> None:
    assert build(NUMBERS, estimator="random_forest", split={"seed": 9}).steps[-1][1].random_state == 9


def test_a_users_features_stand_at_the_head(tmp_path: Path) -> None:
    user = module(
        tmp_path, "def features(frame):\n    frame['c'] = frame['a'] * 2\n    return frame[['c']]\n"
    )
    pipeline = build(NUMBERS, user, estimator="logistic_regression").fit(NUMBERS.copy(), Y)
    assert [name for name, _ in pipeline.steps] == ["features", "scaler", "model"]
    assert pipeline[-1].n_features_in_ == 1


def test_a_users_build_gives_estimator_or_pipeline(tmp_path: Path) -> None:
    user = module(
        tmp_path,
        "from sklearn.pipeline import make_pipeline\n"
        "from sklearn.preprocessing import MinMaxScaler\n"
        "from sklearn.ensemble import RandomForestClassifier\n"
        "def build(params):\n    return make_pipeline(MinMaxScaler(), RandomForestClassifier(**params))\n",
    )
    pipeline = build(NUMBERS, user, params={"n_estimators": 4}, split={"seed": 3})
    assert [name for name, _ in pipeline.steps] == ["minmaxscaler", "randomforestclassifier"]
    assert (pipeline[-1].n_estimators, pipeline[-1].random_state) == (4, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1 +\n", "line 1, cannot be loaded: SyntaxError"),
        ("import nothing_like_this\n", "line 1, cannot be loaded: ModuleNotFoundError"),
        ("raise SystemExit(3)\n", "line 1, cannot be loaded: SystemExit"),
        ("x = 1\n", "defines neither features"),
        ("features = 5\n", "features in .* is no function"),
        ("def features(frame):\n    return frame['nope']\n", "line 2, raised in features.*KeyError: 'nope'"),
        ("def features(frame):\n    return frame.head(3)\n", "turned 40 rows into 3"),
        ("def features(frame):\n    return 5\n", "returned int, not a data frame"),
        ("def build(params):\n    return 5\n", "returned int, no estimator"),
        ("def build(params):\n    exit()\n", "line 2, raised in build"),
    ],
)
def test_a_users_mistake_is_reported_by_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserCodeError, match=message) as caught:
        build(NUMBERS, module(tmp_path, text))
    assert caught.value.hint


def test_a_users_regressor_for_classes_is_refused(tmp_path: Path) -> None:
    text = "from sklearn.linear_model import Ridge\ndef build(params):\n    return Ridge()\n"
    with pytest.raises(SettingsError, match="is a regressor, and the task is classification"):
        build(NUMBERS, module(tmp_path, text))


def test_nothing_left_to_learn_from_is_said(tmp_path: Path) -> None:
    user = module(tmp_path, "def features(frame):\n    frame['a'] = 1\n    return frame[['a']]\n")
    with pytest.raises(TrainingError, match="no column is left"):
        build(NUMBERS, user)
