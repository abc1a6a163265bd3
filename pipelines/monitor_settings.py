"""The `[pipelines.NAME.monitor]` section of workbench.toml."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Literal

from pydantic import Field, field_validator

from store.settings_base import Settings

_DURATION = re.compile(r"(\d+)\s*(m|min|h|d|w)")
_UNITS = {"m": "minutes", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class BandSettings(Settings):
    """From which effect on one column is worth a look, a warning, an alarm."""

    watch: float = Field(0.02, ge=0)
    """Smallest effect that is flagged at all."""

    warning: float = Field(0.10, ge=0)
    """Smallest effect of a warning."""

    critical: float = Field(0.25, ge=0)
    """Smallest effect that is critical."""


class MonitorSettings(Settings):
    """How predictions are watched for drift."""

    window: str | int = "1h"
    """Predictions judged together: a time (`30m`, `1h`, `7d`), or a number of rows."""

    method: Literal["calibrated", "classic"] = "calibrated"
    """`calibrated`, or `classic`: KS with p < 0.05, PSI 0.1 and 0.2, nothing adjusted."""

    thresholds: dict[str, float | BandSettings] = Field({})
    """By column (or `prediction`): the smallest effect flagged, or `{watch, warning, critical}`."""

    patience: int = Field(2, ge=1, le=3)
    """Of the last 3 windows, how many must show the same drift before an alert is raised."""

    baseline: str = "training"
    """What to compare with: `training`, or the predictions of a time before the window (`7d`)."""

    segments: tuple[str, ...] = ()
    """Columns within whose values drift is watched too, against the reference's rows with that value."""

    @field_validator("window")
    @classmethod
    def _window(cls, window: str | int) -> str | int:
        if isinstance(window, str) and window.isdigit():
            window = int(window)
        if isinstance(window, int):
            if window < 100:
                raise ValueError("a window has at least 100 rows")
            return window
        if duration(window) < timedelta(minutes=5):
            raise ValueError("a window lasts at least 5 minutes (5m)")
        return window

    @field_validator("baseline")
    @classmethod
    def _baseline(cls, baseline: str) -> str:
        if baseline != "training":
            duration(baseline)
        return baseline


def duration(text: str) -> timedelta:
    """A time as in `30m`, `1h`, `7d`, `2w`; raises ValueError for anything else."""
    found = _DURATION.fullmatch(text.strip().lower())
    if found is None or int(found[1]) == 0:
        raise ValueError(f"{text!r} is no time; write it like 30m, 1h or 7d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})
