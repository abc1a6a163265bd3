"""Registered models, their versions and who is champion, wherever they are kept."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from store.journal import Event

CHAMPION = "champion"
CHALLENGER = "challenger"
Role = Literal["champion", "challenger", "staging"]


@dataclass(frozen=True)
class ModelVersion:
    """One version of a registered model.

    `model_dir` is where its files are on this machine, of a moved project too; None when they are gone
    or elsewhere. `metrics` are those of its run.
    """

    name: str
    version: int
    aliases: tuple[str, ...]
    stage: str
    run_id: str | None
    source: str
    model_dir: Path | None
    created_at: datetime
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    status: str = "READY"
    updated_at: datetime | None = None


@dataclass(frozen=True)
class RegisteredModel:
    """A registered model; `versions` newest first. `problem` says what is broken in its files."""

    name: str
    versions: tuple[ModelVersion, ...]
    champion: int | None
    challenger: int | None
    description: str = ""
    problem: str | None = None


@dataclass(frozen=True)
class Transition:
    """A change of champion or challenger (or an archiving), with its event in the audit trail."""

    model: str
    what: str
    from_version: int | None
    to_version: int | None
    event: Event


class Registry(Protocol):
    """Reads and changes registered models. `who` is the current user unless named."""

    fetches_files: bool
    """Whether files of versions are elsewhere, and `version` brings them here."""

    def models(self) -> list[RegisteredModel]:
        """Every registered model, by name."""

    def model(self, name: str) -> RegisteredModel:
        """One model; NotFoundError names the nearest."""

    def version(self, name: str, which: int | str) -> ModelVersion:
        """A version by number, alias, stage or `latest`; NotFoundError says what there is."""

    def register(
        self,
        name: str,
        *,
        run_id: str,
        source: str | None = None,
        description: str = "",
        tags: Mapping[str, str] | None = None,
        who: str | None = None,
        reason: str | None = None,
    ) -> ModelVersion:
        """A new version from a run's newest logged model, or `source` (`runs:/ID/path`, `models:/m-…`)."""

    def promote(
        self,
        name: str,
        version: int,
        *,
        to: Role = "champion",
        who: str | None = None,
        reason: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> Transition:
        """Make a version champion (Production) or challenger (Staging); the former one is archived."""

    def rollback(self, name: str, *, who: str | None = None, reason: str | None = None) -> Transition:
        """Make the champion before the present one champion again; NotFoundError when there is none."""

    def archive(
        self, name: str, version: int, *, who: str | None = None, reason: str | None = None
    ) -> Transition:
        """Take a version out of use; a champion or challenger loses its alias."""

    def history(self, name: str) -> list[Event]:
        """The model's events, oldest first."""

    def settle(self) -> list[Event]:
        """Finish what a crash left half done, adopt what others changed; returns the events this made."""

    def fingerprint(self) -> Hashable:
        """Changes whenever an alias, stage or version changed; cheap enough to ask every second."""
