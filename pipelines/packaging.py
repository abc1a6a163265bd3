"""What goes with a model into its folder: signature, example, metadata, code, the types it is made of."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.prepare import Prepared
from pipelines.settings import PipelineSettings
from pipelines.user_module import UserModule
from store.skops_types import SKOPS_TYPES

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 1
_EXAMPLE_ROWS = 3


def make_signature(prepared: Prepared) -> Any:
    """MLflow's signature: numbers are double, and a column is optional where training had it missing."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    rows = prepared.X_train
    inputs = [
        ColSpec(_mlflow_type(rows[name]), name, required=not bool(rows[name].isna().any()))
        for name in prepared.features
    ]
    kind = {"f": "double", "i": "long", "b": "boolean", "U": "string"}[prepared.labels.dtype.kind]
    return ModelSignature(inputs=Schema(inputs), outputs=Schema([ColSpec(kind)]))


def make_example(prepared: Prepared, redact: Collection[str]) -> pd.DataFrame:
    """A few training rows, those without gaps first; redacted columns hold a middle value or a word."""
    rows = prepared.X_train
    whole = rows.head(1000).dropna()
    example = (whole if len(whole) >= _EXAMPLE_ROWS else rows).head(_EXAMPLE_ROWS).reset_index(drop=True)
    for name in example.columns:
        if name in redact:
            kind = _mlflow_type(rows[name])
            if kind == "string":
                example[name] = "redacted"
            else:
                example[name] = rows[name].mode().iloc[0] if kind == "boolean" else rows[name].median()
    return example


def make_metadata(
    pipeline: str,
    settings: PipelineSettings,
    prepared: Prepared,
    threshold: float | None,
    user: UserModule | None,
) -> dict[str, Any]:
    """What the server needs beyond the signature, under `workbench` in the MLmodel file."""
    columns: dict[str, dict[str, Any]] = {}
    rows = prepared.X_train
    for name in prepared.features:
        rule = settings.columns.get(name)
        given = {} if rule is None else rule.model_dump(mode="json", exclude_none=True)
        nullable = bool(rows[name].isna().any())
        kind = _log_kind(rows[name])
        if kind == "numeric" and prepared.kinds[name].kind == "boolean":
            kind = "boolean"  # true and false with gaps: numbers to the model, not to whoever asks it
        columns[name] = {"kind": kind, **given, "null": given.get("null", nullable)}
    metadata: dict[str, Any] = {
        "format": FORMAT,
        "pipeline": pipeline,
        "task": prepared.task,
        "target": settings.target,
        "classes": list(prepared.classes) or None,
        "threshold": threshold,
        "features": list(prepared.features),
        "columns": columns,
    }
    if user is not None:
        metadata["code_sha256"] = user.sha256
        metadata["module"] = user.name
    return {"workbench": metadata}


def profile_kinds(prepared: Prepared) -> dict[str, str]:
    """Each feature's kind as the reference profile counts it."""
    rows = prepared.X_train
    return {name: _log_kind(rows[name]) for name in prepared.features}


def code_paths(model: Any, user: UserModule | None, folder: Path) -> list[Path]:
    """Copies of the code files a fitted model needs to load: the user's module with those beside it that it
    imports, and our transformers."""
    paths = []
    if user is not None:
        for name, source in user.sources.items():
            path = folder / f"{name}.py"
            path.write_bytes(source)
            paths.append(path)
    if _uses_transforms(model):
        from pipelines import transforms

        package = folder / "pipelines"
        package.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(str(transforms.__file__), package / "transforms.py")
        paths.append(package)
    return paths


def types_in(model: Any, allowed: Sequence[str]) -> tuple[list[str], list[str]]:
    """Types of a fitted model that skops does not trust by itself: those allowed here, and the others."""
    import skops.io

    found = set(skops.io.get_untrusted_types(data=skops.io.dumps(_thinned(model))))
    trusted = SKOPS_TYPES | set(allowed)
    return sorted(found & trusted), sorted(found - trusted)


def step_modules(model: Any) -> list[str]:
    """Modules that the pipeline's steps come from, for the requirements."""
    return sorted({type(step).__module__ for _, step in getattr(model, "steps", [])})


def _mlflow_type(column: pd.Series[Any]) -> str:
    import pandas as pd

    if pd.api.types.is_bool_dtype(column.dtype):
        return "boolean"
    if pd.api.types.is_numeric_dtype(column.dtype):
        return "double"
    return "datetime" if pd.api.types.is_datetime64_any_dtype(column.dtype) else "string"


def _log_kind(column: pd.Series[Any]) -> str:
    return {"boolean": "boolean", "double": "numeric", "datetime": "datetime", "string": "categorical"}[
        _mlflow_type(column)
    ]


def _uses_transforms(model: Any) -> bool:
    """Whether a step, however deep, is one of ours."""
    if type(model).__module__ == "pipelines.transforms":
        return True
    inner = [step for _, step in getattr(model, "steps", [])]
    inner += [entry[1] for entry in getattr(model, "transformers_", [])]
    return any(_uses_transforms(step) for step in inner)


def _thinned(model: Any) -> Any:
    """A shallow copy in which an ensemble keeps two of its equal members: the same types in less time."""
    if hasattr(model, "steps"):
        thin = copy.copy(model)
        thin.steps = [(name, _thinned(step)) for name, step in model.steps]
        return thin
    if hasattr(model, "estimator_"):
        thin = copy.copy(model)
        thin.estimator_ = _thinned(model.estimator_)
        return thin
    members = getattr(model, "estimators_", None)
    if members is not None and len(members) > 2 and len({type(member) for member in np.ravel(members)}) == 1:
        thin = copy.copy(model)
        thin.estimators_ = members[:2]
        return thin
    rounds = getattr(model, "_predictors", None)
    if isinstance(rounds, list) and len(rounds) > 2:
        thin = copy.copy(model)
        thin._predictors = rounds[:2]
        return thin
    return model


def settings_document(settings: PipelineSettings, extra: Mapping[str, Any]) -> dict[str, Any]:
    """The effective settings of a training, as an artifact."""
    return {**settings.model_dump(mode="json"), **extra}
