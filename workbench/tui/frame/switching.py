"""Turning something on or off that takes a while, and saying so meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from workbench.tui.frame.screen import WorkbenchScreen as _Base
else:
    _Base = object

T = TypeVar("T")


class Switching(_Base):
    """Mixed into a screen from which a process is started and stopped."""

    switching = ""
    """What is being done at the moment, in words."""

    def switching_changed(self) -> None:
        """Something is being switched, or no longer: show it, and what has become of it."""
        raise NotImplementedError

    def switch(self, words: str, call: Callable[[], T], said: Callable[[T], str]) -> None:
        """Do it in a worker; `words` until it is done, then what `said` makes of the outcome."""
        self._set_switching(words)
        self.ask("switch", call, partial(self._switched, said), self._not_switched)

    def _switched(self, said: Callable[[T], str], outcome: T) -> None:
        self.workbench.toast(said(outcome))
        self._set_switching("")

    def _not_switched(self, error: Exception) -> None:
        self._set_switching("")
        self.tell_error(error)

    def _set_switching(self, words: str) -> None:
        self.switching = words
        self.switching_changed()
