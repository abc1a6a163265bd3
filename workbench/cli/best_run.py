"""The best run of an experiment, as a version to promote."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.cli.invocation import Invocation

if TYPE_CHECKING:
    from store.registry import ModelVersion, RegisteredModel
    from store.runs import Run


@dataclass(frozen=True)
class BestRun:
    """The best run by `metric`; `version` is None while the run is not registered as `model`."""

    name: str
    metric: str
    run: Run
    model: RegisteredModel
    version: ModelVersion | None

    @property
    def details(self) -> dict[str, Any]:
        """What the event of a promotion says about the choice."""
        return {"metric": self.metric, "value": self.run.metrics[self.metric], "run_id": self.run.run_id}


def find_best(invocation: Invocation, name: str, metric: str, experiment: str | None) -> BestRun:
    """The finished run with the best value of `metric`; raises NotFoundError where none has it.

    The experiment is the one given, or that of the pipeline which trains the model, or one of the same name.
    """
    from math import isfinite

    from store.errors import NotFoundError
    from store.registry import RegisteredModel
    from workbench.directions import is_lower_better

    experiment = experiment or experiment_of(invocation, name)
    finished = invocation.runs.list(experiment, "attributes.status = 'FINISHED'")
    measured = [run for run in finished if isfinite(run.metrics.get(metric, float("nan")))]
    if not measured:
        known = sorted({known for run in finished for known in run.metrics})
        hint = f"There are: {', '.join(known)}." if known else "Train first: workbench train."
        raise NotFoundError(f"no finished run of {experiment!r} has metric {metric!r}", hint)
    sign = -1 if is_lower_better(metric) else 1
    best = max(measured, key=lambda run: sign * run.metrics[metric])
    try:
        model = invocation.registry.model(name)
    except NotFoundError:
        model = RegisteredModel(name=name, versions=(), champion=None, challenger=None)
    version = next((version for version in model.versions if version.run_id == best.run_id), None)
    return BestRun(name, metric, best, model, version)


def register_best(invocation: Invocation, best: BestRun, reason: str | None) -> ModelVersion:
    """Make a version of the best run, described by what it was chosen for."""
    value = best.run.metrics[best.metric]
    description = f"Promoted from run {best.run.run_id} | {best.metric}={value:.4f}"
    return invocation.registry.register(
        best.name, run_id=best.run.run_id, description=description, reason=reason
    )


def experiment_of(invocation: Invocation, model_name: str) -> str:
    """The experiment of the pipeline that trains a model; else one named like the model."""
    project = invocation.project
    for name, pipeline in project.settings.pipelines.items():
        if project.model_name(name) == model_name:
            return pipeline.experiment or name
    return model_name
