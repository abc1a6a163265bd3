"""From a request's body to its answer: read, check, predict, log, then reply."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from serve.answers import Answers, csv_answer, json_answer, wants_csv
from serve.batch_stream import BatchDesk, is_small
from serve.bodies import body_format
from serve.body_weight import check_rows
from serve.daemon_threads import DaemonThreads
from serve.gate import request_id_of
from serve.hosting import ModelHost
from serve.input_schema import Batch
from serve.invocations import read_invocation, write_invocation
from serve.lanes import Lane, ThreadLane, lane_to, predict
from serve.large_answers import as_large
from serve.outbox import Memory, Outbox
from serve.paces import Paces
from serve.problems import Problem
from serve.request_body import read_body
from serve.row_parts import read_rows
from serve.served_model import ServedModel
from serve.telemetry import Telemetry
from serve.tracing import note_model
from store.ids import new_prediction_ids

if TYPE_CHECKING:
    from serve.settings import ServeSettings
    from store.loaded_model import Predictions
    from store.log import PredictionLog

T = TypeVar("T")

INLINE_BYTES = 16_384
"""A body up to this size is read on the event loop; a larger one in a thread, with all that follows, unless
`serve.paces` has it stay."""
_THREADS = 4
_ANSWER_BYTES = 33_554_432
"""Memory for large answers on their way to all clients together; the rest of them is on disk."""


@dataclass(frozen=True)
class Outcome:
    """A prediction that was made and logged; what is left is to say so in the words of a protocol."""

    model: ServedModel
    predictions: Predictions
    prediction_ids: Sequence[str | None]
    latency_ms: float


Reader = Callable[[ServedModel, bytes], Batch]
"""Makes checked rows of a body; raises Problem."""
Writer = Callable[[Outcome], Response]


class Predictor:
    """Answers prediction requests, in the words of any protocol."""

    def __init__(
        self,
        host: ModelHost,
        telemetry: Telemetry,
        settings: ServeSettings,
        prediction_log: PredictionLog | None,
        *,
        log_waits: bool = False,
        spill_folder: Path | None = None,
    ) -> None:
        self._host = host
        self._telemetry = telemetry
        self._settings = settings
        self._log = prediction_log
        self._log_waits = log_waits
        """Whether the log waits for the disk, which the event loop must not."""
        self._paces = Paces(telemetry.tutorial_success.get)
        self._threads = DaemonThreads(_THREADS, "predict")
        self._spill_folder = spill_folder
        self._memory = Memory(_ANSWER_BYTES)
        self._batches = BatchDesk(self, settings, spill_folder, self._memory)
        self._lanes: dict[str, tuple[ServedModel, Lane, Lane]] = {}

    async def predict(self, request: Request) -> Response:
        """POST /predict and /models/{name}/predict."""
        return await self._predict_natively(request, always_list=False)

    async def predict_batch(self, request: Request) -> Response:
        """POST /predict/batch and /models/{name}/predict/batch."""
        if is_small(request, self._settings.max_body):
            return await self._predict_natively(request, always_list=True)
        model = await self._host.fetch(request.path_params.get("name"))
        note_model(request.scope, model)
        return await self._batches.answer(request, model)

    async def invoke(self, request: Request) -> Response:
        """POST /invocations and /models/{name}/invocations: MLflow's scoring protocol."""
        model = await self._host.fetch(request.path_params.get("name"))
        content_type = request.headers.get("content-type", "")
        return await self.answer(
            request, model, lambda model, body: read_invocation(model, body, content_type), write_invocation
        )

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._batches.close()

    async def _predict_natively(self, request: Request, *, always_list: bool) -> Response:
        model = await self._host.fetch(request.path_params.get("name"))
        content_type = request.headers.get("content-type", "")
        as_csv = wants_csv(request.headers.get("accept", ""))
        is_single = False

        def read(model: ServedModel, body: bytes) -> Batch:
            nonlocal is_single
            if body_format(content_type) == "json":
                batch = model.schema.from_numbers(body)
                if batch is not None:
                    return batch
            rows = read_rows(body, content_type, model.loaded.names)
            is_single = rows.is_single and not always_list
            if rows.columns is not None:
                batch = model.schema.from_cells(rows.columns, rows.rows)
            else:
                batch = model.schema.from_json(rows.rows, may_hold_booleans=rows.may_hold_booleans)
            return replace(batch, parsed=rows.rows)

        def write(outcome: Outcome) -> Response:
            answers = Answers(
                model.loaded,
                model.name,
                model.version,
                outcome.predictions,
                outcome.prediction_ids,
                outcome.latency_ms,
            )
            return csv_answer(answers) if as_csv else json_answer(answers, is_single)

        return await self.answer(request, model, read, write)

    async def answer(self, request: Request, model: ServedModel, read: Reader, write: Writer) -> Response:
        """Read the body, predict, log, and only then reply."""
        note_model(request.scope, model)
        with self._paces.asking():
            body = await read_body(request, self._settings.max_body, self._settings.timeout)
            started = time.perf_counter()
            request_id = request_id_of(request)
            if len(body) > INLINE_BYTES or self._log_waits:
                return await self._answer_large(request, model, body, read, write, started)
            with self._counting_problems(model):
                batch = read(model, body)
                lane = self._lane(model, batch)
                if isinstance(lane, ThreadLane):
                    predictions = await self._in_time(model, lane.predict(batch))
                else:
                    predictions = await lane.predict(batch)
            return self._finish(model, batch, predictions, write, request_id, started)

    async def _answer_large(
        self, request: Request, model: ServedModel, body: bytes, read: Reader, write: Writer, started: float
    ) -> Response:
        """All in one go, in a thread or where it is."""
        request_id = request_id_of(request)

        def fitting(body: bytes) -> Batch:
            batch = read(model, body)
            check_rows(batch.n_rows, len(body))
            return batch

        def work(checked: Batch | None = None) -> tuple[Response, Batch]:
            with self._counting_problems(model):
                batch = fitting(body) if checked is None else checked
                predictions = predict(model, batch)
            return self._finish(model, batch, predictions, write, request_id, started), batch

        loop = asyncio.get_running_loop()
        kind = (request.scope.get("endpoint"), model.name)
        if not self._log_waits and self._paces.allow(kind, model, len(body)):
            with self._counting_problems(model):
                batch = fitting(body)
            if batch.is_slow:
                response, batch = await self._in_time(model, loop.run_in_executor(self._threads, work, batch))
            else:
                response, batch = work(batch)
        else:
            response, batch = await self._in_time(model, loop.run_in_executor(self._threads, work))
        # The numbers of a thousand rows take as long to throw away as they took to log: answer first.
        loop.call_soon(_throw_away, batch)
        self._paces.note(kind, model, len(body), time.perf_counter() - started)
        return response

    def _lane(self, model: ServedModel, batch: Batch) -> Lane:
        found = self._lanes.get(model.name)
        if found is None or found[0] is not model:
            usual = lane_to(model, self._threads)
            slow = usual if isinstance(usual, ThreadLane) else ThreadLane(model, self._threads)
            found = self._lanes[model.name] = (model, usual, slow)
        return found[2] if batch.is_slow else found[1]

    async def _in_time(self, model: ServedModel, work: Awaitable[T]) -> T:
        """Wait for work in a thread, no longer than the settings allow."""
        try:
            async with asyncio.timeout(self._settings.timeout):
                return await work
        except TimeoutError:
            self._telemetry.of(model).failed.inc()
            self._telemetry.tutorial_error.inc()
            raise Problem(
                503,
                f"no answer within {self._settings.timeout:g} s",
                headers={"Retry-After": "5"},
                reason="timeout",
            ) from None

    @contextmanager
    def _counting_problems(self, model: ServedModel) -> Iterator[None]:
        try:
            yield
        except Problem as problem:
            if problem.status < 500:
                self._telemetry.of(model).invalid.inc()
                self._telemetry.input_errors.inc()
                self._telemetry.tutorial_error.inc()
            raise

    def _finish(
        self,
        model: ServedModel,
        batch: Batch,
        predictions: Predictions,
        write: Writer,
        request_id: str,
        started: float,
    ) -> Response:
        """Log, then make the answer."""
        latency_s = time.perf_counter() - started
        ids = self._logged(model, batch, predictions, latency_s * 1000, request_id)
        response = write(Outcome(model, predictions, ids, latency_s * 1000))
        self._count(model, batch.n_rows, latency_s)
        large = as_large(response)
        if large is None:
            return response
        large.keep(Outbox(self._spill_folder, self._memory))
        return large

    def record(
        self, model: ServedModel, batch: Batch, predictions: Predictions, latency_s: float, request_id: str
    ) -> list[str] | list[None]:
        """Log and count a part of a batch; returns the ids of its rows."""
        ids = self._logged(model, batch, predictions, latency_s * 1000, request_id)
        self._count(model, batch.n_rows, latency_s)
        return ids

    def _count(self, model: ServedModel, n_rows: int, latency_s: float) -> None:
        counters = self._telemetry.of(model)
        counters.answered.inc(n_rows)
        counters.latency.observe(latency_s)
        self._telemetry.tutorial_success.inc(n_rows)
        self._telemetry.tutorial_latency.observe(latency_s)

    def _logged(
        self, model: ServedModel, batch: Batch, predictions: Predictions, latency_ms: float, request_id: str
    ) -> list[str] | list[None]:
        """The ids of the logged rows; None for each when they could not be logged."""
        if self._log is None:
            return [None] * batch.n_rows
        ids = new_prediction_ids(batch.n_rows)
        probability: Any = predictions.probability
        probabilities: Any = predictions.probabilities
        is_logged = self._log.append(
            model=model.name,
            version=model.version,
            schema=model.schema.logged,
            prediction_ids=ids,
            predicted_at=datetime.now(UTC),
            predictions=predictions.prediction,
            probability=probability,
            # For two classes the one number says it all.
            probabilities=probabilities if probability is None else None,
            classes=model.loaded.classes,
            numeric=batch.numeric,
            categorical=batch.categorical,
            latency_ms=latency_ms,
            role=model.role,
            request_id=request_id,
        )
        if not is_logged:
            self._telemetry.lost_rows.inc(batch.n_rows)
            return [None] * batch.n_rows
        return ids


def _throw_away(_batch: Batch) -> None:
    """Called with what nobody else refers to."""
