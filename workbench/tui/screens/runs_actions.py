"""What a person can do on the Runs screen."""

from __future__ import annotations

from workbench.tui.action import Action

ACTIONS: tuple[Action, ...] = (
    Action("runs.compare", "c", "compare", "Compare the marked runs, or this one.", "Runs", shown=True),
    Action(
        "runs.promote",
        "p",
        "promote",
        "Make the run's model champion; it is registered first where it has no version yet.",
        "Runs",
        shown=True,
        changes=True,
    ),
    Action(
        "runs.register",
        "m",
        "register",
        "Make a new version from the run's model; nothing in production changes.",
        "Runs",
        changes=True,
    ),
    Action("runs.rename", "r", "rename", "Give the run another name.", "Runs", changes=True),
    Action(
        "runs.tag", "t", "tag", "Set a tag, KEY=VALUE, on the marked runs or this one.", "Runs", changes=True
    ),
    Action("runs.note", "n", "note", "Write the run's note.", "Runs", changes=True),
    Action(
        "runs.delete",
        "d",
        "delete",
        "Delete the marked runs, or this one; they can be restored.",
        "Runs",
        shown=True,
        changes=True,
    ),
    Action(
        "runs.restore", "U", "restore", "Bring the marked or this deleted run back.", "Runs", changes=True
    ),
    Action(
        "runs.children",
        "b",
        "children",
        "Show the runs below others too, as the candidates of a search are, and back.",
        "View",
    ),
    Action("runs.deleted", "D", "deleted", "Show the deleted runs in place of the others, and back.", "View"),
    Action("runs.experiments", "e", "experiments", "Show or hide the list of experiments.", "View"),
    Action("runs.details", "v", "details", "Show or hide what is known about the run.", "View"),
    Action("runs.back", "escape", "back", "One step back: from the details to the table.", "View"),
    Action("runs.next_tab", "right_square_bracket", "next tab", "The next tab of the details.", "View"),
    Action("runs.previous_tab", "left_square_bracket", "previous tab", "The tab before.", "View"),
)
