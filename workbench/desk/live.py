"""What the title line says: what is served, which versions are in production, what is watched."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from store.errors import WorkbenchError

if TYPE_CHECKING:
    from serve.control import ServerInfo
    from workbench.desk.desk import Desk


@dataclass(frozen=True)
class Live:
    """The state at one moment; `champions` are (model, version) in the registry's order."""

    server: ServerInfo | None = None
    champions: tuple[tuple[str, int], ...] = ()
    fingerprint: Hashable = None
    problem: str = ""
    alerts: int = 0
    """Open ones: not acknowledged, not silenced."""
    watched: int | None = None
    """How many pipelines' data the watcher watches; None where none runs."""
    paused: int = 0
    """How many of them pause."""


def read_live(desk: Desk, before: Live) -> Live:
    """The state now; the registry is read only if it has changed since `before`."""
    from serve.control import running_server

    server, problem = running_server(desk.layout) if desk.project is not None else None, ""
    try:
        fingerprint = desk.registry.fingerprint()
        if fingerprint == before.fingerprint and not before.problem:
            champions = before.champions
        else:
            champions = tuple(
                (model.name, model.champion) for model in desk.registry.models() if model.champion is not None
            )
    except (WorkbenchError, OSError) as error:
        champions, fingerprint, problem = before.champions, before.fingerprint, str(error)
    watched, paused = _watched(desk, before)
    return Live(server, champions, fingerprint, problem, _alerts(desk, before), watched, paused)


def _watched(desk: Desk, before: Live) -> tuple[int | None, int]:
    """What the watcher watches, and how much of it pauses; as before where the state file can't be read."""
    from workbench.watching import running_watcher

    if desk.project is None:
        return None, 0
    try:
        watcher = running_watcher(desk.layout)
    except WorkbenchError:
        return before.watched, before.paused
    if watcher is None:
        return None, 0
    return len(watcher.pipelines), sum(bool(row.get("paused")) for row in watcher.pipelines)


def _alerts(desk: Desk, before: Live) -> int:
    """How many are open; as many as before where the state file can't be read."""
    from store.alerts import LIVE, list_alerts

    if desk.project is None:
        return 0
    try:
        return sum(alert.state == "open" for alert in list_alerts(desk.layout, states=LIVE))
    except WorkbenchError:
        return before.alerts
