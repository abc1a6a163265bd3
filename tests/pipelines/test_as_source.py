"""Estimators as source: what is written makes an equal estimator again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from pipelines.as_source import Source
from store.errors import TrainingError


class Holder(BaseEstimator):  # type: ignore[misc]
    def __init__(self, value: Any = None) -> None:
        self.value = value


def remade(value: Any) -> tuple[Any, str]:
    source = Source({__name__: "holders"})
    text = source.expression(value)
    namespace: dict[str, Any] = {"Holder": Holder}
    exec("\n".join(line for line in source.import_lines() if "holders" not in line), namespace)
    return eval(text, namespace), text


def test_a_nested_pipeline_comes_back_with_public_names_and_without_defaults() -> None:
    pipeline = Pipeline(
        [
            ("log", FunctionTransformer(np.log1p)),
            (
                "prepare",
                ColumnTransformer(
                    [("a", OneHotEncoder(min_frequency=3), ["x", "y"]), ("b", "passthrough", [2])]
                ),
            ),
            ("scale", StandardScaler(with_mean=False)),
            (
                "model",
                VotingClassifier([("lr", LogisticRegression(C=0.5)), ("svc", SVC(gamma=0.1))]),
            ),
        ]
    )
    again, text = remade(pipeline)
    assert repr(again) == repr(pipeline)
    assert "with_std" not in text


@pytest.mark.parametrize(
    "value",
    [float("inf"), (1,), (), {}, {"a": [1, (2.5, None)]}, "it's", b"\x00", True, 1e-300, {0: 1.0, "b": 2}],
    ids=repr,
)
def test_values_come_back_as_they_were(value: Any) -> None:
    again, _ = remade(Holder(value))
    assert again.value == value
    assert type(again.value) is type(value)


def test_scalars_of_numpy_become_plain_numbers() -> None:
    again, text = remade(LogisticRegression(C=np.float64(0.25)))
    assert again.C == 0.25
    assert "float64" not in text


def test_arrays_come_back_with_their_type() -> None:
    again, _ = remade(Holder(np.array([[1.5, np.nan]], dtype="float32")))
    assert again.value.dtype == np.float32
    np.testing.assert_array_equal(again.value, np.array([[1.5, np.nan]], dtype="float32"))


@pytest.mark.parametrize("value", [lambda x: x, object()], ids=["lambda", "object"])
def test_what_has_no_source_is_refused(value: Any) -> None:
    with pytest.raises(TrainingError, match="can't be written as source"):
        remade(Holder(value))
