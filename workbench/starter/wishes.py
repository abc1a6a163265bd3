"""What a person asks of `workbench init`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from store.errors import UsageError


@dataclass(frozen=True)
class Wishes:
    """What the person asked for; relative paths count from `folder`."""

    data: str | None = None
    target: str | None = None
    config: Path | None = None
    estimator: str | None = None
    pipeline: str | None = None
    copy: bool = False
    folder: Path = Path()

    @property
    def anything(self) -> bool:
        """Whether there is a pipeline to draft. Raises UsageError for what means nothing without data."""
        if self.data or self.config:
            return True
        for option, value in (
            ("--target", self.target), ("--estimator", self.estimator), ("--pipeline", self.pipeline),
            ("--copy", self.copy),
        ):  # fmt: skip
            if value:
                raise UsageError(f"{option} needs the data too", "Add --data FILE.")
        return False
