"""Takes a fitted estimator apart: what turns a table of mixed columns into numbers, what predicts on those.

Only parts of scikit-learn whose doings are known are taken apart; whatever else sits among them, a user's
own function for instance, leaves the whole to scikit-learn and its data frame.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from store.estimator_parts import answers_with_frames, needs_column_names, walk
from store.model_files import ColumnSpec

_ENCODERS = ("OneHotEncoder", "OrdinalEncoder", "TargetEncoder")
_BY_COLUMN = (
    *_ENCODERS,
    "SimpleImputer",
    "StandardScaler",
    "MinMaxScaler",
    "MaxAbsScaler",
    "RobustScaler",
    "VarianceThreshold",
    "SelectKBest",
    "SelectPercentile",
)
"""Transformers each of whose outputs depends on one column of one row alone."""
_OF_NAMES = ("feature_names_in_", "_sklearn_output_config")
"""What an estimator knows of columns' names, and of answering with a frame."""


@dataclass(frozen=True)
class Branch:
    """Columns that go through some transformers together, and where their results are among all."""

    places: tuple[int, ...]
    """Positions of the columns among the model's."""
    steps: tuple[Any, ...]
    """Fitted transformers, in order."""
    outputs: slice

    @property
    def is_categorical(self) -> bool:
        return any(type(step).__name__ in _ENCODERS for step in self.steps)

    @property
    def is_by_column(self) -> bool:
        """Whether every result follows from one column, so that it can be looked up by its value."""
        return all(_is_sklearn(step) and type(step).__name__ in _BY_COLUMN for step in self.steps)


@dataclass(frozen=True)
class Parts:
    """An estimator in two parts: `first` takes the frame, `last` takes the array that `first` makes of it."""

    first: Any
    """Has transform(); None where the columns are the array as they are."""
    last: Any
    branches: tuple[Branch, ...]
    width: int
    """Columns of the array."""
    is_sparse: bool
    """Whether scikit-learn hands the array on as a sparse matrix."""


def take_apart(estimator: Any, columns: Sequence[ColumnSpec]) -> Parts | None:
    """The parts of an estimator that takes these columns; None where it isn't made of known ones."""
    found = _split(estimator)
    if found is None:
        return None
    transformers, final = found
    while transformers and transformers[0] in (None, "passthrough"):
        transformers = transformers[1:]
    last = _last_of_frame(transformers)
    if last == 0:
        places = tuple(range(len(columns)))
        branch = Branch(places, (), slice(0, len(columns)))
        return Parts(None, _array_part(transformers, final), (branch,), len(columns), is_sparse=False)
    first = transformers[0] if last == 1 else _chained(transformers[:last])
    branches = _branches_of(transformers[:last], columns)
    if branches is None:
        return None
    end = _array_part(transformers[last:], final)
    if end is None:
        return None
    width = _width_of(first, transformers[last - 1])
    # A ColumnTransformer knows; an encoder by itself says so by its setting.
    own = transformers[last - 1]
    is_sparse = bool(getattr(own, "sparse_output_", getattr(own, "sparse_output", False)))
    if width is None:
        return None
    whole = tuple(
        Branch(b.places, b.steps, slice(0, width)) if b.outputs.stop is None else b for b in branches
    )
    return Parts(first, end, whole, width, is_sparse)


def is_transformer_of(step: Any, name: str) -> bool:
    """Whether it is scikit-learn's own class of this name, not a subclass with ideas of its own."""
    return type(step).__name__ == name and _is_sklearn(step)


def is_dates(step: Any) -> bool:
    """Whether it is the transformer that workbench's own pipelines put before columns of times."""
    return type(step).__name__ == "DatetimeParts" and type(step).__module__ == "pipelines.transforms"


def without_names(estimator: Any) -> Any | None:
    """A copy that takes bare arrays without a warning; None where its inner parts would warn still."""
    if not any(_has_names(part) for part in walk(estimator)):
        return estimator
    bare = _copied(estimator)
    if type(bare).__name__ == "Pipeline":
        bare.steps = [(name, _copied(step)) for name, step in bare.steps]
    return None if any(_has_names(part) for part in walk(bare)) else bare


def _copied(step: Any) -> Any:
    if isinstance(step, str) or step is None:
        return step
    bare = copy.copy(step)
    for name in _OF_NAMES:
        vars(bare).pop(name, None)
    return bare


def _has_names(part: Any) -> bool:
    return hasattr(part, "feature_names_in_") or answers_with_frames(part)


def _is_sklearn(step: Any) -> bool:
    return type(step).__module__.startswith("sklearn.")


def _split(estimator: Any) -> tuple[list[Any], Any] | None:
    """The transformers in order, and what predicts on their results."""
    if is_transformer_of(estimator, "Pipeline"):
        transformers: list[Any] = []
        for _, step in estimator.steps[:-1]:
            transformers += _flat(step)
        inner = _split(estimator.steps[-1][1])
        return None if inner is None else ([*transformers, *inner[0]], inner[1])
    for kind, name in (
        ("FixedThresholdClassifier", "estimator_"),
        ("TunedThresholdClassifierCV", "estimator_"),
        ("TransformedTargetRegressor", "regressor_"),
    ):
        if is_transformer_of(estimator, kind):
            inner = _split(getattr(estimator, name))
            if inner is None or not inner[0]:
                return inner and ([], estimator)
            wrapper = copy.copy(estimator)
            setattr(wrapper, name, inner[1])
            setattr(wrapper, name.removesuffix("_"), inner[1])
            return inner[0], wrapper
    if _is_sklearn(estimator) and hasattr(estimator, "best_estimator_"):
        return _split(estimator.best_estimator_)
    return [], estimator


def _flat(step: Any) -> list[Any]:
    if is_transformer_of(step, "Pipeline"):
        return [part for _, inner in step.steps for part in _flat(inner)]
    return [] if step is None or (isinstance(step, str) and step == "passthrough") else [step]


def _chained(steps: Sequence[Any]) -> Any:
    from sklearn.pipeline import Pipeline

    return Pipeline([(str(position), step) for position, step in enumerate(steps)])


def _last_of_frame(transformers: Sequence[Any]) -> int:
    """How many of the first transformers take mixed columns; those that follow take numbers."""
    for position in range(len(transformers), 0, -1):
        kind = type(transformers[position - 1]).__name__
        if kind in (*_ENCODERS, "ColumnTransformer", "DatetimeParts"):
            return position
    return 0


def _array_part(transformers: Sequence[Any], final: Any) -> Any | None:
    """What takes the array: the rest of the pipeline, freed of column names."""
    from sklearn.pipeline import Pipeline

    end = final
    if transformers:
        end = Pipeline([*((str(p), step) for p, step in enumerate(transformers)), ("last", final)])
    end = without_names(end)
    if end is None or any(not _takes_arrays(step) for step in (*transformers, final)):
        return None
    return end


def _takes_arrays(step: Any) -> bool:
    if type(step).__name__.startswith("HistGradientBoosting"):
        return _is_sklearn(step)  # the frame that a part of it looks at is one it has made itself
    bare = _copied(step)
    return not needs_column_names(bare)


def _branches_of(transformers: Sequence[Any], columns: Sequence[ColumnSpec]) -> tuple[Branch, ...] | None:
    if not is_transformer_of(transformers[-1], "ColumnTransformer"):
        places = tuple(range(len(columns)))
        return (Branch(places, tuple(transformers), slice(0, None)),)
    if len(transformers) > 1:
        return None
    whole = transformers[0]
    places_of = getattr(whole, "_transformer_to_input_indices", None)
    learned = getattr(whole, "feature_names_in_", None)
    if not isinstance(places_of, dict):
        return None
    names = [column.name for column in columns]
    order = range(len(columns)) if learned is None else _places(names, [str(name) for name in learned])
    if order is None:
        return None
    branches = []
    for name, transformer, _ in whole.transformers_:
        if isinstance(transformer, str) and transformer == "drop":
            continue
        places = tuple(order[place] for place in places_of.get(name, ()))
        if not places:
            continue
        steps = tuple(_flat(transformer))
        branches.append(Branch(places, steps, whole.output_indices_[name]))
    return tuple(branches)


def _places(names: Sequence[str], learned: Sequence[str]) -> list[int] | None:
    at = {name: place for place, name in enumerate(names)}
    return [at[name] for name in learned] if all(name in at for name in learned) else None


def _width_of(first: Any, own: Any) -> int | None:
    ends = getattr(own, "output_indices_", None)
    if ends is not None:
        return max((part.stop for part in ends.values()), default=0) or None
    try:
        return len(first.get_feature_names_out())
    except (ValueError, AttributeError, TypeError):
        return None
