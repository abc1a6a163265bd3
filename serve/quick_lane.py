"""The way of the common request: one small JSON record for a quick model.

All that arrive in one turn of the event loop are checked, predicted and logged together, so a turn costs
one call of the model and one write to the log, however many clients there are. Alone, a request loses
nothing: its turn ends as soon as it is read. Whatever is out of the ordinary goes the way of all other
requests, which has the words for it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from serve.answers import answer_rows
from serve.bodies import rows_of_json
from serve.lanes import MOST_TOGETHER, predict
from serve.problems import Problem
from serve.served_model import SLOW_ROW_MS, ServedModel
from store.ids import new_prediction_ids
from store.plans import MOST_ROWS

if TYPE_CHECKING:
    from serve.gate import Gate
    from serve.hosting import ModelHost
    from serve.telemetry import Telemetry
    from store.log import FeatureSchema, PredictionLog, RequestLog

log = logging.getLogger("workbench.serve")

MOST_BYTES = 16_384
"""Larger bodies take the common way."""
_MOST_LOGS = 100


class Asking(Protocol):
    """A request, as the connection that read it knows it."""

    scope: dict[str, Any]

    def answer(self, body: bytes, request_id: str) -> None:
        """Send the answer."""

    def go_the_common_way(self) -> None:
        """Have the application answer."""


@dataclass(frozen=True)
class _Asked:
    asking: Asking
    row: Any
    request_id: str
    """Of the client's own; empty where it gave none."""
    started: float


class QuickLane:
    """Takes requests in, and answers them at the end of the event loop's turn."""

    def __init__(
        self, host: ModelHost, telemetry: Telemetry, gate: Gate, prediction_log: PredictionLog | None
    ) -> None:
        self._host = host
        self._telemetry = telemetry
        self._gate = gate
        self._log = prediction_log
        self._waiting: dict[ServedModel, list[_Asked]] = {}
        self._is_due = False
        self._names: dict[str, str | None] = {"/predict": None}
        self._logs: dict[tuple[str, int, str], tuple[FeatureSchema, RequestLog]] = {}

    def leads_to(self, path: str) -> bool:
        """Whether a POST to this path may go this way."""
        if self._gate.notes_requests:
            return False
        if path in self._names:
            return True
        name = path.removeprefix("/models/").removesuffix("/predict")
        if len(path) != len(name) + len("/models//predict") or "/" in name or name not in self._host.models:
            return False
        self._names[path] = name
        return True

    def take(self, asking: Asking, body: bytes, request_id: str) -> bool:
        """Take a request to answer it soon; False where it has to go the common way."""
        started = time.perf_counter()
        scope = asking.scope
        model = self._host.present(self._names[scope["path"]])
        if model is None or model.row_ms > SLOW_ROW_MS:
            return False
        try:
            rows = rows_of_json(orjson.loads(body), model.names)
            if not rows.is_single:
                return False
            scope["admitted"] = self._gate.admit(scope)
        except (Problem, orjson.JSONDecodeError):
            return False
        self._waiting.setdefault(model, []).append(_Asked(asking, rows.rows[0], request_id, started))
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self.answer_all)
        return True

    def answer_all(self) -> None:
        """Answer what was taken in; called once a turn, and earlier where a connection brings more."""
        self._is_due = False
        waiting, self._waiting = self._waiting, {}
        for model, asked in waiting.items():
            most = MOST_TOGETHER if model.loaded.plan is None else MOST_ROWS
            for start in range(0, len(asked), most):
                together = asked[start : start + most]
                try:
                    self._answer(model, together)
                except Exception:  # a fault of ours: the common way has an answer for that too
                    log.exception("predicting %d requests together failed", len(together))
                    for item in together:
                        item.asking.go_the_common_way()

    def _answer(self, model: ServedModel, asked: Sequence[_Asked]) -> None:
        try:
            batch = model.schema.from_json([item.row for item in asked])
            predictions = None if batch.is_slow else predict(model, batch)
        except Problem:
            predictions = None
        if predictions is None:
            if len(asked) == 1:
                asked[0].asking.go_the_common_way()
                return
            # One of them is at fault, or slow: each by itself, so that nobody fails or waits for another.
            for item in asked:
                self._answer(model, [item])
            return
        ended = time.perf_counter()
        latencies = [round((ended - item.started) * 1000, 3) for item in asked]
        ids = new_prediction_ids(len(asked))
        # A request of one row goes by its prediction's id, unless the client named it.
        request_ids = [item.request_id or own for item, own in zip(asked, ids, strict=True)]
        is_logged = self._is_logged(model, batch, predictions, ids, latencies, request_ids)
        shown = ids if is_logged else [None] * len(asked)
        rows = answer_rows(model.loaded, model.name, model.version, predictions, shown, 0.0)
        counters = self._telemetry.of(model)
        counters.answered.inc(len(asked))
        self._telemetry.tutorial_success.inc(len(asked))
        for latency_ms in latencies:
            counters.latency.observe(latency_ms / 1000)
            self._telemetry.tutorial_latency.observe(latency_ms / 1000)
        for item, row, latency_ms, request_id in zip(asked, rows, latencies, request_ids, strict=True):
            row["latency_ms"] = latency_ms
            item.asking.answer(orjson.dumps(row), request_id)

    def _is_logged(
        self,
        model: ServedModel,
        batch: Any,
        predictions: Any,
        ids: list[str],
        latencies: list[float],
        request_ids: list[str],
    ) -> bool:
        """Log the predictions; False where there is no log or it could not take them."""
        if self._log is None:
            return False
        probability, probabilities = predictions.probability, predictions.probabilities
        is_logged = self._requests_of(model, self._log).append(
            ids,
            time.time_ns() // 1_000,
            predictions.prediction,
            probability,
            # For two classes the one number says it all.
            probabilities if probability is None else None,
            batch.numeric,
            batch.categorical,
            latencies,
            None if request_ids == ids else request_ids,
        )
        if not is_logged:
            self._telemetry.lost_rows.inc(len(ids))
        return is_logged

    def _requests_of(self, model: ServedModel, prediction_log: PredictionLog) -> RequestLog:
        key = (model.name, model.version, model.role)
        schema, found = self._logs.get(key, (None, None))
        if found is None or schema is not model.schema.logged:
            if len(self._logs) >= _MOST_LOGS:
                self._logs.clear()
            found = prediction_log.requests(
                model=model.name,
                version=model.version,
                schema=model.schema.logged,
                classes=model.loaded.classes,
                role=model.role,
            )
            self._logs[key] = (model.schema.logged, found)
        return found
