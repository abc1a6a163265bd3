"""What a person can do on the Data screen."""

from __future__ import annotations

from workbench.tui.action import Action

ACTIONS: tuple[Action, ...] = (
    Action(
        "data.switch",
        "t",
        "files/jobs",
        "Change between the data files and the trainings with their logs.",
        "View",
        shown=True,
    ),
    Action(
        "data.train",
        "n",
        "train now",
        "Queue a training, with other parameters if wanted; starts the watcher, which runs it, after asking.",
        "Training",
        shown=True,
        changes=True,
    ),
    Action(
        "data.release",
        "r",
        "release",
        "Let the quarantined file under the cursor into training; asks first, and wants a reason.",
        "Files",
        shown=True,
        changes=True,
    ),
    Action(
        "data.cancel",
        "x",
        "cancel",
        "End the training under the cursor, queued or running; asks first.",
        "Training",
        shown=True,
        changes=True,
    ),
    Action(
        "data.retry",
        "e",
        "retry",
        "Queue the training under the cursor once more.",
        "Training",
        shown=True,
        changes=True,
    ),
    Action(
        "data.pause",
        "p",
        "pause",
        "Let new data train nothing for now, or go on; files are still seen and validated.",
        "Watcher",
        shown=True,
        changes=True,
    ),
    Action(
        "data.watcher",
        "o",
        "watcher",
        "Start the watcher, or stop it; asks first.",
        "Watcher",
        shown=True,
        changes=True,
    ),
    Action(
        "data.follow",
        "f",
        "follow",
        "Stay with the end of a training's log, or stand still.",
        "View",
        shown=True,
    ),
    Action("data.back", "escape", "back", "Go one step back.", "View"),
)
