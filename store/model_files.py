"""Reads the folder of a logged MLflow model without MLflow, and loads the model in it when that is safe."""

from __future__ import annotations

import json
import platform
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from store.errors import ModelLoadError

if TYPE_CHECKING:
    from store.layout import Layout
    from store.loaded_model import LoadedModel

MODEL_FILE = "MLmodel"
NUMERIC_TYPES = frozenset({"double", "float", "long", "integer"})
"""Column types of an MLflow signature that are numbers."""


@dataclass(frozen=True)
class ColumnSpec:
    """One column of the signature. `type` is MLflow's word: double, float, long, integer, string, boolean,
    datetime or binary; `required` is false where the training data had missing values."""

    name: str
    type: str
    required: bool

    @property
    def is_numeric(self) -> bool:
        return self.type in NUMERIC_TYPES


@dataclass(frozen=True)
class ModelFile:
    """What MLmodel and requirements.txt say about a model, whoever logged it."""

    path: Path
    inputs: tuple[ColumnSpec, ...] | None
    """Columns of the signature; None for a tensor signature or none at all."""
    n_inputs: int | None
    """Number of features: of the columns, or the width of a tensor signature."""
    flavor: str
    """`sklearn`, or the first other flavor (`xgboost`, `python_function`…)."""
    serialization_format: str
    """`skops`, `cloudpickle` or `pickle`; empty for other flavors."""
    model_path: str
    """File of the estimator within `path`."""
    input_dtype: str = "float64"
    """Element type of a tensor signature."""
    predict_fn: str = "predict"
    """Method of the estimator whose answer MLflow's own prediction gives."""
    python_version: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    """Packages pinned in requirements.txt, by normalised name."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """What workbench's training wrote under `workbench`; empty for a plain MLflow model."""
    run_id: str | None = None
    model_id: str | None = None
    code_dir: Path | None = None
    """Folder of code files logged with the model, where there are any."""
    example_path: Path | None = None
    """The stored input example (JSON)."""


def read_model_file(model_dir: Path) -> ModelFile:
    """Read what is known about the model in a folder; raises ModelLoadError when it isn't readable as one."""
    document = _read_mlmodel(model_dir / MODEL_FILE)
    flavors = document.get("flavors")
    if not isinstance(flavors, dict) or not flavors:
        raise ModelLoadError(f"{model_dir / MODEL_FILE} names no flavor", "Log the model again.")
    sklearn = flavors.get("sklearn")
    python_function = flavors.get("python_function") or {}
    others = [name for name in flavors if name != "python_function"]
    inputs, width, dtype = _read_signature(document.get("signature"), model_dir)
    code = (sklearn or {}).get("code") or python_function.get("code")
    code_dir = model_dir / code if code else None
    metadata = (document.get("metadata") or {}).get("workbench")
    example = (document.get("saved_input_example_info") or {}).get("artifact_path")
    return ModelFile(
        path=model_dir,
        inputs=inputs,
        n_inputs=width,
        input_dtype=dtype,
        flavor="sklearn" if sklearn else (others or ["python_function"])[0],
        serialization_format=str(
            (sklearn or {}).get("serialization_format") or ("pickle" if sklearn else "")
        ),
        model_path=str((sklearn or {}).get("pickled_model") or python_function.get("model_path") or ""),
        predict_fn=str(python_function.get("predict_fn") or "predict"),
        python_version=python_function.get("python_version"),
        versions=_read_requirements(model_dir / "requirements.txt"),
        metadata=metadata if isinstance(metadata, dict) else {},
        run_id=document.get("run_id"),
        model_id=document.get("model_id"),
        code_dir=code_dir if code_dir is not None and code_dir.is_dir() else None,
        example_path=model_dir / example if example and (model_dir / example).is_file() else None,
    )


def load_model(
    model_dir: Path, *, trusted_types: Collection[str] = (), layout: Layout | None = None
) -> LoadedModel:
    """Load the model in a folder, ready to predict.

    skops types are checked against the allow-list, `trusted_types` and what was trusted in the project at
    `layout`; a pickle and code files are loaded only when their SHA-256 was trusted there. Raises
    ModelLoadError saying what stands in the way and how to allow it.
    """
    from store.loaded_model import prepare
    from store.model_loading import load_estimator

    file = read_model_file(model_dir)
    return prepare(file, load_estimator(file, trusted_types=trusted_types, layout=layout))


def environment_differences(file: ModelFile) -> list[str]:
    """How this environment differs from the one the model was made in, one line a package.

    Python counts by minor version; packages that are installed in another version, or absent, are listed.
    """
    from importlib.metadata import PackageNotFoundError, version

    differences = []
    if file.python_version:
        here = platform.python_version()
        if file.python_version.split(".")[:2] != here.split(".")[:2]:
            differences.append(f"python {file.python_version} in training, {here} here")
    for package, trained in file.versions.items():
        try:
            installed = version(package)
        except PackageNotFoundError:
            differences.append(f"{package} {trained} in training, absent here")
            continue
        if installed != trained:
            differences.append(f"{package} {trained} in training, {installed} here")
    return differences


def _read_mlmodel(path: Path) -> dict[str, Any]:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        document = yaml.load(path.read_bytes(), Loader=loader)
    except FileNotFoundError as error:
        raise ModelLoadError(
            f"no model in {path.parent}: {path.name} is missing",
            "Its files were deleted or moved; register a run that still has them.",
        ) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ModelLoadError(
            f"cannot read {path}: {reason}", "Restore the file or log the model again."
        ) from error
    if not isinstance(document, dict):
        raise ModelLoadError(f"{path} is no MLmodel file", "Restore the file or log the model again.")
    return document


def _read_signature(signature: Any, model_dir: Path) -> tuple[tuple[ColumnSpec, ...] | None, int | None, str]:
    """Columns, width and tensor element type of the inputs, as far as the signature tells."""
    raw = signature.get("inputs") if isinstance(signature, dict) else None
    if not raw:
        return None, None, "float64"
    try:
        entries = json.loads(raw) if isinstance(raw, str) else raw
        if entries and entries[0]["type"] == "tensor":
            spec = entries[0]["tensor-spec"]
            shape = spec["shape"]
            width = int(shape[1]) if len(shape) == 2 and int(shape[1]) > 0 else None
            return None, width, str(spec["dtype"])
        columns = tuple(
            # A signature made from a list of unnamed columns has no names; MLflow numbers them.
            ColumnSpec(
                str(entry.get("name", position)), str(entry["type"]), bool(entry.get("required", True))
            )
            for position, entry in enumerate(entries)
        )
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise ModelLoadError(
            f"the signature in {model_dir / MODEL_FILE} can't be read: {error!r}", "Log the model again."
        ) from error
    return columns, len(columns), "float64"


def _read_requirements(path: Path) -> dict[str, str]:
    """Packages pinned with == by normalised name; what isn't a plain pin is left out."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    pins = {}
    for line in lines:
        name, separator, version = line.partition(";")[0].partition("==")
        if separator and version.strip():
            pins[name.partition("[")[0].strip().lower().replace("_", "-")] = version.strip()
    return pins
