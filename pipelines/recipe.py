"""What made a run: settings, data, code and packages, read back from what its training logged."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from pipelines.searching import SEARCH_FILE
from pipelines.settings import PipelineSettings
from pipelines.siblings import BETWEEN, named_back
from store.errors import DataError, NotFoundError

if TYPE_CHECKING:
    from store.runs import Run, RunStore

_MODULE = re.compile(r"(?:^|/)code/(wb_[a-z0-9_]+_[0-9a-f]{12})\.py$")


@dataclass(frozen=True)
class RecipeFile:
    """One data file as the training read it; `path` is relative to the project unless it lay outside."""

    path: str
    sha256: str
    rows: int
    bytes: int
    md5: str | None = None
    """Where the content is kept in the project's cache of data; None of runs that kept none."""


@dataclass(frozen=True)
class Recipe:
    """All that a run was made from."""

    run: Run
    pipeline: str
    settings: PipelineSettings
    digest: str
    """The dataset version."""
    files: tuple[RecipeFile, ...]
    """In the order in which their rows were stacked."""
    schema: Mapping[str, str]
    packages: Mapping[str, str]
    """Every package that was installed, and `python`, with its version."""
    module: bytes | None
    """Content of the user's own module."""
    module_name: str | None
    siblings: Mapping[str, bytes]
    """Content of the files beside the module that it imports, by the names it calls them."""
    commit: str | None
    uncommitted_diff: str | None
    found_params: Mapping[str, Any]
    """What a search found; it is among the settings too, and done again when the run is made again."""


def read_recipe(runs: RunStore, run: Run) -> Recipe:
    """The recipe of a run that `workbench train` made.

    Raises NotFoundError where the run has none, because a script of somebody's logged it, and DataError
    where it can't be read.
    """
    artifacts = set(runs.artifacts(run.run_id))
    missing = [
        name for name in ("settings.json", "dataset.json", "environment.json") if name not in artifacts
    ]
    if missing:
        raise NotFoundError(
            f"run {run.name} has no {missing[0]}: workbench did not train it, or not to the end",
            "Only runs of workbench train can be made again.",
        )
    settings = _read_json(runs, run, "settings.json")
    manifest = _read_json(runs, run, "dataset.json")
    pipeline = str(settings.pop("pipeline", run.experiment))
    settings.pop("data_read", None)
    known = {name: value for name, value in settings.items() if name in PipelineSettings.model_fields}
    module = next((match for match in map(_MODULE.search, sorted(artifacts)) if match), None)
    beside = {} if module is None else _beside(artifacts, module.string)
    try:
        return Recipe(
            run=run,
            pipeline=pipeline,
            settings=PipelineSettings.model_validate(known),
            digest=str(manifest["digest"]),
            files=tuple(
                RecipeFile(
                    str(file["path"]),
                    str(file["sha256"]),
                    int(file["rows"]),
                    int(file["bytes"]),
                    file.get("md5"),
                )
                for file in manifest["files"]
            ),
            schema=manifest["schema"],
            packages=_read_json(runs, run, "environment.json"),
            module=None if module is None else named_back(_read(runs, run, module.string), module[1]),
            module_name=None if module is None else module[1],
            siblings={}
            if module is None
            else {stem: named_back(_read(runs, run, name), module[1]) for stem, name in beside.items()},
            commit=run.tags.get("mlflow.source.git.commit") or None,
            uncommitted_diff=_read(runs, run, "uncommitted.diff").decode("utf-8", "replace")
            if "uncommitted.diff" in artifacts
            else None,
            found_params=_read_json(runs, run, SEARCH_FILE)["best"]["params"]
            if SEARCH_FILE in artifacts
            else {},
        )
    except (ValidationError, KeyError, TypeError, ValueError) as error:
        text = str(error).splitlines()[0]
        raise DataError(
            f"what run {run.name} was made from cannot be read: {text}", "Was an artifact changed by hand?"
        ) from error


def write_module(recipe: Recipe, folder: Path, stem: str) -> Path | None:
    """Write the user's module as STEM.py into a folder, the files that it imports beside it; its path."""
    if recipe.module is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in {**recipe.siblings, stem: recipe.module}.items():
        (folder / f"{name}.py").write_bytes(content)
    return folder / f"{stem}.py"


def place_files(
    recipe: Recipe, root: Path, folder: Path, restore: Callable[[RecipeFile], Path | None]
) -> list[Path]:
    """Put the exact content of every data file into `folder`, in the recipe's order; the copies' paths.

    Content comes from where it was read, where that still has it, else from `restore`, which gives a file
    of that content or None. Raises NotFoundError naming what is gone everywhere.
    """
    placed: list[Path] = []
    folder.mkdir(parents=True, exist_ok=True)
    gone: list[str] = []
    for position, file in enumerate(recipe.files):
        source = _unchanged(root / file.path, file) or restore(file)
        if source is None:
            gone.append(file.path)
            continue
        target = folder / f"{position:06d}-{Path(file.path).name}"
        try:
            shutil.copyfile(source, target)
        except OSError as error:
            raise DataError(
                f"cannot copy {source}: {error.strerror}", "Free the disk and try again."
            ) from error
        placed.append(target)
    if gone:
        more = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
        raise NotFoundError(
            f"what the run read from {gone[0]}{more} is gone: it was changed, and no copy was kept",
            "Put the file back as it was, or fetch the data version: workbench data pull.",
        )
    return placed


def package_differences(
    recipe: Recipe, installed: Mapping[str, str]
) -> dict[str, tuple[str | None, str | None]]:
    """Packages that bear on a fit whose version (then, now) differs."""
    names = [*_BEARING, *_model_packages(recipe)]
    found = {}
    for name in dict.fromkeys(names):
        then, now = recipe.packages.get(name), installed.get(name)
        if then != now:
            found[name] = (then, now)
    return found


_BEARING = (
    "python", "scikit-learn", "numpy", "scipy", "pandas", "pyarrow", "joblib", "threadpoolctl", "skops",
    "mlflow", "workbench",
)  # fmt: skip


def _model_packages(recipe: Recipe) -> Sequence[str]:
    """The package of an estimator given by dotted path."""
    top = (recipe.settings.estimator or "").partition(".")
    return [top[0].replace("_", "-").lower()] if top[2] and top[0] != "sklearn" else []


def _beside(artifacts: Collection[str], path: str) -> dict[str, str]:
    """The artifacts that are files beside the module, by the names that it calls them."""
    prefix = f"{path.removesuffix('.py')}{BETWEEN}"
    return {
        name.removeprefix(prefix).removesuffix(".py"): name for name in artifacts if name.startswith(prefix)
    }


def _unchanged(path: Path, file: RecipeFile) -> Path | None:
    try:
        if path.stat().st_size != file.bytes:
            return None
        with path.open("rb") as content:
            return path if hashlib.file_digest(content, "sha256").hexdigest() == file.sha256 else None
    except OSError:
        return None


def _read(runs: RunStore, run: Run, name: str) -> bytes:
    path = runs.artifact_path(run.run_id, name)
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}", "Check the store with doctor.") from error


def _read_json(runs: RunStore, run: Run, name: str) -> dict[str, Any]:
    try:
        document = json.loads(_read(runs, run, name))
    except ValueError as error:
        raise DataError(
            f"{name} of run {run.name} is damaged: {error}", "Restore it from a backup."
        ) from error
    if not isinstance(document, dict):
        raise DataError(f"{name} of run {run.name} is damaged", "Restore it from a backup.")
    return document
