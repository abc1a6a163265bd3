"""One thing a person can do on a screen."""

from __future__ import annotations

from dataclasses import dataclass

from textual.binding import Binding


@dataclass(frozen=True)
class Action:
    """An entry of the registry, from which the key, the footer, the help and the palette are made."""

    id: str
    """`SCREEN.VERB`, or `app.VERB` for every screen: what a person's keymap calls it."""

    keys: str
    """Textual's names of the keys, separated by commas."""

    label: str
    """For the footer: a word or two."""

    help: str
    """One sentence that says what happens."""

    group: str = "This screen"
    """Under which heading the help shows it."""

    shown: bool = False
    """Whether the footer shows it, where there is room."""

    changes: bool = False
    """Whether it changes anything but the view: not offered when the UI is read-only."""

    call: str = ""
    """Textual's action; by default the verb, which the screen has as `action_VERB`."""

    is_priority: bool = False
    """Whether it comes before whatever has the focus."""

    @property
    def screen(self) -> str:
        return self.id.partition(".")[0]

    @property
    def verb(self) -> str:
        """What Textual is asked to do."""
        return self.call or self.id.partition(".")[2]

    def binding(self) -> Binding:
        return Binding(
            self.keys,
            self.verb,
            self.label,
            show=self.shown,
            id=self.id,
            tooltip=self.help,
            priority=self.is_priority,
        )
