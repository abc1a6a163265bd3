"""The alert that a challenger waits for somebody to look: raised by a training, over once it was decided."""

from __future__ import annotations

from contextlib import suppress

from store.alerts import LIVE, clear_alert, list_alerts, raise_alert
from store.errors import WorkbenchError
from store.layout import Layout

KIND = "challenger_ready"


def raise_challenger_ready(
    layout: Layout, model: str, version: int, *, champion: int | None, why: str
) -> None:
    """Say that `version` passed the gate and waits to be promoted."""
    instead = f" instead of version {champion}" if champion is not None else ""
    settle_challenger_alerts(layout, model, version)
    raise_alert(
        layout,
        f"{KIND}/{model}/{version}",
        kind=KIND,
        severity="watch",
        message=f"{model} version {version} passed the gate and can become champion{instead}: {why}",
        model=model,
        version=version,
        details={"champion": champion, "command": f"workbench models promote {model} {version}"},
        quiet=True,
    )


def settle_challenger_alerts(layout: Layout, model: str, challenger: int | None) -> None:
    """Clear those of versions that are challenger no more."""
    if not layout.state_db.exists():
        return
    with suppress(WorkbenchError):
        for alert in list_alerts(layout, states=LIVE, model=model):
            if alert.kind == KIND and alert.version != challenger:
                clear_alert(layout, alert.key, reason="it was decided upon", quiet=True)


def waiting_models(layout: Layout) -> list[str]:
    """Models of which a challenger is said to wait."""
    if not layout.state_db.exists():
        return []
    live = list_alerts(layout, states=LIVE)
    return sorted({alert.model for alert in live if alert.kind == KIND and alert.model is not None})
