"""A list to choose from in a dialog."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import OptionList


class Choices(OptionList):
    """Textual's list with vim's keys and no frame of its own."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "cursor_down", "Next", show=False, id="choices.down"),
        Binding("k", "cursor_up", "Previous", show=False, id="choices.up"),
    ]
    DEFAULT_CSS = """
    Choices, Choices:focus { width: 1fr; height: auto; border: none; padding: 0; background: $surface;
        background-tint: transparent; scrollbar-size-vertical: 1; }
    """
