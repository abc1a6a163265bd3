"""Builds the one scikit-learn Pipeline that goes from raw columns to a prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelines.columns import ColumnGuess, Kind, TaskName, infer_kinds
from pipelines.estimators import DEFAULT, check_task, make_estimator, needs_scaling, takes_missing
from pipelines.settings import PipelineSettings
from pipelines.user_module import UserModule, apply_features, call_build
from store.errors import TrainingError

if TYPE_CHECKING:
    import pandas as pd

MAX_CATEGORIES = 50
"""Categories with a column of their own when one-hot encoded; the rarest share one."""
_MAX_ORDINAL = 250


@dataclass(frozen=True)
class ModelColumns:
    """The columns that the estimator's part of the Pipeline sees, by how they are prepared."""

    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    datetime: tuple[str, ...]
    with_missing: frozenset[str]

    @property
    def is_plain(self) -> bool:
        """Numbers only: no ColumnTransformer is needed."""
        return not self.categorical and not self.datetime


def sort_columns(
    frame: pd.DataFrame, kinds: Mapping[str, ColumnGuess], wanted: Sequence[str]
) -> ModelColumns:
    """Say for each wanted column of the frame how it is prepared."""
    import pandas as pd

    groups: dict[str, list[str]] = {"numeric": [], "categorical": [], "datetime": []}
    for name in wanted:
        groups[_preparation(kinds[name].kind, frame[name].dtype, pd)].append(name)
    missing = frozenset(name for name in wanted if frame[name].isna().any())
    return ModelColumns(
        tuple(groups["numeric"]), tuple(groups["categorical"]), tuple(groups["datetime"]), missing
    )


def build_pipeline(
    settings: PipelineSettings,
    task: TaskName,
    frame: pd.DataFrame,
    kinds: Mapping[str, ColumnGuess],
    user: UserModule | None,
) -> tuple[Any, Any, list[str]]:
    """The unfitted Pipeline, its final estimator, and notes on columns left out behind `features()`.

    `frame` holds the raw feature columns of the training rows. Raises TrainingError and UserCodeError.
    """
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import FunctionTransformer

    steps: list[tuple[str, Any]] = []
    notes: list[str] = []
    wanted = [str(name) for name in frame.columns]
    if user is not None and user.features is not None:
        frame = apply_features(user, frame)
        if len(set(map(str, frame.columns))) < len(frame.columns):
            raise TrainingError(f"features() in {user.path} returns two columns of one name", "Rename one.")
        steps.append(("features", FunctionTransformer(user.features)))
        guesses = infer_kinds(frame)
        wanted, notes = choose_features(guesses, list(guesses), explicit=False)
        kinds = guesses
    if user is not None and user.build is not None:
        estimator = call_build(user, settings.params)
        check_task(estimator, f"what build() in {user.path} returns", task == "regression")
        _seed(estimator, settings.split.seed)
        if isinstance(estimator, Pipeline):
            pipeline = Pipeline([*steps, *estimator.steps]) if steps else estimator
            return pipeline, pipeline.steps[-1][1], notes
    else:
        estimator = make_estimator(settings.estimator or DEFAULT, task, settings.params, settings.split.seed)
    if not wanted:
        raise TrainingError("no column is left to learn from", "Name them in `features`, or mend the data.")
    columns = sort_columns(frame, kinds, wanted)
    if columns.is_plain and len(wanted) == frame.shape[1]:
        steps += _plain_steps(columns, estimator)
    else:
        steps.append(("prepare", _column_transformer(columns, estimator)))
    steps.append(("model", estimator))
    return Pipeline(steps), estimator, notes


def choose_features(
    guesses: Mapping[str, ColumnGuess], candidates: Sequence[str], *, explicit: bool
) -> tuple[list[str], list[str]]:
    """Columns to learn from, and a note for each candidate left out; named columns are never left out."""
    if explicit:
        return list(candidates), []
    chosen, notes = [], []
    for name in candidates:
        guess = guesses[name]
        if guess.kind in ("id", "text", "constant"):
            notes.append(f"column {name!r} left out: {guess.kind} ({guess.reason})")
        else:
            chosen.append(name)
    return chosen, notes


def _preparation(kind: Kind, dtype: Any, pd: Any) -> str:
    if kind == "datetime" and pd.api.types.is_datetime64_any_dtype(dtype):
        return "datetime"
    if pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_bool_dtype(dtype):
        return "numeric"
    return "categorical"


def _plain_steps(columns: ModelColumns, estimator: Any) -> list[tuple[str, Any]]:
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import StandardScaler

    steps: list[tuple[str, Any]] = []
    if columns.with_missing and not takes_missing(estimator):
        steps.append(("imputer", SimpleImputer(strategy="median", keep_empty_features=True)))
    if needs_scaling(estimator):
        steps.append(("scaler", StandardScaler()))
    return steps


def _column_transformer(columns: ModelColumns, estimator: Any) -> Any:
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

    from pipelines.transforms import DatetimeParts

    branches: list[tuple[str, Any, list[str]]] = []
    if columns.categorical:
        # First, so that their positions are known to an estimator that is told which inputs are categories.
        branches.append(("categorical", _encoder(columns, estimator), list(columns.categorical)))
    if columns.numeric:
        steps = _plain_steps(columns, estimator)
        branches.append(("numeric", Pipeline(steps) if steps else "passthrough", list(columns.numeric)))
    if columns.datetime:
        steps = [("parts", DatetimeParts()), *_plain_steps(columns, estimator)]
        branches.append(("datetime", Pipeline(steps), list(columns.datetime)))
    return ColumnTransformer(branches, verbose_feature_names_out=False)


def _encoder(columns: ModelColumns, estimator: Any) -> Any:
    """Codes for histogram boosting, which splits on categories itself; one column a category for the rest."""
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

    if type(estimator).__name__.startswith("HistGradientBoosting"):
        if estimator.categorical_features in (None, "from_dtype"):
            estimator.set_params(categorical_features=list(range(len(columns.categorical))))
        return OrdinalEncoder(
            handle_unknown="use_encoded_value",
            unknown_value=-1,
            encoded_missing_value=-1,
            max_categories=_MAX_ORDINAL,
        )
    # Two imputers, because a missing value arrives as NaN from a file and as None from JSON.
    return Pipeline(
        [
            ("nan", SimpleImputer(strategy="constant", fill_value="missing", keep_empty_features=True)),
            ("none", SimpleImputer(missing_values=None, strategy="constant", fill_value="missing")),
            (
                "encoder",
                OneHotEncoder(
                    handle_unknown="infrequent_if_exist", max_categories=MAX_CATEGORIES, sparse_output=False
                ),
            ),
        ]
    )


def _seed(estimator: Any, seed: int) -> None:
    """Set every `random_state` that the user's build left open."""
    if not hasattr(estimator, "get_params"):
        return
    open_states = {
        name: seed
        for name, value in estimator.get_params(deep=True).items()
        if name.rpartition("__")[2] == "random_state" and value is None
    }
    if open_states:
        estimator.set_params(**open_states)
