"""Who is champion and challenger: what the journal knows, what is on the disk, and what follows from both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from store.journal import Event
from store.registry import CHALLENGER, CHAMPION, ModelVersion

PRODUCTION = "Production"
STAGING = "Staging"
ARCHIVED = "Archived"
STAGE_OF = {CHAMPION: PRODUCTION, CHALLENGER: STAGING}
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Standing:
    """The two roles of a model."""

    champion: int | None = None
    challenger: int | None = None

    def of(self, role: str) -> int | None:
        return self.champion if role == CHAMPION else self.challenger

    def with_role(self, role: str, version: int | None) -> Standing:
        """The standing with one role given away; a version leaves the other role when it takes this one."""
        other = self.challenger if role == CHAMPION else self.champion
        if version is not None and other == version:
            other = None
        return Standing(version, other) if role == CHAMPION else Standing(other, version)


@dataclass
class Past:
    """What the journal says about one model."""

    standing: Standing | None = None
    """After the last event; None for a model the journal has never seen change."""
    champions: list[int] = field(default_factory=list)
    """The stack that rollback walks; the last is the present or latest champion."""
    archived: set[int] = field(default_factory=set)
    """Versions put away by hand: a rollback passes them over."""
    versions: set[int] = field(default_factory=set)
    unfinished: list[Event] = field(default_factory=list)
    """Intents without a commit."""

    def add(self, event: Event) -> None:
        """Take in the next event."""
        details = event.details
        if event.what == "intent":
            self.unfinished.append(event)
            return
        if "intent" in details:
            self.unfinished = [
                item for item in self.unfinished if item.details.get("id") != details["intent"]
            ]
        if event.what == "intent_dropped":
            return
        if details.get("change") == "model deleted":
            self.standing, self.champions, self.archived, self.versions = None, [], set(), set()
            return
        self.versions |= set(details.get("registered", ()))
        self.versions -= set(details.get("deleted", ()))
        if event.what == "archived" and isinstance(details.get("version"), int):
            self.archived.add(details["version"])
        self.archived |= set(details.get("put_away", ()))
        if "champion" in details:
            self._move(event.what, Standing(details["champion"], details.get("challenger")))

    def _move(self, what: str, standing: Standing) -> None:
        champion = standing.champion
        self.standing = standing
        if champion is None:
            return
        if what == "rolled_back":
            while self.champions and self.champions[-1] != champion:
                self.champions.pop()
        if not self.champions or self.champions[-1] != champion:
            self.champions.append(champion)
        self.archived.discard(champion)

    def earlier_champion(self, present: int | None, alive: Iterable[int]) -> int | None:
        """The champion a rollback goes back to; None when there is none left."""
        usable = set(alive) - self.archived - {present}
        stack = list(self.champions)
        if present is not None and present in stack:
            del stack[len(stack) - 1 - stack[::-1].index(present) :]
        return next((version for version in reversed(stack) if version in usable), None)


def adopt(known: Standing | None, versions: Sequence[ModelVersion], *, demote: bool = True) -> Standing:
    """The standing that follows when what is on the disk differs from what the journal knows.

    Whichever of alias and stage was changed by somebody else decides; the alias where both were, or where
    nothing is known yet. `demote=False` keeps a champion whose alias still stands when only its stage was
    taken away: MLflow's own transition passes through that state.
    """
    champion = _adopt_role(CHAMPION, known.champion if known else None, versions, demote)
    challenger = _adopt_role(CHALLENGER, known.challenger if known else None, versions, demote)
    return Standing(champion, None if challenger == champion else challenger)


def in_step(standing: Standing, versions: Sequence[ModelVersion]) -> list[ModelVersion]:
    """The versions as they should be: the role's alias and stage on its holder and on nobody else."""
    result = []
    for version in versions:
        aliases = {alias for alias in version.aliases if alias not in STAGE_OF}
        stage = version.stage
        for role, role_stage in STAGE_OF.items():
            if standing.of(role) == version.version:
                aliases.add(role)
                stage = role_stage
        held = next((role for role, own in STAGE_OF.items() if own == stage), None)
        if held is not None and standing.of(held) != version.version:
            stage = ARCHIVED
        result.append(replace(version, aliases=tuple(sorted(aliases)), stage=stage))
    return result


def _adopt_role(role: str, known: int | None, versions: Sequence[ModelVersion], demote: bool) -> int | None:
    named = next((version.version for version in versions if role in version.aliases), None)
    staged = [version for version in versions if version.stage == STAGE_OF[role]]
    if named is not None and named != known:
        return named
    others = [version for version in staged if version.version != known]
    if others:
        latest = max(others, key=lambda version: (version.updated_at or _LONG_AGO, version.version))
        return (max(others, key=lambda version: version.version) if known is None else latest).version
    if named is None:
        return None
    return named if not demote or any(version.version == known for version in staged) else None
