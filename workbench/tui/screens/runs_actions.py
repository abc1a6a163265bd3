"""What a person can do on the Runs screen."""

from __future__ import annotations

from workbench.tui.action import Action

ACTIONS: tuple[Action, ...] = (
    Action("runs.deleted", "D", "deleted", "Show the deleted runs in place of the others, and back.", "View"),
)
