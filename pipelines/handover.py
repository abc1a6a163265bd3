"""A run as a folder that trains the same model with nothing but scikit-learn and pandas."""

from __future__ import annotations

import json
import keyword
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.answers import ask_loaded
from pipelines.as_source import Source
from pipelines.build import build_pipeline
from pipelines.data import load_data
from pipelines.fitting import class_weights, make_fitter, with_threshold
from pipelines.prepare import Prepared, prepare
from pipelines.provenance import requirements
from pipelines.recipe import Recipe, RecipeFile, place_files, write_module
from pipelines.searching import set_parameters
from pipelines.siblings import BETWEEN
from pipelines.user_module import UserModule, load_user_module
from store.errors import DataError, NotFoundError, StorageError, UsageError

if TYPE_CHECKING:
    from store.loaded_model import LoadedModel

_TARGET = "__target__"
_MAX_REQUIREMENTS = ("scikit-learn", "numpy", "scipy", "pandas", "pyarrow", "joblib", "threadpoolctl")


def hand_over(
    recipe: Recipe,
    root: Path,
    folder: Path,
    *,
    model: LoadedModel | None,
    restore: Callable[[RecipeFile], Path | None],
) -> list[str]:
    """Write the folder and return the names of its files.

    `model` is the run's own; what it answers for the held-out rows is what the written script checks its
    own model against. Raises UsageError where the folder holds something, NotFoundError where data is gone.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there already and not empty", "Name a new folder.")
    if recipe.settings.module is not None and recipe.module is None:
        raise NotFoundError(
            f"the module {recipe.settings.module} that run {recipe.run.name} used is not kept with its model",
            "Only runs whose model was logged can be exported.",
        )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise StorageError(f"cannot write {folder}: {error.strerror}", "Choose another place.") from error
    try:
        _write(recipe, root, work, model, restore)
        work.chmod(0o755)
        if folder.exists():
            folder.rmdir()
        work.replace(folder)
    except OSError as error:
        raise StorageError(f"cannot write {folder}: {error.strerror}", "Free the disk.") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def _write(
    recipe: Recipe,
    root: Path,
    work: Path,
    model: LoadedModel | None,
    restore: Callable[[RecipeFile], Path | None],
) -> None:
    placed = place_files(recipe, root, work / "raw", restore)
    user, module_name = None, _module_name(recipe)
    module = write_module(recipe, work, module_name)
    if module is not None:
        user = load_user_module(module, recipe.pipeline)
    prepared = prepare(
        recipe.settings,
        load_data(placed, work).frame,
        has_features_function=user is not None and user.features is not None,
        is_lenient=True,  # the run had these rows, whatever rules were waived for it
    )
    _write_rows(prepared, work)
    (work / "train.py").write_text(_script(recipe, prepared, user, module_name), "utf-8")
    if "DatetimeParts" in (work / "train.py").read_text("utf-8"):
        from pipelines import transforms

        shutil.copyfile(str(transforms.__file__), work / "transforms.py")
    if model is not None:
        _write_answers(prepared, model, work)
    manifest = {
        "digest": recipe.digest,
        "schema": dict(recipe.schema),
        "files": [
            {"path": file.path, "copy": str(copy.relative_to(work)), "sha256": file.sha256, "rows": file.rows}
            for file, copy in zip(recipe.files, placed, strict=True)
        ],
    }
    documents: dict[str, Any] = {
        "data.json": manifest,
        "metrics.json": dict(recipe.run.metrics),
        "settings.json": {"pipeline": recipe.pipeline, **recipe.settings.model_dump(mode="json")},
        "environment.json": dict(recipe.packages),
        "code.json": {"commit": recipe.commit, "uncommitted": recipe.uncommitted_diff is not None},
    }
    for name, document in documents.items():
        (work / name).write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")
    if recipe.uncommitted_diff:
        (work / "uncommitted.diff").write_text(recipe.uncommitted_diff, "utf-8")
    (work / "requirements.txt").write_text("\n".join(_requirements(recipe)) + "\n", "utf-8")
    (work / "README.md").write_text(_readme(recipe, prepared), "utf-8")


def _module_name(recipe: Recipe) -> str:
    """The user's module under its own name, unless that would hide something else."""
    stem = Path(recipe.settings.module or "module").stem
    is_usable = stem.isidentifier() and not keyword.iskeyword(stem)
    return stem if is_usable and stem not in ("train", "transforms", "sklearn", "pandas") else "user_module"


def _write_rows(prepared: Prepared, work: Path) -> None:
    rows = prepared.frame[list(prepared.features)].copy(deep=False)
    if _TARGET in rows.columns:
        raise DataError(f"a feature is named {_TARGET!r}", "Rename the column.")
    rows[_TARGET] = prepared.labels
    (work / "data").mkdir()
    for name, positions in (("train", prepared.split.train), ("test", prepared.split.test)):
        rows.iloc[positions].reset_index(drop=True).to_parquet(work / "data" / f"{name}.parquet")


def _write_answers(prepared: Prepared, model: LoadedModel, work: Path) -> None:
    import pandas as pd

    answers = ask_loaded(model, prepared.X_test[list(model.names)], prepared.task, prepared.classes)
    labels = np.asarray(prepared.classes)[answers.predicted] if prepared.classes else answers.predicted
    columns: dict[str, Any] = {"prediction": labels}
    if answers.probabilities is not None:
        columns |= {f"probability_{i}": answers.probabilities[:, i] for i in range(len(prepared.classes))}
    pd.DataFrame(columns).to_parquet(work / "data" / "expected.parquet")


def _script(recipe: Recipe, prepared: Prepared, user: UserModule | None, module_name: str) -> str:
    settings = recipe.settings
    pipeline, estimator, _ = build_pipeline(settings, prepared.task, prepared.X_train, prepared.kinds, user)
    set_parameters(pipeline, recipe.found_params)
    fitter = make_fitter(settings, estimator, prepared.classes, user)
    threshold = recipe.run.metrics.get("threshold")
    if threshold is not None and not fitter.weighs_rows:
        pipeline = with_threshold(pipeline, threshold)
    modules = {"pipelines.transforms": "transforms"}
    if user is not None:
        modules[user.name] = module_name
        modules |= {name: name.removeprefix(f"{user.name}{BETWEEN}") for name in user.siblings}
    source = Source(modules)
    made = source.expression(pipeline, 1)
    fit = ["model.fit(X_train, y_train)"]
    if fitter.weighs_rows:
        source.imports.setdefault("sklearn.utils.class_weight", set()).add("compute_sample_weight")
        weights = class_weights(settings.class_weight or "balanced", prepared.classes)
        fit = [
            f"weights = compute_sample_weight({weights!r}, y_train)",
            f"model.fit(X_train, y_train, {pipeline.steps[-1][0]}__sample_weight=weights)",
        ]
        if threshold is not None:
            source.imports.setdefault("sklearn.frozen", set()).add("FrozenEstimator")
            source.imports.setdefault("sklearn.model_selection", set()).add("FixedThresholdClassifier")
            fit += [
                "name, fitted = model.steps[-1]",
                "model.steps[-1] = (name, FixedThresholdClassifier(",
                f'    FrozenEstimator(fitted), threshold={threshold!r}, response_method="predict_proba"))',
                "model.fit(X_train, y_train)",
            ]
    source.imports.setdefault("sklearn", set()).add("metrics")
    template = (Path(__file__).parent / "handover_script.txt").read_text("utf-8")
    values = {
        "@RUN@": f"{recipe.run.name} ({recipe.run.run_id})",
        "@IMPORTS@": "\n".join(source.import_lines()),
        "@FEATURES@": Source().expression(list(prepared.features)),
        "@TARGET@": repr(_TARGET),
        "@PIPELINE@": made,
        "@FIT@": "\n    ".join(fit),
        "@SCORES@": "\n    ".join(_scores(prepared)),
    }
    for mark, text in values.items():
        template = template.replace(mark, text)
    return template


def _scores(prepared: Prepared) -> list[str]:
    """Lines that measure the model with scikit-learn, by the names of the run's metrics."""
    if prepared.task == "regression":
        return [
            'scores["rmse"] = metrics.root_mean_squared_error(y_test, predicted)',
            'scores["mae"] = metrics.mean_absolute_error(y_test, predicted)',
            'scores["r2"] = metrics.r2_score(y_test, predicted)',
        ]
    average = f"pos_label={prepared.classes[1]!r}" if prepared.task == "binary" else 'average="macro"'
    return [
        'scores["accuracy"] = metrics.accuracy_score(y_test, predicted)',
        *(
            f'scores["{name}"] = metrics.{name}_score(y_test, predicted, {average}, zero_division=0)'
            for name in ("precision", "recall", "f1")
        ),
    ]


def _requirements(recipe: Recipe) -> list[str]:
    pinned = dict(line.split("==") for line in requirements())
    names = dict.fromkeys([*_MAX_REQUIREMENTS, *pinned])
    return [
        f"{name}=={recipe.packages[name]}" for name in names if name in recipe.packages and name != "skops"
    ]


def _readme(recipe: Recipe, prepared: Prepared) -> str:
    code = f"Commit {recipe.commit}." if recipe.commit else "It was not in a git repository."
    diff = " What was not committed is in `uncommitted.diff`." if recipe.uncommitted_diff else ""
    return (
        f"# {recipe.run.name}\n\n"
        f"Run {recipe.run.run_id} of pipeline {recipe.pipeline}: {prepared.task}, target "
        f"`{recipe.settings.target}`, {len(prepared.split.train):,} training rows, "
        f"{len(prepared.split.test):,} held out, seed {recipe.settings.split.seed}.\n\n"
        f"Trained with Python {recipe.packages.get('python', '?')}. To train the same model again:\n\n"
        "```sh\n"
        "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt && .venv/bin/python train.py\n"
        "```\n\n"
        "It fits on `data/train.parquet`, compares its answers for `data/test.parquet` with those of the "
        "original model, and writes `model.joblib`. With the same versions they are equal bit by bit.\n\n"
        "| file | what it is |\n|---|---|\n"
        "| `train.py` | the whole pipeline as scikit-learn source |\n"
        "| `data/` | the rows as they were fitted on, and the original answers |\n"
        "| `raw/`, `data.json` | the files that they came from, with their hashes |\n"
        "| `settings.json` | every setting of the training |\n"
        "| `metrics.json` | what was measured |\n"
        "| `environment.json`, `requirements.txt` | every package, and those that matter |\n"
        f"| `code.json` | the state of the code. {code}{diff} |\n"
    )
