"""How events and metrics are put in words, the same on the command line and in the terminal UI."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from store.journal import Event

_USUAL = ("roc_auc", "accuracy", "f1", "f1_score", "rmse", "mae", "r2")


def what_happened(event: Event) -> str:
    """The event's kind in words; a verdict says which, a promotion that is none to champion to what."""
    words = event.what.replace("_", " ")
    if event.what == "gate" and isinstance(event.details.get("accepted"), bool):
        return "gate accepted" if event.details["accepted"] else "gate refused"
    role = event.details.get("role")
    return f"{words} ({role})" if event.what == "promoted" and role == "challenger" else words


def change(before: object, after: object) -> str:
    """`2 → 3`, or the side there is."""
    if before is None and after is None:
        return ""
    return f"{'—' if before is None else before} → {'—' if after is None else after}"


def main_metrics(metrics: Iterable[Mapping[str, float]], most: int = 4) -> tuple[str, ...]:
    """Names of the metrics that say most about models with these: the usual ones, else the first."""
    names = {name for values in metrics for name in values}
    usual = [name for name in _USUAL if name in names]
    return tuple((usual or sorted(names))[:most])
