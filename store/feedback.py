"""Ground truth for predictions: append-only, of several labels for one prediction the last counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from store.log import PredictionLog
from store.predictions import PredictionReader

Label = float | int | str | bool


@dataclass(frozen=True)
class Receipt:
    """How many labels belong to logged predictions, and how many don't; those are kept aside."""

    accepted: int
    unknown: int
    unknown_ids: tuple[str, ...] = ()
    """The first of them."""
    lost: int = 0
    """Labels that could not be written; the log's `problem` says why."""


def give_feedback(
    log: PredictionLog, reader: PredictionReader, items: Sequence[tuple[str, Label, datetime | None]]
) -> Receipt:
    """Log labels: (prediction id, label, when it was observed or None).

    Labels of unknown predictions are kept as well and join their prediction should it come.
    """
    if not items:
        return Receipt(0, 0)
    known = reader.known_ids({item[0] for item in items})
    if not log.append_feedback(items):
        return Receipt(0, 0, lost=len(items))
    unknown = [item[0] for item in items if item[0] not in known]
    return Receipt(len(items) - len(unknown), len(unknown), tuple(dict.fromkeys(unknown))[:10])
