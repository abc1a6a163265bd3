"""Dialogs that fit their terminal: what is long in them scrolls, and the keys stay in sight."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import events

if TYPE_CHECKING:
    from textual.dom import DOMNode as _Base
else:
    _Base = object

SHARE = 0.92
"""Of the terminal's height, what a dialog takes at most."""
_BORDER = 2


class Fitted(_Base):
    """Mixed into a dialog, before Textual's class."""

    LONG: ClassVar[str] = ".-body"
    """What in it may be long."""

    REST: ClassVar[int] = 2
    """The lines of everything else in it."""

    def on_resize(self, event: events.Resize) -> None:
        room = int(event.size.height * SHARE) - _BORDER - self.REST
        for long in self.query(self.LONG):
            long.styles.max_height = max(1, room)
