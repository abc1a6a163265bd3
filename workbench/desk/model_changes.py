"""What a promotion, rollback or archiving would change, as before and after; and the doing of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from store.errors import NotFoundError, UsageError
from store.journal import read_events
from store.registry import CHALLENGER, CHAMPION, RegisteredModel
from store.standing import ARCHIVED, Past, Standing, in_step
from workbench.desk.change_row import ChangeRow
from workbench.desk.verdicts import compared
from workbench.desk.words import main_metrics
from workbench.directions import has_direction, is_lower_better

if TYPE_CHECKING:
    from store.layout import Layout
    from store.registry import ModelVersion, Transition
    from workbench.desk.models import ModelsDesk

ChangeKind = Literal["promote", "challenger", "rollback", "archive"]
NOBODY = "—"


@dataclass(frozen=True)
class Change:
    """A change that somebody may confirm. It is carried out only while `standing` is what it was."""

    kind: ChangeKind
    model: str
    version: int
    question: str
    rows: tuple[ChangeRow, ...]
    notes: tuple[str, ...]
    standing: Standing
    is_dangerous: bool = False
    """Whether nothing is in production afterwards, or what the gate refused."""


def earlier_champion(layout: Layout, model: RegisteredModel) -> int | None:
    """The version that a rollback makes champion again; None when there is none."""
    past = Past()
    for event in read_events(layout, model=model.name):
        past.add(event)
    return past.earlier_champion(model.champion, [version.version for version in model.versions])


def plan(desk: ModelsDesk, kind: ChangeKind, name: str, version: int) -> Change:
    """What would change. Raises UsageError or NotFoundError, in words, for what can't be done.

    `version` is not looked at for a rollback, which goes to the champion before the present one.
    """
    model = desk.registry.model(name)
    if kind == "rollback":
        earlier = earlier_champion(desk.layout, model)
        if earlier is None:
            raise NotFoundError(f"{name} has no earlier champion to go back to", "Promote a version.")
        version = earlier
    target = next((item for item in model.versions if item.version == version), None)
    if target is None:
        raise NotFoundError(f"{name} has no version {version}", "Somebody deleted it.")
    before = Standing(model.champion, model.challenger)
    _check(kind, before, target)
    after = _after(kind, before, version)
    rows = [*_roles(name, before, after), *_stages(model, after, version if kind == "archive" else None)]
    if after.champion not in (None, before.champion):
        rows += _metrics(model, before.champion, after.champion)
    notes = []
    champion = next((item for item in model.versions if item.version == before.champion), None)
    if kind in ("promote", "rollback"):
        if champion is not None and (measured := compared(desk.runs, champion, target)) is not None:
            notes.append(f"{measured}.")
        notes += _gate_notes(desk, target)
    if target.model_dir is None and kind != "archive" and not desk.registry.fetches_files:
        notes.append(f"The files of v{version} are not here: a server could not load it.")
    notes.append(_consequence(kind, before, after, name))
    is_refused = kind == "promote" and desk.accepted(target) is False
    return Change(
        kind,
        name,
        version,
        _question(kind, name, version),
        tuple(rows),
        tuple(notes),
        before,
        is_dangerous=is_refused or (after.champion is None and before.champion is not None),
    )


def carry_out(desk: ModelsDesk, change: Change, reason: str | None = None) -> Transition:
    """Do what was planned, with the reason in the audit trail.

    Raises UsageError where somebody else changed the model's champion or challenger since the plan.
    """
    registry = desk.registry
    registry.settle()
    model = registry.model(change.model)
    if Standing(model.champion, model.challenger) != change.standing:
        champion = f"v{model.champion} is champion" if model.champion else "nobody is champion"
        raise UsageError(f"{change.model} was changed meanwhile: {champion}", "Look again, then decide.")
    reason = reason or None
    if change.kind == "rollback":
        if earlier_champion(desk.layout, model) != change.version:
            raise UsageError(f"{change.model} was changed meanwhile", "Look again, then decide.")
        return registry.rollback(change.model, reason=reason)
    if change.kind == "archive":
        return registry.archive(change.model, change.version, reason=reason)
    role = CHAMPION if change.kind == "promote" else CHALLENGER
    return registry.promote(
        change.model, change.version, to="champion" if role == CHAMPION else "challenger", reason=reason
    )


def done(change: Change) -> str:
    """What a change has made true, in a line."""
    return {
        "promote": f"{change.model} v{change.version} is champion",
        "challenger": f"{change.model} v{change.version} is challenger",
        "rollback": f"{change.model} is back on v{change.version}",
        "archive": f"{change.model} v{change.version} is archived",
    }[change.kind]


def _check(kind: ChangeKind, before: Standing, target: ModelVersion) -> None:
    named = f"{target.name} v{target.version}"
    if kind == "promote" and before.champion == target.version:
        raise UsageError(f"{named} is champion already")
    if kind == "challenger" and before.challenger == target.version:
        raise UsageError(f"{named} is challenger already")
    if kind == "challenger" and before.champion == target.version:
        raise UsageError(f"{named} is the champion", "Promote another version, or roll back first.")
    if kind == "archive" and target.stage == ARCHIVED:
        raise UsageError(f"{named} is archived already")


def _after(kind: ChangeKind, before: Standing, version: int) -> Standing:
    if kind == "archive":
        role = next((role for role in (CHAMPION, CHALLENGER) if before.of(role) == version), None)
        return before.with_role(role, None) if role else before
    return before.with_role(CHALLENGER if kind == "challenger" else CHAMPION, version)


def _roles(name: str, before: Standing, after: Standing) -> list[ChangeRow]:
    rows = []
    for role in (CHAMPION, CHALLENGER):
        if before.of(role) != after.of(role):
            tone = "warning" if role == CHAMPION and after.champion is None else ""
            rows.append(ChangeRow(role, _shown(before.of(role)), _shown(after.of(role)), tone))
    return rows


def _stages(model: RegisteredModel, after: Standing, archived: int | None) -> list[ChangeRow]:
    rows = []
    for old, new in zip(model.versions, in_step(after, model.versions), strict=True):
        if new.version == archived:
            new = replace(new, stage=ARCHIVED)
        if old.stage != new.stage:
            rows.append(ChangeRow(f"stage of v{old.version}", old.stage, new.stage))
    return rows


def _metrics(model: RegisteredModel, before: int | None, after: int | None) -> list[ChangeRow]:
    """The main metrics of the champion that goes and of the one that comes."""
    found = {version.version: version.metrics for version in model.versions}
    old, new = found.get(before or 0, {}), found.get(after or 0, {})
    rows = []
    for name in main_metrics([old, new]):
        tone = ""
        if name in old and name in new and has_direction(name) and old[name] != new[name]:
            is_better = (new[name] < old[name]) == is_lower_better(name)
            tone = "success" if is_better else "error"
        rows.append(ChangeRow(name, _number(old.get(name)), _number(new.get(name)), tone))
    return rows


def _gate_notes(desk: ModelsDesk, target: ModelVersion) -> list[str]:
    accepted = desk.accepted(target)
    if accepted is False:
        return [f"The gate refused v{target.version}."]
    return [] if accepted else [f"No gate has judged v{target.version}."]


def _question(kind: ChangeKind, name: str, version: int) -> str:
    return {
        "promote": f"Promote {name} v{version} to champion?",
        "challenger": f"Make {name} v{version} the challenger?",
        "rollback": f"Roll {name} back to v{version}?",
        "archive": f"Archive {name} v{version}?",
    }[kind]


def _consequence(kind: ChangeKind, before: Standing, after: Standing, name: str) -> str:
    if before.champion == after.champion:
        return "Nothing in production changes."
    if after.champion is None:
        return f"Nothing of {name} will be in production; a server stops answering for it."
    if before.champion is None:
        return "A running server takes it over within seconds."
    undo = "promoting it undoes this" if kind == "rollback" else "a rollback returns to it"
    return f"A running server takes it over within seconds; v{before.champion} is archived, {undo}."


def _shown(version: int | None) -> str:
    return NOBODY if version is None else f"v{version}"


def _number(value: float | None) -> str:
    return NOBODY if value is None else f"{value:.5g}"
