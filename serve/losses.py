"""The alert about predictions and labels that were answered or taken, but could not be logged."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from store.alerts import clear_alert, raise_alert

if TYPE_CHECKING:
    from store.layout import Layout

KEY = "lost_predictions"
CALM_SECONDS = 60.0
"""How long nothing must be lost until the alert is cleared."""


class LossWatch:
    """Raises one alert while rows are lost, and clears it when appends work again."""

    def __init__(self, layout: Layout, lost: Callable[[], int], *, calm_s: float = CALM_SECONDS) -> None:
        self._layout = layout
        self._lost = lost
        self._calm_s = calm_s
        self._seen = 0
        self._last_loss_at = time.monotonic()
        self._is_raised = True  # perhaps by the server before this one
        self._is_due = False

    def look(self, problem: str | None = None) -> None:
        """Compare with the last look; `problem` says why the last row was lost. Never raises."""
        lost, now = self._lost(), time.monotonic()
        if lost > self._seen:
            self._seen, self._last_loss_at, self._is_due = lost, now, True
        if self._is_due:
            self._raise(lost, problem)
        elif self._is_raised and now - self._last_loss_at >= self._calm_s:
            clear_alert(self._layout, KEY, reason="predictions are logged again", quiet=True)
            self._is_raised = False

    def _raise(self, lost: int, problem: str | None) -> None:
        rows = "1 row" if lost == 1 else f"{lost:,} rows"
        alert = raise_alert(
            self._layout,
            KEY,
            kind="lost_predictions",
            severity="critical",
            message=f"{rows} could not be logged since the server's start"
            + (f": {problem}" if problem else ""),
            details={"lost": lost, "problem": problem},
            quiet=True,
        )
        # On a disk without any room the alert can't be written either: then at the next look.
        if alert.id:
            self._is_due, self._is_raised = False, True
