"""From which effect on drift is worth a look, a warning, an alarm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["ok", "watch", "warning", "critical", "insufficient"]
SEVERITIES: tuple[Severity, ...] = ("insufficient", "ok", "watch", "warning", "critical")
"""From nothing known to worst."""


@dataclass(frozen=True)
class Bands:
    """Smallest effects of each severity."""

    watch: float = 0.02
    warning: float = 0.10
    critical: float = 0.25

    def severity(self, effect: float) -> Severity:
        if effect >= self.critical:
            return "critical"
        if effect >= self.warning:
            return "warning"
        return "watch" if effect >= self.watch else "ok"

    def raised(self, floor: float) -> Bands:
        """The bands where effects below `floor` are nothing new.

        What passes a floor above the warning is a warning; critical stays as far above that as it was.
        """
        warning = max(self.warning, floor)
        return Bands(max(self.watch, floor), warning, self.critical + (warning - self.warning))

    def as_json(self) -> dict[str, float]:
        return {"watch": self.watch, "warning": self.warning, "critical": self.critical}


FEATURE_BANDS = Bands()
PREDICTION_BANDS = Bands(0.02, 0.10, 0.20)
CLASSIC_BANDS = Bands(0.10, 0.10, 0.20)


def is_at_least(severity: Severity, least: Severity) -> bool:
    """Whether a severity is as bad as another."""
    return SEVERITIES.index(severity) >= SEVERITIES.index(least)


def worst(severities: list[Severity]) -> Severity:
    """The worst of them; `insufficient` where there is none."""
    return max(severities, key=SEVERITIES.index, default="insufficient")
