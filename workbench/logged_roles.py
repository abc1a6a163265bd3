"""In which roles a model version has answered: as a server's champion or challenger, or a batch of rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from store.errors import NotFoundError

if TYPE_CHECKING:
    from store.layout import Layout
    from store.slices import Key


@dataclass(frozen=True)
class LoggedRole:
    """What is logged of one version in one role."""

    key: Key
    predictions: int
    last_at: datetime
    """Within five minutes."""


def logged_roles(layout: Layout) -> list[LoggedRole]:
    """Everything logged, by version and role, what was asked last first; without what isn't folded yet."""
    from store.slices import SliceReader

    found: dict[Key, LoggedRole] = {}
    for volume in SliceReader(layout).volumes(datetime.fromtimestamp(0, UTC)):
        before = found.get(volume.key)
        n = volume.predictions + (0 if before is None else before.predictions)
        found[volume.key] = LoggedRole(volume.key, n, volume.start)
    return sorted(found.values(), key=lambda one: one.last_at, reverse=True)


def chosen_role(key: Key, logged: Sequence[LoggedRole], role: str | None) -> Key:
    """The version in the role that was asked for; else in its own, or in the only one that has predictions.

    Raises NotFoundError for a role in which the version has answered nothing.
    """
    known = [one.key.role for one in logged if _is_same_version(one.key, key)]
    if role is None:
        return replace(key, role=known[0]) if known and key.role not in known else key
    if role not in known and role != key.role:
        have = (
            f"There are predictions of: {', '.join(sorted(known))}." if known else "Nothing is logged of it."
        )
        raise NotFoundError(f"{key.model} version {key.version} has answered nothing as {role}", have)
    return replace(key, role=role)


def with_other_roles(report: Mapping[str, Any], logged: Sequence[LoggedRole]) -> dict[str, Any]:
    """The report with the roles in which its version has answered besides, and in words what that means."""
    from store.slices import Key

    shown = Key(str(report["model"]), int(report["version"]), str(report["role"]))
    known = [one for one in logged if _is_same_version(one.key, shown)]
    notes = [report["note"]] if report.get("note") else []
    own = next((one for one in known if one.key == shown), None)
    if not report["current_rows"] and own is not None and not report.get("segment"):
        notes.append(
            f"the latest prediction is of {own.last_at:%Y-%m-%d %H:%M} UTC: --window 7d reaches further back"
        )
    notes += [
        f"{one.predictions:,} predictions as {one.key.role} are judged apart: --role {one.key.role}"
        for one in known
        if one.key != shown
    ]
    roles = [
        {"role": one.key.role, "predictions": one.predictions, "last_at": one.last_at.isoformat()}
        for one in known
    ]
    return {**report, "roles": roles, "note": "; ".join(notes) or None}


def _is_same_version(one: Key, other: Key) -> bool:
    return (one.model, one.version) == (other.model, other.version)
