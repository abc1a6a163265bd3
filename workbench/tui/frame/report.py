"""Longer texts over a screen: the help, and the report of an error that nobody foresaw."""

from __future__ import annotations

import textwrap
import traceback
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen, Screen
from textual.widgets import Static

from workbench.tui.actions import find
from workbench.tui.frame.dialogs import DIALOG_CSS
from workbench.tui.widgets.cells import clean, width
from workbench.tui.widgets.fitting import Fitted

_WIDEST = 90


class ReportScreen(Fitted, ModalScreen[None]):
    """A text to read and scroll; esc goes back."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter,question_mark", "close", "Back", show=False),
        Binding("down,j", "scroll(1)", show=False),
        Binding("up,k", "scroll(-1)", show=False),
        Binding("pagedown,space,ctrl+f", "page(1)", show=False),
        Binding("pageup,ctrl+b", "page(-1)", show=False),
        Binding("home,g", "edge(-1)", show=False),
        Binding("end,G", "edge(1)", show=False),
    ]
    DEFAULT_CSS = f"ReportScreen {{ {DIALOG_CSS} & > Vertical {{ width: {_WIDEST}; }} }}"

    def __init__(self, title: str, text: Content) -> None:
        super().__init__()
        self._title = title
        self._text = text

    def compose(self) -> ComposeResult:
        with Vertical() as frame:
            frame.border_title = Content(clean(self._title))
            with VerticalScroll(classes="-body", can_focus=False):
                yield Static(self._text)
            yield Static("↑↓ scroll   esc  back", classes="-keys", markup=False)

    def action_close(self) -> None:
        self.dismiss(None)

    def action_scroll(self, by: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False)

    def action_page(self, by: int) -> None:
        body = self.query_one(VerticalScroll)
        body.scroll_relative(y=by * max(1, body.size.height - 1), animate=False)

    def action_edge(self, side: int) -> None:
        body = self.query_one(VerticalScroll)
        body.scroll_to(y=0 if side < 0 else body.max_scroll_y, animate=False)


def error_report(error: BaseException) -> ReportScreen:
    """What went wrong, what to do next, and the traceback for whoever mends it."""
    trace = "".join(traceback.format_exception(error)).rstrip()
    reason = " ".join(str(error).split()) or "no message"
    text = Content.assemble(
        (f"{type(error).__name__}: {clean(reason)}", "bold $text-error"),
        "\n\nThis should not have happened; nothing was changed by it. Go on with esc. If it comes again,\n"
        "workbench doctor checks the project, and the lines below tell a developer where to look.\n\n",
        ("\n".join(map(clean, trace.splitlines())), "$foreground 60%"),
    )
    return ReportScreen("something went wrong", text)


def _place_of(node: object) -> str:
    """What a person calls the widget or screen that keys of its own work in."""
    name = type(node).__name__
    return "everywhere else" if name.endswith("Screen") else name.removeprefix("Virtual").lower()


def _help_lines(keys: str, text: str, action_id: str, columns: int) -> list[Content]:
    """A key's lines: what it does wraps beside it, and its id stands behind where there is room."""
    room = max(20, min(_WIDEST, columns * 96 // 100) - 6 - width(keys))
    wrapped = textwrap.wrap(text, room) or [""]
    lines = [Content(wrapped[0]), *(Content(" " * width(keys) + more) for more in wrapped[1:])]
    lines[0] = Content.assemble((keys, "bold $text-accent"), lines[0])
    if action_id and len(wrapped[-1]) + 2 + len(action_id) > room:
        lines.append(Content(" " * (width(keys) - 2)))
    if action_id:
        lines[-1] = Content.assemble(lines[-1], (f"  {action_id}", "$foreground 60%"))
    return lines


def help_for(screen: Screen[object]) -> ReportScreen:
    """Every key that works on `screen` at the moment, by what it belongs to."""
    groups: dict[str, list[tuple[str, str, str]]] = {}
    seen: set[tuple[str, str]] = set()
    by_action: dict[tuple[str, str], list[str]] = {}
    actives = [
        active for active in screen.active_bindings.values() if active.enabled and active.binding.description
    ]
    for active in actives:
        by_action.setdefault((str(active.node), active.binding.id or active.binding.action), []).append(
            screen.app.get_key_display(active.binding)
        )
    for active in actives:
        binding = active.binding
        place = (str(active.node), binding.id or binding.action)
        if place in seen or binding.system:
            continue
        seen.add(place)
        action = find(binding.id)
        group = action.group if action else _place_of(active.node)
        text = action.help if action else binding.description
        groups.setdefault(group, []).append((" ".join(by_action[place]), text, binding.id or ""))
    order = sorted(groups, key=lambda name: (name == "Everywhere", name[:1].islower()))
    lines: list[Content] = []
    for group in order:
        lines.append(Content.assemble((group, "bold")))
        wide = max(width(keys) for keys, _, _ in groups[group])
        for keys, text, action_id in groups[group]:
            padded = f"  {keys}{' ' * (wide - width(keys))}  "
            lines += _help_lines(padded, text, action_id, screen.app.size.width)
        lines.append(Content(""))
    lines.append(
        Content.assemble(
            ('The names on the right change keys: [ui] keys = {"runs.delete" = "x"}', "$foreground 60%")
        )
    )
    return ReportScreen("keys", Content("\n").join(lines))
