"""What travels between the process that asks for a training and the one that does it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from pipelines.settings import PipelineSettings
from pipelines.verdict import Verdict
from store.layout import Layout
from store.settings import StoreSettings

PromotePolicy = Literal["default", "never", "auto", "force"]

STAGES = ("Loading data", "Preparing", "Cross-validating", "Fitting", "Evaluating", "Logging", "Comparing")
"""The steps of a training, in order."""
SEARCHING = "Searching"
"""The step behind `Preparing` of a training that looks for its parameters."""


@dataclass(frozen=True)
class TrainRequest:
    """One training that is wanted."""

    pipeline: str
    settings: PipelineSettings
    tracking_uri: str
    """As in the settings; a relative folder is within the project."""
    layout: Layout
    store: StoreSettings = field(default_factory=StoreSettings)
    promote: PromotePolicy = "default"
    """`default`: the first good version becomes champion, later ones challenger (or champion with
    gate.auto_promote); `never`: register only; `auto`: champion when the gate accepts; `force`: champion
    whatever the gate says."""
    reason: str | None = None
    """Why, for the audit trail."""
    who: str | None = None
    """On whose behalf; the user of this process unless given."""
    trigger: str = "manual"
    run_name: str | None = None
    trusted_types: tuple[str, ...] = ()
    """Types beyond workbench's own allow-list that a skops model may contain."""
    data: str | None = None
    """Other data than the settings name, relative to the project or absolute."""
    is_repeated: bool = False
    """Whether a run is made again: its data was let in then, whatever rules and ledger say by now."""

    @property
    def model(self) -> str:
        """Name in the registry."""
        return self.settings.model or self.pipeline

    @property
    def experiment(self) -> str:
        return self.settings.experiment or self.pipeline

    def as_json(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        values["settings"] = self.settings.model_dump(mode="json")
        values["store"] = self.store.model_dump(mode="json")
        values["layout"] = {"root": str(self.layout.root), "state": str(self.layout.state)}
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> TrainRequest:
        layout = Layout(Path(values["layout"]["root"]), Path(values["layout"]["state"]))
        return cls(
            **{
                **values,
                "settings": PipelineSettings.model_validate(values["settings"]),
                "store": StoreSettings.model_validate(values["store"]),
                "layout": layout,
                "trusted_types": tuple(values["trusted_types"]),
            }
        )


@dataclass(frozen=True)
class TrainEvent:
    """One piece of progress: stage `step` of `steps`, what is done, and the share of it (0 to 1) if known."""

    step: int
    steps: int
    stage: str
    text: str = ""
    share: float | None = None
    run_id: str | None = None
    """From the moment the run exists."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class TrainResult:
    """What became of a training that ran to its end."""

    run_id: str
    run_name: str
    model: str
    version: int | None
    """Registered version; None when the gate refused."""
    metrics: Mapping[str, float]
    gate: Verdict | None
    promoted: bool
    """Whether this version is champion."""
    seconds: float
    notes: tuple[str, ...] = ()
    """What the person should know: columns left out, warnings of scikit-learn."""
    job_id: str = ""
    timings: Mapping[str, float] | None = None

    def as_json(self) -> dict[str, Any]:
        """As `workbench train --json` prints it."""
        return {
            "run_id": self.run_id,
            "run_name": self.run_name,
            "model": self.model,
            "version": self.version,
            "metrics": dict(self.metrics),
            "gate": None if self.gate is None else self.gate.as_json(),
            "promoted": self.promoted,
            "seconds": self.seconds,
            "notes": list(self.notes),
            "job_id": self.job_id,
            "timings": dict(self.timings or {}),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> TrainResult:
        gate = values["gate"]
        return cls(
            **{
                **values,
                "gate": None if gate is None else Verdict.from_json(gate),
                "notes": tuple(values["notes"]),
            }
        )
