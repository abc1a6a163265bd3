"""What a person can do on the Serve screen."""

from __future__ import annotations

from workbench.tui.action import Action

ACTIONS: tuple[Action, ...] = (
    Action(
        "serve.switch",
        "o",
        "on/off",
        "Start the server, or stop it; asks first.",
        "Server",
        shown=True,
        changes=True,
    ),
    Action(
        "serve.try_one",
        "t",
        "try one",
        "Fill in a form and let the model under the cursor predict it.",
        "Server",
        shown=True,
    ),
    Action(
        "serve.detach",
        "d",
        "detach",
        "Leave the server running when this UI ends; quitting doesn't ask then.",
        "Server",
        shown=True,
        changes=True,
    ),
    Action("serve.log", "v", "log", "Show the last lines the server has written.", "Server", shown=True),
    Action("serve.back", "escape", "back", "Go one step back.", "View"),
)
