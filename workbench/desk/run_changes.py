"""What a person changes about runs, and the events that this leaves in the audit trail."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from store.errors import UsageError
from store.journal import append_event

if TYPE_CHECKING:
    from store.layout import Layout
    from store.registry import ModelVersion
    from store.runs import Run, RunStore
    from workbench.desk.desk import Desk
    from workbench.settings import Project


def delete_runs(runs: RunStore, layout: Layout, chosen: Iterable[Run], reason: str | None = None) -> None:
    """Mark runs as deleted; `restore_runs` brings them back."""
    for run in chosen:
        runs.delete(run.run_id)
        append_event(layout, "run_deleted", reason=reason, details=_details(run))


def restore_runs(
    runs: RunStore, layout: Layout, chosen: Iterable[Run], reason: str | None = None
) -> list[Run]:
    """Bring deleted runs back; returns those that were deleted."""
    restored = []
    for run in chosen:
        if run.lifecycle_stage != "active":
            runs.restore(run.run_id)
            append_event(layout, "run_restored", reason=reason, details=_details(run))
            restored.append(run)
    return restored


def parse_tag(text: str) -> tuple[str, str]:
    """The key and value of `KEY=VALUE`; raises UsageError for anything else."""
    key, equals, value = text.partition("=")
    if not key.strip() or not equals:
        raise UsageError(f"{text!r} is no tag", "Write it as KEY=VALUE.")
    return key.strip(), value.strip()


def tag_runs(runs: RunStore, chosen: Iterable[Run], key: str, value: str) -> None:
    for run in chosen:
        runs.set_tag(run.run_id, key, value)


def model_trained_by(project: Project, run: Run) -> str:
    """The model that the run's pipeline trains; raises UsageError when no pipeline has its experiment."""
    for name, pipeline in project.settings.pipelines.items():
        if run.experiment == (pipeline.experiment or name):
            return project.model_name(name)
    raise UsageError(f"no pipeline trains in experiment {run.experiment!r}", "Name the model: --name NAME.")


def usual_model_name(desk: Desk, run: Run) -> str:
    """What a version made from a run would be called: its pipeline's model, else its experiment."""
    if desk.project is not None:
        try:
            return model_trained_by(desk.project, run)
        except UsageError:
            pass
    return run.experiment


def register_run(desk: Desk, run: Run, name: str) -> ModelVersion:
    """Make a new version from a run's newest model; nothing in production changes."""
    return desk.registry.register(name, run_id=run.run_id)


def _details(run: Run) -> dict[str, str]:
    return {"run_id": run.run_id, "run": run.name, "experiment": run.experiment}
