"""The one registry of screens and actions: keys, footer, help, palette and keymap are made from it.

A screen joins by a module of actions (`screens/NAME_actions.py`, data only) and a line in `SCREENS`; the
module with its class is imported when the screen is first opened.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from textual.binding import Binding, BindingType

from workbench.tui.action import Action
from workbench.tui.screens import (
    compare_actions,
    data_actions,
    drift_actions,
    events_actions,
    models_actions,
    runs_actions,
    serve_actions,
)
from workbench.tui.widgets.table.keys import TABLE_KEYS


@dataclass(frozen=True)
class ScreenEntry:
    """A screen: its number, its name in the title line, and where its class is."""

    name: str
    key: str
    title: str
    module: str
    class_name: str
    actions: tuple[Action, ...]
    needs_project: bool = False


SCREENS: dict[str, ScreenEntry] = {
    entry.name: entry
    for entry in (
        ScreenEntry("runs", "1", "Runs", "runs", "RunsScreen", runs_actions.ACTIONS),
        ScreenEntry("compare", "2", "Compare", "compare", "CompareScreen", compare_actions.ACTIONS),
        ScreenEntry("models", "3", "Models", "models", "ModelsScreen", models_actions.ACTIONS),
        ScreenEntry("drift", "4", "Drift", "drift", "DriftScreen", drift_actions.ACTIONS, needs_project=True),
        ScreenEntry("serve", "5", "Serve", "serve", "ServeScreen", serve_actions.ACTIONS, needs_project=True),
        ScreenEntry("data", "6", "Data", "data", "DataScreen", data_actions.ACTIONS, needs_project=True),
        ScreenEntry("events", "7", "Events", "events", "EventsScreen", events_actions.ACTIONS),
    )
}

APP_ACTIONS: tuple[Action, ...] = (
    *(
        Action(
            f"app.{entry.name}",
            entry.key,
            entry.title,
            f"Go to {entry.title}.",
            "Everywhere",
            call=f"app.open_screen('{entry.name}')",
        )
        for entry in SCREENS.values()
    ),
    Action("app.help", "question_mark,f1", "help", "Show what every key does here.", "Everywhere"),
    Action(
        "app.palette",
        "ctrl+p",
        "palette",
        "Find an action by name.",
        "Everywhere",
        call="app.command_palette",
        is_priority=True,
    ),
    Action("app.refresh", "f5,ctrl+r", "refresh", "Look at everything again, at once.", "Everywhere"),
    Action(
        "app.quit",
        "q",
        "quit",
        "Leave; what becomes of a server started here is asked first.",
        "Everywhere",
        call="app.request_quit",
    ),
    Action(
        "app.interrupt",
        "ctrl+c,ctrl+q",
        "quit",
        "Leave, from wherever you are.",
        "Everywhere",
        call="app.request_quit",
        is_priority=True,
    ),
)


def screen_actions(screen: str) -> tuple[Action, ...]:
    """The actions of one screen; none for a screen that is not in the registry."""
    return SCREENS[screen].actions if screen in SCREENS else ()


def bindings(actions: Iterable[Action]) -> list[BindingType]:
    """The actions as Textual binds them."""
    return [action.binding() for action in actions]


def all_actions() -> list[Action]:
    """Everything a person can do, everywhere."""
    return [*APP_ACTIONS, *(action for entry in SCREENS.values() for action in entry.actions)]


def find(action_id: str | None) -> Action | None:
    """The action of that id."""
    return next((action for action in all_actions() if action.id == action_id), None)


def unknown_keys(keymap: Mapping[str, str]) -> list[str]:
    """What is wrong with a person's keymap, in words; its other entries hold."""
    table = [key.id for key in TABLE_KEYS if isinstance(key, Binding) and key.id]
    known = [*(action.id for action in all_actions()), *table]
    problems = []
    for action_id in keymap:
        if action_id in known or action_id.partition(".")[0] in ("chart", "filter", "columns", "choices"):
            continue
        close = difflib.get_close_matches(action_id, known, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else " The help (?) names every action."
        problems.append(f"[ui] keys: no action {action_id!r}.{hint}")
    return problems
