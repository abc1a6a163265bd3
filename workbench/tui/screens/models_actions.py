"""What a person can do on the Models screen."""

from __future__ import annotations

from workbench.tui.action import Action

ACTIONS: tuple[Action, ...] = (
    Action(
        "models.promote",
        "p",
        "promote",
        "Make this version the champion; asks first, with what will change.",
        "Versions",
        shown=True,
        changes=True,
    ),
    Action(
        "models.challenger",
        "c",
        "challenger",
        "Make this version the challenger; nothing in production changes.",
        "Versions",
        shown=True,
        changes=True,
    ),
    Action(
        "models.rollback",
        "b",
        "roll back",
        "Make the champion before the present one champion again.",
        "Versions",
        shown=True,
        changes=True,
    ),
    Action(
        "models.archive",
        "a",
        "archive",
        "Take this version out of use.",
        "Versions",
        shown=True,
        changes=True,
    ),
    Action("models.back", "escape", "back", "Go one step back.", "View"),
)
