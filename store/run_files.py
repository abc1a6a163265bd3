"""One run's folder in an MLflow file store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from store.mlflow_files import (
    META_FILE,
    BrokenFileError,
    from_ms,
    latest_value,
    read_meta,
    read_metric_points,
    read_values,
    subfolders,
)
from store.moved import resolve
from store.runs import RUN_NAME_TAG, Experiment, Run

STATUS_NAMES = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}
"""MLflow's words for a run's state, by the numbers in its files."""
_NO_RUNS = frozenset(("tags", "datasets", "traces", "models"))
_RUN_PARTS = frozenset(("metrics", "params", "tags"))


@dataclass(frozen=True)
class ExperimentFolder:
    """An experiment with its folder; `problem` where its `meta.yaml` can't be read."""

    folder: Path
    experiment: Experiment
    problem: str | None = None


@dataclass(frozen=True)
class LoggedModel:
    """A model that a run logged, in a folder of its own beside the run."""

    model_id: str
    name: str
    run_id: str | None
    created_ms: int
    is_ready: bool
    artifact_location: str
    folder: Path


def read_experiment(folder: Path) -> ExperimentFolder:
    """The experiment in `folder`, whatever state its files are in."""
    try:
        meta = read_meta(folder / META_FILE)
    except (OSError, BrokenFileError) as error:
        problem = "has no meta.yaml" if isinstance(error, FileNotFoundError) else str(error)
        return ExperimentFolder(folder, Experiment(folder.name, folder.name), problem)
    experiment = Experiment(
        experiment_id=folder.name,
        name=str(meta.get("name", folder.name)),
        lifecycle_stage=str(meta.get("lifecycle_stage", "active")),
        artifact_location=str(meta.get("artifact_location") or ""),
        created_at=from_ms(meta.get("creation_time")),
        tags=read_values(folder / "tags")[0],
    )
    return ExperimentFolder(folder, experiment)


def run_folders(experiment_folder: Path) -> list[str]:
    """Names of the folders that hold runs, or should."""
    return [name for name in subfolders(experiment_folder) if name not in _NO_RUNS]


def is_stray(run_folder: Path) -> bool:
    """Whether a folder among the runs is none at all, not even a broken one."""
    return not (run_folder / META_FILE).exists() and not any(
        (run_folder / part).is_dir() for part in _RUN_PARTS
    )


def read_run(run_folder: Path, experiment: Experiment) -> Run:
    """The run in a folder; what can't be read is missing from it and named by its `problem`."""
    return read_run_and_points(run_folder, experiment)[0]


def read_run_and_points(
    run_folder: Path, experiment: Experiment
) -> tuple[Run, dict[str, list[tuple[int, int, float]]]]:
    """The run in a folder with every point of its metrics."""
    params, problems = read_values(run_folder / "params")
    tags, tag_problems = read_values(run_folder / "tags")
    points, metric_problems = read_metric_points(run_folder / "metrics")
    problems += tag_problems + metric_problems
    meta: dict[str, Any] = {}
    try:
        meta = read_meta(run_folder / META_FILE)
    except FileNotFoundError:
        problems.insert(0, "meta.yaml is missing")
    except (OSError, BrokenFileError) as error:
        problems.insert(0, str(error))
    else:
        if str(meta.get("experiment_id")) != experiment.experiment_id:
            problems.insert(0, f"meta.yaml names experiment {meta.get('experiment_id')}")
        if from_ms(meta.get("start_time")) is None:
            problems.insert(0, "meta.yaml has no start_time")
    run = Run(
        run_id=run_folder.name,
        name=str(meta.get("run_name") or tags.get(RUN_NAME_TAG) or ""),
        experiment_id=experiment.experiment_id,
        experiment=experiment.name,
        status=_status(meta),
        started_at=from_ms(meta.get("start_time")),
        ended_at=from_ms(meta.get("end_time")),
        params=params,
        metrics={key: latest_value(found) for key, found in points.items()},
        tags=tags,
        artifact_uri=str(meta.get("artifact_uri") or ""),
        lifecycle_stage=str(meta.get("lifecycle_stage", "active")),
        problem="; ".join(problems) or None,
        user_id=str(meta.get("user_id") or ""),
        stepped=tuple(sorted(key for key, found in points.items() if _has_steps(found))),
    )
    return run, points


def is_searchable(run: Run) -> bool:
    """Whether enough of a run is there to filter and sort it; the others come last."""
    return run.started_at is not None and run.status != "UNKNOWN"


def logged_models(run_folder: Path) -> list[LoggedModel]:
    """The models a run logged, newest first; those that can't be read are left out."""
    models = []
    for model_id in subfolders(run_folder / "outputs"):
        model = read_logged_model(run_folder.parent / "models" / model_id)
        if model is not None:
            models.append(model)
    return sorted(models, key=lambda model: (model.created_ms, model.model_id), reverse=True)


def read_logged_model(folder: Path) -> LoggedModel | None:
    try:
        meta = read_meta(folder / META_FILE)
    except (OSError, BrokenFileError):
        return None
    if meta.get("lifecycle_stage") == "deleted":
        return None
    return LoggedModel(
        model_id=folder.name,
        name=str(meta.get("name") or "model"),
        run_id=meta.get("source_run_id"),
        created_ms=meta.get("creation_timestamp") or 0,
        is_ready=meta.get("status") == 2,
        artifact_location=str(meta.get("artifact_location") or ""),
        folder=folder,
    )


def model_files(model: LoggedModel, store: Path) -> Path | None:
    """The folder of a logged model's files on this machine; None when gone."""
    return resolve(model.artifact_location, store)


def _has_steps(points: list[tuple[int, int, float]]) -> bool:
    return len(points) > 1 and any(step != points[0][1] for _, step, _ in points)


def _status(meta: Mapping[str, Any]) -> str:
    if not meta:
        return "UNKNOWN"
    status = meta.get("status", 1)
    return STATUS_NAMES.get(status, "UNKNOWN") if isinstance(status, int) else "UNKNOWN"


def dataset_folders(run_folder: Path) -> list[Path]:
    """Where an experiment keeps what is said of the datasets that this run was given."""
    folders = []
    for name in subfolders(run_folder / "inputs"):
        try:
            given = read_meta(run_folder / "inputs" / name / META_FILE)
        except (OSError, BrokenFileError):
            continue
        folder = run_folder.parent / "datasets" / str(given.get("source_id"))
        if given.get("source_type") == "DATASET" and (folder / META_FILE).is_file():
            folders.append(folder)
    return folders


def read_datasets(run_folder: Path) -> list[dict[str, str]]:
    """{"name", "digest", "context"} of each dataset a run was given; without `context` where it has none."""
    datasets = []
    for name in subfolders(run_folder / "inputs"):
        try:
            given = read_meta(run_folder / "inputs" / name / META_FILE)
            if given.get("source_type") != "DATASET":
                continue
            about = read_meta(run_folder.parent / "datasets" / str(given["source_id"]) / META_FILE)
        except (OSError, BrokenFileError, KeyError):
            continue
        dataset = {key: str(about[key]) for key in ("name", "digest") if about.get(key) is not None}
        context = (given.get("tags") or {}).get("mlflow.data.context")
        datasets.append(dataset if context is None else {**dataset, "context": str(context)})
    return datasets
