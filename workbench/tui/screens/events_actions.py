"""What a person can do on the Events screen."""

from __future__ import annotations

from workbench.tui.action import Action

ACTIONS: tuple[Action, ...] = (
    Action(
        "events.switch",
        "t",
        "trail/log",
        "Change between the audit trail and what the server, the watcher and the jobs wrote.",
        "View",
        shown=True,
    ),
    Action(
        "events.follow",
        "f",
        "follow",
        "Stay with the newest line; moving away from it stops that.",
        "View",
        shown=True,
    ),
    Action("events.back", "escape", "back", "Go one step back.", "View"),
)
