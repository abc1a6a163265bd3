"""Plans of models that take frames give scikit-learn's own answers, or leave the rows to it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeClassifier
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
)
from sklearn.svm import SVC

from pipelines.transforms import DatetimeParts
from store.frame_plans import FramePlan, make_frame_plan
from store.frames import build_frame
from store.loaded_model import LoadedModel, prepare
from store.model_files import ColumnSpec, ModelFile

EXAMPLES = int(os.environ.get("WORKBENCH_TEST_EXAMPLES", "6"))
RANDOM = np.random.default_rng(4)
N_ROWS = 240
NEW_YEAR = datetime(2024, 1, 1, tzinfo=UTC)


def _with_gaps(values: Sequence[Any]) -> list[Any]:
    return [None if RANDOM.random() < 0.1 else value for value in values]


COLUMNS = (
    ColumnSpec("age", "double", required=False),
    ColumnSpec("visits", "long", required=True),
    ColumnSpec("member", "boolean", required=True),
    ColumnSpec("plan", "string", required=False),
    ColumnSpec("city", "string", required=True),
    ColumnSpec("zone", "long", required=False),
    ColumnSpec("since", "datetime", required=False),
)
DATA: dict[str, list[Any]] = {
    "age": _with_gaps(RANDOM.normal(40, 12, N_ROWS).tolist()),
    "visits": [float(value) for value in RANDOM.integers(0, 30, N_ROWS)],
    "member": (RANDOM.random(N_ROWS) < 0.4).tolist(),
    "plan": _with_gaps(RANDOM.choice(["basic", "pro", "max"], N_ROWS).tolist()),
    "city": [f"city {int(value)}" for value in RANDOM.geometric(0.15, N_ROWS)],
    "zone": _with_gaps([float(value) for value in RANDOM.integers(1, 6, N_ROWS)]),
    "since": _with_gaps([NEW_YEAR + timedelta(hours=float(h)) for h in RANDOM.normal(0, 9000, N_ROWS)]),
}
FRAME = build_frame(COLUMNS, DATA)
SCORE = (
    FRAME["visits"].to_numpy() / 10
    + FRAME["member"].to_numpy()
    + (FRAME["plan"] == "pro").to_numpy() * 2
    + RANDOM.normal(size=N_ROWS)
)
CLASSES = (np.median(SCORE) < SCORE).astype(int)
LEVELS = np.array(["low", "mid", "top"])[np.digitize(SCORE, [1.5, 3])]

NUMERIC, TEXTS = ["age", "visits"], ["plan", "city"]
numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())


def mixed(encoder: Any, numeric: Any = numbers, **options: Any) -> ColumnTransformer:
    return ColumnTransformer([("numbers", numeric, NUMERIC), ("texts", encoder, TEXTS)], **options)


def one_hot(**options: Any) -> OneHotEncoder:
    return OneHotEncoder(**{"handle_unknown": "ignore", **options})


ordinal = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2)
filled = make_pipeline(
    SimpleImputer(strategy="constant", fill_value="missing"),
    SimpleImputer(missing_values=None, strategy="constant", fill_value="missing"),
    one_hot(handle_unknown="infrequent_if_exist", max_categories=6, sparse_output=False),
)
dates = make_pipeline(DatetimeParts(), SimpleImputer(), StandardScaler())

PLANNED: dict[str, tuple[Any, Any]] = {
    "sparse one-hot, logistic": (make_pipeline(mixed(one_hot()), LogisticRegression()), CLASSES),
    "sparse one-hot, three classes": (make_pipeline(mixed(one_hot()), LogisticRegression()), LEVELS),
    "sparse one-hot, least squares": (make_pipeline(mixed(one_hot()), Ridge(solver="lsqr")), SCORE),
    "dense one-hot, dropped": (
        make_pipeline(mixed(one_hot(sparse_output=False, drop="first")), LogisticRegression()), CLASSES,
    ),
    "unknown refused": (
        make_pipeline(
            mixed(one_hot(handle_unknown="error"), make_pipeline(SimpleImputer(), RobustScaler())),
            RidgeClassifier(),
        ),
        CLASSES,
    ),
    "infrequent": (
        make_pipeline(
            mixed(one_hot(handle_unknown="infrequent_if_exist", min_frequency=10)),
            RandomForestClassifier(12, max_depth=5, random_state=0),
        ),
        LEVELS,
    ),
    "workbench's own": (
        Pipeline(
            [
                ("prepare", ColumnTransformer([
                    ("categorical", filled, TEXTS), ("numeric", numbers, [*NUMERIC, "member"]),
                    ("datetime", dates, ["since"]),
                ], verbose_feature_names_out=False)),
                ("model", LogisticRegression(max_iter=500)),
            ]
        ),
        CLASSES,
    ),
    "workbench's own boosting": (
        make_pipeline(
            ColumnTransformer(
                [("categorical", ordinal, TEXTS), ("numeric", "passthrough", [*NUMERIC, "member", "zone"])]
            ),
            HistGradientBoostingRegressor(max_iter=12, categorical_features=[0, 1], random_state=0),
        ),
        SCORE,
    ),
    "histogram, three classes": (
        make_pipeline(mixed(ordinal, "passthrough"), HistGradientBoostingClassifier(max_iter=8)), LEVELS,
    ),
    "numbers as categories": (
        make_pipeline(
            ColumnTransformer([("zones", one_hot(), ["zone", "member"]), ("rest", "drop", ["age"])],
                              remainder="drop"),
            GradientBoostingClassifier(n_estimators=8),
        ),
        CLASSES,
    ),
    "missing in a forest": (
        make_pipeline(mixed(ordinal, "passthrough"), RandomForestRegressor(10, random_state=0)), SCORE,
    ),
    "indicator, most frequent": (
        make_pipeline(
            ColumnTransformer(
                [
                    ("numbers", make_pipeline(SimpleImputer(add_indicator=True), MinMaxScaler(clip=True)),
                     NUMERIC),
                    ("texts", make_pipeline(SimpleImputer(strategy="most_frequent"), one_hot()), TEXTS),
                ],
                sparse_threshold=0,
            ),
            GaussianNB(),
        ),
        LEVELS,
    ),
    "by selector, the rest scaled": (
        make_pipeline(
            ColumnTransformer(
                [
                    ("texts", one_hot(), make_column_selector("plan|city")),
                    ("since", "drop", lambda frame: [name for name in frame.columns if name == "since"]),
                ],
                remainder=make_pipeline(SimpleImputer(strategy="constant", fill_value=7), MaxAbsScaler()),
            ),
            LinearRegression(),
        ),
        SCORE,
    ),
    "binned, to data frames": (
        make_pipeline(
            mixed(
                make_pipeline(ordinal, StandardScaler()),
                make_pipeline(SimpleImputer(), KBinsDiscretizer(4, encode="ordinal")),
            ).set_output(transform="pandas"),
            RandomForestClassifier(8, random_state=0),
        ),
        CLASSES,
    ),
    "target encoded": (
        make_pipeline(mixed(TargetEncoder(random_state=0)), MLPClassifier((4,), max_iter=30)), CLASSES,
    ),
    "selected, projected, neighbours": (
        make_pipeline(mixed(one_hot(sparse_output=False)), SelectKBest(k=8), PCA(3), KNeighborsRegressor()),
        SCORE,
    ),
    "threshold outside, search within": (
        FixedThresholdClassifier(
            GridSearchCV(
                make_pipeline(mixed(one_hot()), LogisticRegression()), {"logisticregression__C": [0.1]}, cv=2
            ),
            threshold=0.4,
        ),
        CLASSES,
    ),
    "transformed target": (
        TransformedTargetRegressor(
            make_pipeline(mixed(one_hot()), Ridge()), func=np.sinh, inverse_func=np.arcsinh
        ),
        SCORE,
    ),
    "logarithms, support vectors": (
        make_pipeline(
            mixed(one_hot(), make_pipeline(SimpleImputer(), FunctionTransformer(np.arctan))), SVC()
        ),
        LEVELS,
    ),
}  # fmt: skip


def loaded(estimator: Any, columns: Sequence[ColumnSpec] = COLUMNS) -> LoadedModel:
    file = ModelFile(
        Path("model"),
        inputs=tuple(columns),
        n_inputs=len(columns),
        flavor="sklearn",
        serialization_format="skops",
        model_path="",
    )
    return prepare(file, estimator)


@cache
def planned(name: str) -> tuple[LoadedModel, FramePlan | None]:
    estimator, target = PLANNED[name]
    model = loaded(estimator.fit(FRAME, target))
    return model, make_frame_plan(model)


def answer(model: LoadedModel, rows: Any) -> Any:
    """All of an answer in bits, or what was raised instead."""
    try:
        found = model.predict(rows)
    except ValueError as error:
        return str(error)
    table = found.probabilities
    return repr(found.prediction), None if table is None else table.tobytes()


def framed(rows: Sequence[Sequence[Any]], columns: Sequence[ColumnSpec] = COLUMNS) -> Any:
    return build_frame(columns, {c.name: [row[i] for row in rows] for i, c in enumerate(columns)})


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "double": st.floats(-1e30, 1e30) | st.floats(0, 100) | st.none(),
    "long": st.integers(0, 6).map(float) | st.integers(-(2**62), 2**62).map(float) | st.none(),
    "boolean": st.booleans(),
    "string": st.sampled_from(["basic", "pro", "city 1", "city 2", "city 20", "nan", "", "pro\0"])
    | st.text(max_size=5)
    | st.none(),
    "datetime": st.integers(-(10**10), 10**10).map(lambda seconds: NEW_YEAR + timedelta(seconds=seconds))
    | st.none(),
}
ROW = st.tuples(*(VALUES[column.type] for column in COLUMNS))
KNOWN_ROW = st.integers(0, N_ROWS - 1).map(lambda i: tuple(DATA[column.name][i] for column in COLUMNS))


@pytest.mark.parametrize("name", PLANNED)
@settings(max_examples=EXAMPLES, deadline=None)
@given(rows=st.lists(KNOWN_ROW | ROW, min_size=1, max_size=4) | st.lists(KNOWN_ROW, min_size=1, max_size=90))
@pytest.mark.filterwarnings("ignore")
def test_a_plan_gives_the_same_bits(name: str, rows: list[Any]) -> None:
    model, plan = planned(name)
    assert plan is not None
    encoded = plan.encode(rows)
    if encoded is not None:
        model.frame_plan = plan
        assert answer(model, encoded) == answer(model, framed(rows))


@pytest.mark.parametrize("name", PLANNED)
@pytest.mark.filterwarnings("ignore")
def test_rows_of_the_training_data_need_no_frame(name: str) -> None:
    _, plan = planned(name)
    assert plan is not None
    rows = [row for row in zip(*DATA.values(), strict=True) if None not in row]
    assert all(plan.encode([row]) is not None for row in rows)


def own_function(frame: Any) -> Any:
    return frame.assign(age=frame["age"] * 2)


class Doubling(StandardScaler):  # type: ignore[misc]
    def transform(self, X: Any, copy: Any = None) -> Any:
        return 2 * super().transform(X)


NOT_PLANNED = {
    "text that is passed on": make_pipeline(
        ColumnTransformer([("keep", "passthrough", TEXTS)]),
        OneHotEncoder(handle_unknown="ignore"),
        LogisticRegression(),
    ),
    "a user's function before": make_pipeline(
        FunctionTransformer(own_function), mixed(one_hot()), LogisticRegression()
    ),
    "a user's function within": make_pipeline(
        mixed(one_hot(), make_pipeline(FunctionTransformer(own_function), SimpleImputer())),
        LogisticRegression(),
    ),
    "a transformer of the user's": make_pipeline(
        mixed(one_hot(), make_pipeline(SimpleImputer(), Doubling())), LogisticRegression()
    ),
    "an ensemble of pipelines": CalibratedClassifierCV(
        make_pipeline(mixed(one_hot()), LogisticRegression()), cv=2
    ),
}


@pytest.mark.parametrize("name", NOT_PLANNED)
@pytest.mark.filterwarnings("ignore")
def test_what_is_not_known_keeps_its_frame(name: str) -> None:
    assert make_frame_plan(loaded(NOT_PLANNED[name].fit(FRAME, CLASSES))) is None


def test_an_encoder_needs_no_column_transformer() -> None:
    columns = [column for column in COLUMNS if column.type == "string"]
    pipeline = make_pipeline(filled, StandardScaler(), LogisticRegression()).fit(FRAME[TEXTS], LEVELS)
    model = loaded(pipeline, columns)
    model.frame_plan = make_frame_plan(model)
    assert model.frame_plan is not None
    assert model.frame_plan.last.plan is not None
    for rows in ([("pro", "city 1")], [(None, "city 3"), ("new", ""), ("basic", "city 2")]):
        encoded = model.frame_plan.encode(rows)
        assert encoded is not None
        assert answer(model, encoded) == answer(model, framed(rows, columns))


@pytest.mark.filterwarnings("ignore:X has feature names")
def test_boosting_on_categories_that_are_numbers_needs_no_frame() -> None:
    columns = [ColumnSpec(name, "double", required=False) for name in ("age", "visits", "zone")]
    rows = [tuple(row) for row in FRAME[["age", "visits", "zone"]].to_numpy().tolist()]
    boosting = HistGradientBoostingClassifier(max_iter=6, categorical_features=[2]).fit(
        np.array(rows), CLASSES
    )
    model = loaded(boosting, columns)
    assert model.needs_frame
    model.frame_plan = make_frame_plan(model)
    assert model.frame_plan is not None
    for asked in (rows[:1], [(None, 3.0, 99.0)], rows[:50]):
        encoded = model.frame_plan.encode(asked)
        assert encoded is not None
        assert answer(model, encoded) == answer(model, framed(asked, columns))


def test_a_transformer_that_does_otherwise_than_its_kind_is_found_out() -> None:
    pipeline = make_pipeline(mixed(one_hot(sparse_output=False)), LogisticRegression()).fit(FRAME, CLASSES)
    scaler = pipeline[0].named_transformers_["numbers"][-1]
    original = scaler.transform
    scaler.transform = lambda X, copy=None: original(X) + 1e-9
    assert make_frame_plan(loaded(pipeline)) is None


def test_a_column_whose_missing_values_are_refused_is_left_to_scikit_learn() -> None:
    pipeline = make_pipeline(mixed(one_hot(), FunctionTransformer(np.arctan)), LogisticRegression())
    filled_frame = FRAME.assign(age=FRAME["age"].fillna(0))
    model = loaded(pipeline.fit(filled_frame, CLASSES))
    model.frame_plan = make_frame_plan(model)
    assert model.frame_plan is not None
    row = (None, 1.0, True, "pro", "city 1", 1.0, None)
    encoded = model.frame_plan.encode([row])
    assert encoded is None or answer(model, encoded) == answer(model, framed([row]))
    assert "NaN" in answer(model, framed([row]))
