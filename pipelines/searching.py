"""The search within a training: on which workers, and what it leaves in MLflow."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pipelines import metrics
from pipelines.fitting import Fitter
from pipelines.prepare import Prepared
from pipelines.search import Candidate, SearchResult, Workers, parameter_names, search
from pipelines.search_settings import SearchSettings
from pipelines.search_workers import LocalWorkers
from pipelines.settings import PipelineSettings
from pipelines.split import make_folds
from store.errors import TrainingError

if TYPE_CHECKING:
    from pipelines.recorder import RunRecorder

SEARCH_FILE = "search_results.json"


def find_parameters(
    settings: PipelineSettings,
    prepared: Prepared,
    pipeline: Any,
    fitter: Fitter,
    recorder: RunRecorder,
    *,
    modules: Sequence[ModuleType] = (),
    on_progress: Callable[[str, float], None],
) -> SearchResult:
    """Search as the settings say, set the best parameters on `pipeline`, log a child run a candidate.

    `modules` are what the pipeline needs and another machine can't import.
    """
    wanted = settings.search
    assert wanted is not None
    X, train = prepared.X_train, prepared.split.train
    labels, y = prepared.labels[train], prepared.y[train]
    folds, _ = make_folds(settings.split, prepared.task, prepared.y, prepared.split, wanted.cv)
    if not folds:
        raise TrainingError(
            "too few rows to search by cross-validation", "Bring more rows, or remove search."
        )
    metric = metrics.find(
        wanted.scoring or settings.gate.metric or metrics.DECIDING[prepared.task], prepared.task
    )
    names = parameter_names(pipeline, wanted.params)
    recorder.ready()

    def tell(candidate: Candidate, fits: int, total: int) -> None:
        score = candidate.error or f"{metric.name} {candidate.mean:.4g}"
        on_progress(f"{fits} of {total} fits: {_shown(candidate)} {score}", fits / total)

    def log(candidate: Candidate) -> None:
        recorder.log_child(
            f"{recorder.run_name}-{candidate.number:03d}",
            {**candidate.params, "rows": candidate.rows},
            _measured(candidate, metric.name),
            status="FAILED" if candidate.error else "FINISHED",
            error=candidate.error,
            started_at=candidate.started_at,
            ended_at=candidate.ended_at,
        )

    with _workers(wanted, pipeline, X, labels, names, modules) as workers:
        result = search(
            wanted,
            pipeline,
            X,
            labels,
            y,
            folds,
            task=prepared.task,
            classes=prepared.classes,
            metric=metric,
            fitter=fitter,
            workers=workers,
            seed=settings.split.seed,
            on_fit=tell,
            on_end=log,
        )
    set_parameters(pipeline, result.best.params)
    return result


def set_parameters(pipeline: Any, params: Any) -> None:
    """Set parameters of the last step, or of the step they name."""
    names = parameter_names(pipeline, params)
    pipeline.set_params(**{names[name]: value for name, value in params.items()})


def _workers(
    wanted: SearchSettings,
    pipeline: Any,
    X: Any,
    labels: Any,
    names: Any,
    modules: Sequence[ModuleType],
) -> contextlib.AbstractContextManager[Workers]:
    if wanted.backend == "dask":
        from pipelines.dask_workers import DaskWorkers

        assert wanted.address is not None
        return DaskWorkers(
            wanted.address, pipeline, X, labels, names, modules=modules, timeout_s=wanted.timeout
        )
    local = LocalWorkers(pipeline, X, labels, names, n_jobs=wanted.n_jobs, timeout_s=wanted.timeout)
    return contextlib.nullcontext(local)


def _measured(candidate: Candidate, metric: str) -> dict[str, float]:
    measured = {"seconds_searching": candidate.seconds}
    if not math.isnan(candidate.mean):
        measured |= {f"cv_{metric}_mean": candidate.mean, f"cv_{metric}_std": candidate.std}
    return measured


def _shown(candidate: Candidate) -> str:
    return " ".join(
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in candidate.params.items()
    )
