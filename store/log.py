"""The prediction log as a process writes it: requests as lines, in the kernel before their answers."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from store.ids import new_prediction_ids
from store.layout import Layout
from store.records import (
    OWN_ID,
    FeatureSchema,
    encode_feedback,
    encode_origin,
    encode_predictions,
    encode_schema,
)
from store.request_lines import RequestLines
from store.segments import frame, frame_pieces
from store.settings import StoreSettings
from store.spool import SpoolWriter

__all__ = ["FeatureSchema", "PredictionLog", "new_prediction_ids"]

_MOST_ORIGINS = 1_000
# What a value from outside can make the writing of a line raise.
_FAILURES = (OSError, TypeError, ValueError, OverflowError, RecursionError)
_lock = threading.Lock()


def _renew_lock() -> None:
    """In a forked child: a thread that isn't there may hold the parent's."""
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)


class PredictionLog:
    """Appends predictions and feedback to this process's part of the spool; safe for threads and forks.

    Nothing here raises: what could not be logged is counted in `lost`, and `problem` says why the last
    one failed. It is None again after the next success.
    """

    def __init__(self, layout: Layout, settings: StoreSettings, writer: str = "server") -> None:
        self.spool = SpoolWriter(layout.spool, writer=writer, durability=settings.durability)
        self.log_features = settings.log_features
        self._redacted = frozenset(settings.redact)
        self._schemas: dict[str, _PreparedSchema] = {}
        self._received_us = 0
        self.lost = 0
        """Predictions and labels that could not be logged since this process started."""
        self.problem: str | None = None

    def append(
        self,
        *,
        model: str,
        version: int,
        schema: FeatureSchema,
        prediction_ids: Sequence[str],
        predicted_at: datetime,
        predictions: Sequence[float | int | str | bool],
        probability: Sequence[float] | None,
        probabilities: Sequence[Sequence[float]] | None,
        classes: Sequence[Any] | None,
        numeric: Sequence[Sequence[float | None]],
        categorical: Sequence[Sequence[str | None]],
        latency_ms: float,
        role: str = "champion",
        request_id: str = "",
    ) -> bool:
        """Log one request; True when it is acknowledged: it survives whatever happens to this process.

        `numeric` and `categorical` hold a row for each prediction, in the schema's order, or are empty where
        the schema has no such feature; they and the predictions may be numpy arrays. `classes` is None for a
        regression.
        """
        try:
            prepared = self._schemas.get(schema.schema_id) or self._prepare(schema)
            payloads = encode_predictions(
                prepared.origin(model, version, role, classes),
                prediction_ids=prediction_ids,
                predicted_at=predicted_at,
                predictions=predictions,
                probability=probability,
                probabilities=probabilities,
                numeric=prepared.numeric(numeric) if self.log_features else None,
                categorical=prepared.categorical(categorical) if self.log_features else None,
                latency_ms=latency_ms,
                request_id=request_id,
            )
            lines = [part for pieces in payloads for part in frame_pieces(*pieces)]
            self.spool.append(lines, prepared.declaration)
        except _FAILURES as error:
            return self.failed(len(prediction_ids), error)
        self.problem = None
        return True

    def requests(
        self, *, model: str, version: int, schema: FeatureSchema, classes: Sequence[Any] | None, role: str
    ) -> RequestLog:
        """Where requests of one row to a model version are logged, many in one write."""
        prepared = self._schemas.get(schema.schema_id) or self._prepare(schema)
        return RequestLog(self, prepared, prepared.origin(model, version, role, classes))

    def append_feedback(self, items: Sequence[tuple[str, Any, datetime | None]]) -> bool:
        """Log labels (prediction id, label, when it was observed); of several for one id the last counts."""
        try:
            latest = {item[0]: item for item in items}
            lines = [frame(payload) for payload in encode_feedback([*latest.values()], self._receipt_time())]
            self.spool.append(lines)
        except _FAILURES as error:
            return self.failed(len(items), error)
        self.problem = None
        return True

    def close(self) -> None:
        """End the segment, so that the fold can take it whole."""
        try:
            self.spool.close()
        except OSError as error:
            self.problem = _describe(error)

    def _prepare(self, schema: FeatureSchema) -> _PreparedSchema:
        prepared = self._schemas[schema.schema_id] = _PreparedSchema(schema, self._redacted)
        return prepared

    def _receipt_time(self) -> int:
        """Microseconds now, later than any before, so that the later label wins."""
        with _lock:
            self._received_us = max(time.time_ns() // 1_000, self._received_us + 1)
            return self._received_us

    def failed(self, count: int, error: Exception) -> bool:
        """Count what could not be logged; False."""
        with _lock:
            self.lost += count
        self.problem = _describe(error)
        return False


class RequestLog:
    """The requests of one row to a model version, with what their lines share made once."""

    def __init__(self, log: PredictionLog, prepared: _PreparedSchema, origin: bytes) -> None:
        self._log = log
        self._prepared = prepared
        self._origin = origin
        self._usual = prepared.usual_lines(origin) if log.log_features else None

    def append(
        self,
        prediction_ids: Sequence[str],
        predicted_us: int,
        predictions: Sequence[float | int | str | bool],
        probability: Sequence[float] | None,
        probabilities: Sequence[Sequence[float]] | None,
        numeric: Sequence[Sequence[float | None]],
        categorical: Sequence[Sequence[str | None]],
        latencies_ms: list[float],
        request_ids: list[str] | None,
    ) -> bool:
        """Log requests that were answered in the same moment (microseconds since 1970); see `append`.

        The latency, to the microsecond, and the request's id are each row's own; without ids, each request
        has its prediction's.
        """
        log, prepared = self._log, self._prepared
        try:
            line = self._usual and self._usual.line(
                prediction_ids,
                predicted_us,
                predictions,
                probability,
                probabilities,
                numeric,
                latencies_ms,
                request_ids,
            )
            if line:
                log.spool.append([line], prepared.declaration)
                log.problem = None
                return True
            payloads = encode_predictions(
                self._origin,
                prediction_ids=prediction_ids,
                predicted_at=predicted_us,
                predictions=predictions,
                probability=probability,
                probabilities=probabilities,
                numeric=prepared.numeric(numeric) if log.log_features else None,
                categorical=prepared.categorical(categorical) if log.log_features else None,
                latency_ms=latencies_ms,
                request_id=request_ids or OWN_ID,
            )
            log.spool.append([frame(b"".join(pieces)) for pieces in payloads], prepared.declaration)
        except _FAILURES as error:
            return log.failed(len(prediction_ids), error)
        log.problem = None
        return True


class _PreparedSchema:
    """A schema with the places of its redacted columns, and its declaration as a line."""

    def __init__(self, schema: FeatureSchema, redacted: frozenset[str]) -> None:
        self._schema_id = schema.schema_id
        self._origins: dict[tuple[str, int, str, int], tuple[Any, bytes]] = {}
        self.declaration = ((schema.schema_id, frame(encode_schema(schema))),)
        self._n_numeric = len(schema.numeric_names)
        self._n_categorical = len(schema.categorical_names)
        self._numeric = [i for i, name in enumerate(schema.numeric_names) if name in redacted]
        self._categorical = [i for i, name in enumerate(schema.categorical_names) if name in redacted]

    def origin(self, model: str, version: int, role: str, classes: Sequence[Any] | None) -> bytes:
        """The beginning of a model version's lines, made once: it would be a third of an append."""
        # By identity, as (0, 1) equals (False, True); the classes are kept, so that theirs isn't given again.
        key = (model, version, role, id(classes))
        found = self._origins.get(key)
        if found is None:
            origin = encode_origin(
                model=model, version=version, schema_id=self._schema_id, role=role, classes=classes
            )
            if classes is not None and not isinstance(classes, tuple):
                return origin  # a list may say something else the next time
            if len(self._origins) >= _MOST_ORIGINS:
                self._origins.clear()
            found = self._origins[key] = (classes, origin)
        return found[1]

    def usual_lines(self, origin: bytes) -> RequestLines | None:
        """What writes the lines of most requests; None where features are text or redacted."""
        if self._n_categorical or not self._n_numeric or self._numeric:
            return None
        return RequestLines(origin, self._n_numeric)

    def numeric(self, rows: Any) -> Any:
        return _checked(rows, self._n_numeric, self._numeric, "numeric")

    def categorical(self, rows: Any) -> Any:
        return _checked(rows, self._n_categorical, self._categorical, "categorical")


def _checked(rows: Any, width: int, redacted: list[int], what: str) -> Any:
    """The rows, without their redacted values; None where there is no such feature."""
    if width == 0:
        return None
    if len(rows) and len(rows[0]) != width:
        raise ValueError(f"{len(rows[0])} {what} values for {width} {what} features")
    if not redacted:
        return rows
    kept = [list(row) for row in rows]
    for row in kept:
        for place in redacted:
            row[place] = None
    return kept


def _describe(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror} ({error.filename})" if error.filename else error.strerror
    return str(error) or type(error).__name__
