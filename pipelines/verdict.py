"""The gate's verdict, as it is shown, stored and journalled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Rule:
    """One line of the verdict: what was measured, what was needed, and whether it counts."""

    rule: str
    value: float | None
    needed: str
    passed: bool
    decides: bool = True
    """False for the comparison that is shown but not chosen by `gate.rule`."""
    note: str = ""


@dataclass(frozen=True)
class Verdict:
    """Whether the challenger may replace the champion, with every number that led there."""

    accepted: bool
    reasons: tuple[str, ...]
    rules: tuple[Rule, ...]
    metric: str = ""
    champion_version: int | None = None
    """Version compared with; None when this was the first."""
    challenger_value: float | None = None
    champion_value: float | None = None
    difference: float | None = None
    """How much better the challenger is in `metric`; negative when worse."""
    probability_better: float | None = None
    """How sure the paired test is that the challenger is better."""
    rows: int = 0
    """Held-out rows that both were scored on."""
    segments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_first(self) -> bool:
        return self.champion_version is None

    def as_json(self) -> dict[str, Any]:
        values = asdict(self)
        return {
            "accepted": values.pop("accepted"),
            "reasons": list(values.pop("reasons")),
            "rules": list(values.pop("rules")),
            **values,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Verdict:
        rules = tuple(Rule(**rule) for rule in values["rules"])
        return cls(**{**values, "reasons": tuple(values["reasons"]), "rules": rules})
