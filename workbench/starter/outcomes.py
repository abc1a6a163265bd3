"""What becomes of each key of a configuration file: a setting, or a reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from pipelines.columns import TaskName

NOTHING = "nothing"
"""Stands for the setting of a key that is understood and needs none."""


@dataclass(frozen=True)
class Entry:
    """One key of the file with its value; `path` is normalized, `key` as it is written."""

    key: str
    path: tuple[str, ...]
    value: Any


@dataclass(frozen=True)
class Outcome:
    """What became of one key: the setting it stands for, or why there is none."""

    key: str
    value: Any
    setting: str | None
    reason: str = ""

    @property
    def where(self) -> str:
        """The setting, or why none is needed."""
        return f"({self.reason})" if self.setting == NOTHING else f"{self.setting}"


@dataclass
class Conversion:
    """The settings found in a configuration file, and an account of every key."""

    task: TaskName | None = None
    """The pipeline's, where it is known already."""

    settings: dict[str, Any] = field(default_factory=dict)
    """Dotted keys below `[pipelines.NAME]`."""

    sections: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Further top-level sections, such as serve."""

    project_name: str | None = None
    outcomes: list[Outcome] = field(default_factory=list)
    noted: list[str] = field(default_factory=list)

    def take(self, entry: Entry, setting: str, value: Any, reason: str = "") -> None:
        """Record a converted key; the first of two keys for one setting wins."""
        if setting in self.settings and self.settings[setting] != value:
            self.leave(entry, f"{setting} is set by another key already")
            return
        self.settings[setting] = value
        self.outcomes.append(Outcome(entry.key, entry.value, setting, reason))

    def override(self, setting: str, reason: str) -> None:
        """Take back a setting and those below it."""
        self.settings = {
            key: value for key, value in self.settings.items() if not f"{key}.".startswith(f"{setting}.")
        }
        self.outcomes = [
            replace(outcome, setting=None, reason=reason)
            if f"{outcome.setting}.".startswith(f"{setting}.")
            else outcome
            for outcome in self.outcomes
        ]

    def note(self, entry: Entry, reason: str) -> None:
        """Record a key that needs no setting."""
        self.outcomes.append(Outcome(entry.key, entry.value, NOTHING, reason))

    def leave(self, entry: Entry, reason: str) -> None:
        self.outcomes.append(Outcome(entry.key, entry.value, None, reason))

    @property
    def converted(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.setting]

    @property
    def left(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if not outcome.setting]
