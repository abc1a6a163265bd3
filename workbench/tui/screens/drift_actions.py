"""What a person can do on the Drift screen."""

from __future__ import annotations

from workbench.tui.action import Action

ACTIONS: tuple[Action, ...] = (
    Action("drift.model", "m", "model", "Choose the model to look at.", "View", shown=True),
    Action("drift.version", "v", "version", "Choose the version to look at.", "View", shown=True),
    Action(
        "drift.window", "w", "window", "Judge windows of another length than the setting.", "View", shown=True
    ),
    Action("drift.alerts", "t", "alerts", "Go to the alerts, and back.", "Alerts", shown=True),
    Action(
        "drift.acknowledge",
        "a",
        "acknowledge",
        "Note that the alert has been seen: it is told again only when it becomes worse.",
        "Alerts",
        shown=True,
        changes=True,
    ),
    Action(
        "drift.silence",
        "z",
        "silence",
        "Keep quiet about the alert's cause for a time; asks how long.",
        "Alerts",
        shown=True,
        changes=True,
    ),
    Action("drift.back", "escape", "back", "Go one step back.", "View"),
)
