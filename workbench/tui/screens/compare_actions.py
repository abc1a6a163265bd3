"""What a person can do on the Compare screen."""

from __future__ import annotations

from workbench.tui.action import Action

ACTIONS: tuple[Action, ...] = (
    Action(
        "compare.baseline",
        "b",
        "baseline",
        "Take the next run as the one that differences are against.",
        "Compare",
        shown=True,
    ),
    Action(
        "compare.everything",
        "a",
        "all/differences",
        "Show what is the same, too, or only what differs.",
        "Compare",
        shown=True,
    ),
    Action("compare.remove", "x", "remove", "Leave a run out of the comparison.", "Compare", shown=True),
    Action("compare.curves", "v", "curves", "Show or hide the overlaid curves.", "Compare", shown=True),
    Action(
        "compare.plot",
        "p",
        "plot",
        "Plot this parameter or metric; again: back to the curves.",
        "Compare",
        shown=True,
    ),
    Action("compare.next_metric", "m", "next metric", "Plot the next metric against it.", "Compare"),
    Action(
        "compare.next_picture",
        "right_square_bracket",
        "next picture",
        "The next curves, then the metric against each parameter.",
        "Compare",
    ),
    Action("compare.previous_picture", "left_square_bracket", "picture before", "The one before.", "Compare"),
    Action("compare.back", "escape", "back", "One step back: to the table, then to the runs.", "Compare"),
)
