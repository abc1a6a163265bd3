"""One line of what a person is asked to confirm."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ChangeRow:
    """One thing that will be otherwise. `tone` says whether that is for the better."""

    what: str
    before: str
    after: str
    tone: str = ""
