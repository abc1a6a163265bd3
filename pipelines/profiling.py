"""The reference profile of a registered version from a file of data: for those that nobody here trained."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.data import read_table
from pipelines.score import features_of
from store.errors import ModelLoadError
from store.profile import FeatureKind, Profile, build_profile

if TYPE_CHECKING:
    from store.loaded_model import LoadedModel

_KINDS: dict[str, FeatureKind] = {
    "string": "categorical",
    "binary": "categorical",
    "any": "categorical",
    "boolean": "boolean",
    "datetime": "datetime",
}


def profile_file(
    model: LoadedModel, path: Path, *, redact: Collection[str] = (), ordered_by_time: bool = False
) -> Profile:
    """Profile the rows of `path`, which the model predicts; further columns are ignored.

    Raises DataError for columns that are missing or mistyped, ModelLoadError where the model fails on them.
    """
    X = features_of(model, read_table(path), path)
    try:
        answer = model.predict(X)
    except Exception as error:  # whatever somebody else's estimator raises
        text = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelLoadError(f"the model failed on rows of {path}: {text}", "Compare its columns.") from error
    scores: Any = answer.probability if answer.probability is not None else answer.probabilities
    return build_profile(
        {name: X[name] for name in model.names},
        {column.name: _KINDS.get(column.type, "numeric") for column in model.columns},
        answer.prediction,
        task=model.task,
        classes=model.classes,
        scores=scores,
        ordered_by_time=ordered_by_time,
        redact=redact,
    )
