"""From a run to production: its version, made where there is none yet, becomes champion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.desk.change_row import ChangeRow
from workbench.desk.model_changes import Change, carry_out, done, plan
from workbench.desk.run_changes import register_run, usual_model_name
from workbench.desk.run_details import versions_of

if TYPE_CHECKING:
    from store.runs import Run
    from workbench.desk.desk import Desk


@dataclass(frozen=True)
class Promotion:
    """What would change. `change` is None where the run's model has to be registered first."""

    run: Run
    model: str
    question: str
    rows: tuple[ChangeRow, ...]
    notes: tuple[str, ...]
    change: Change | None


def plan_promotion(desk: Desk, run: Run) -> Promotion:
    """What promoting a run would change. Raises UsageError, in words, for what can't be done."""
    made = versions_of(desk.registry, run.run_id)
    if made:
        name, version = made[0]
        change = plan(desk.models, "promote", name, version)
        return Promotion(run, name, change.question, change.rows, change.notes, change)
    name = usual_model_name(desk, run)
    model = next((each for each in desk.registry.models() if each.name == name), None)
    champion = f"v{model.champion}" if model is not None and model.champion is not None else "—"
    number = max((each.version for each in model.versions), default=0) + 1 if model is not None else 1
    rows = (
        ChangeRow(f"version of {name}", "—", f"v{number}, from {run.name}"),
        ChangeRow("champion", champion, f"v{number}"),
    )
    notes = ("The run's model is registered first.",)
    return Promotion(run, name, f"Register {run.name} and promote it to champion?", rows, notes, None)


def promote_run(desk: Desk, promotion: Promotion, reason: str | None) -> str:
    """Do what was planned; returns what has become true, in a line."""
    change = promotion.change
    if change is None:
        version = register_run(desk, promotion.run, promotion.model)
        change = plan(desk.models, "promote", version.name, version.version)
    carry_out(desk.models, change, reason)
    return done(change)
