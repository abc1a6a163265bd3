"""The reference profile of a registered version from a file of data: for those that nobody here trained."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.data import read_table
from pipelines.drift.own_reference import with_own_reference
from pipelines.score import features_of
from store.errors import DataError, ModelLoadError
from store.profile import FeatureKind, Profile, build_profile

if TYPE_CHECKING:
    import pandas as pd

    from store.loaded_model import LoadedModel, Predictions

_KINDS: dict[str, FeatureKind] = {
    "string": "categorical",
    "binary": "categorical",
    "any": "categorical",
    "boolean": "boolean",
    "datetime": "datetime",
}


def profile_file(
    model: LoadedModel,
    path: Path,
    *,
    target: str | None = None,
    redact: Collection[str] = (),
    ordered_by_time: bool = False,
    segments: Sequence[str] = (),
) -> Profile:
    """Profile the rows of `path`, which the model predicts; further columns are ignored.

    `segments` are columns whose values make parts that windows are compared with. With the column `target`,
    how good the answers are is kept too: rows that the model has learnt from make it look better than it is.
    Raises DataError for columns that are missing or mistyped, ModelLoadError where the model fails on them.
    """
    frame = read_table(path)
    if target is not None and target not in frame.columns:
        raise DataError(f"{path} has no column {target!r}", f"It has {', '.join(map(str, frame.columns))}.")
    X = features_of(model, frame, path)
    try:
        answer = model.predict(X)
    except Exception as error:  # whatever somebody else's estimator raises
        text = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelLoadError(f"the model failed on rows of {path}: {text}", "Compare its columns.") from error
    scores: Any = answer.probability if answer.probability is not None else answer.probabilities
    columns = {name: X[name] for name in model.names}
    profile = build_profile(
        columns,
        {column.name: _KINDS.get(column.type, "numeric") for column in model.columns},
        answer.prediction,
        task=model.task,
        classes=model.classes,
        scores=scores,
        ordered_by_time=ordered_by_time,
        redact=redact,
    )
    profile = with_own_reference(profile, columns, answer.prediction, scores, segments=segments)
    if target is None:
        return profile
    return replace(profile, performance=_performance(model, answer, frame[target], profile))


def _performance(
    model: LoadedModel, answer: Predictions, truth: pd.Series[Any], profile: Profile
) -> dict[str, Any]:
    """What the log's labels are held against; rows whose truth is missing or no class are left out."""
    import numpy as np

    from pipelines.metrics import Scores
    from pipelines.performance.reference import reference_of
    from store.counts import as_texts

    if model.task == "regression":
        actual = np.array([np.nan if v is None else float(v) for v in as_texts(truth)])
        return reference_of(
            "regression", actual, Scores(np.asarray(answer.prediction, float)), None
        ).as_json()
    places = {text: place for place, text in enumerate(profile.prediction.categories)}
    codes = np.array([places.get(text or "", -1) for text in as_texts(truth)])
    predicted = np.array([places.get(text or "", -1) for text in as_texts(answer.prediction)])
    matrix = answer.probabilities
    if answer.probability is not None:
        matrix = np.column_stack([1 - answer.probability, answer.probability])
    known = (codes >= 0) & (predicted >= 0)
    scores = Scores(predicted, matrix).rows(known)
    return reference_of(model.task, codes[known], scores, profile.prediction.categories).as_json()
