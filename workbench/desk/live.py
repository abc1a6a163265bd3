"""What the title line says: is a server running, and which versions are in production."""

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


def read_live(desk: Desk, before: Live) -> Live:
    """The state now; the registry is read only if it has changed since `before`."""
    from serve.control import running_server

    server = running_server(desk.layout) if desk.project is not None else None
    try:
        fingerprint = desk.registry.fingerprint()
        if fingerprint == before.fingerprint and not before.problem:
            champions = before.champions
        else:
            champions = tuple(
                (model.name, model.champion) for model in desk.registry.models() if model.champion is not None
            )
    except (WorkbenchError, OSError) as error:
        return Live(server, before.champions, before.fingerprint, str(error), _alerts(desk, before))
    return Live(server, champions, fingerprint, alerts=_alerts(desk, before))


def _alerts(desk: Desk, before: Live) -> int:
    """How many are open; as many as before where the state file can't be read."""
    from store.alerts import LIVE, list_alerts

    if desk.project is None:
        return 0
    try:
        return sum(alert.state == "open" for alert in list_alerts(desk.layout, states=LIVE))
    except WorkbenchError:
        return before.alerts
