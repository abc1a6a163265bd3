"""The latest predictions in the log, read again only when it has grown."""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from store.layout import Layout

_SHARE_OF_TIME = 0.2
"""How much of the time reading may take while predictions pour in."""

_LONGEST_PAUSE_S = 5.0


@dataclass(frozen=True)
class PredictionRow:
    """One logged prediction; `actual` is its label where one came."""

    id: str
    at: datetime
    model: str
    version: int
    prediction: Any
    probability: float | None
    actual: Any
    latency_ms: float | None
    features: Mapping[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Recent:
    """The latest predictions, newest first; `note` says what is missing from them."""

    rows: tuple[PredictionRow, ...] = ()
    note: str | None = None


class RecentPredictions:
    """Reads one project's log; the same object comes back while nothing is added to it."""

    def __init__(self, layout: Layout) -> None:
        from store.predictions import PredictionReader

        self._layout = layout
        self._reader = PredictionReader(layout, timeout_s=0.5)
        self._lock = threading.Lock()
        self._seen: Hashable = None
        self._limit = 0
        self._not_before = 0.0
        self._recent = Recent()

    def read(self, limit: int = 100) -> Recent:
        """The newest `limit` predictions. Raises WorkbenchError where the log can't be read."""
        with self._lock:
            seen = _signature(self._layout)
            is_due = time.monotonic() >= self._not_before
            if limit == self._limit and (seen == self._seen or not is_due):
                return self._recent
            started = time.monotonic()
            table = self._reader.recent(limit=limit)
            took = time.monotonic() - started
            self._not_before = started + min(took / _SHARE_OF_TIME, _LONGEST_PAUSE_S)
            made = Recent(tuple(_row(record) for record in table.records()), table.note)
            if made != self._recent:
                self._recent = made
            # Where the file was held by somebody, the next look tries again.
            self._seen, self._limit = (None if table.note else seen), limit
            return self._recent


def _row(record: Mapping[str, Any]) -> PredictionRow:
    label = record["label"]
    return PredictionRow(
        id=record["prediction_id"],
        at=record["predicted_at"],
        model=record["model"],
        version=record["version"],
        prediction=record["prediction"] if label is None else label,
        probability=record["probability"],
        actual=record["actual_label"],
        latency_ms=record["latency_ms"],
        features=record["features"],
    )


def _signature(layout: Layout) -> Hashable:
    """Changes whenever the spool or the file does."""
    from store.segments import list_segments

    found = []
    for path in (layout.predictions, *list_segments(layout.spool)):
        try:
            status = path.stat()
        except OSError:
            continue
        found.append((path.name, status.st_size, status.st_mtime_ns))
    return tuple(found)
