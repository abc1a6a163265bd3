"""From a request's body to its answer: read, check, predict, log, then reply."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from serve.answers import answer_rows, csv_answer, json_answer, wants_csv
from serve.bodies import read_rows
from serve.gate import read_body, request_id_of
from serve.hosting import ModelHost
from serve.input_schema import Batch
from serve.invocations import read_invocation, write_invocation
from serve.problems import Problem
from serve.served_model import SLOW_ROW_MS, ServedModel
from serve.telemetry import Telemetry
from store.ids import new_prediction_ids

if TYPE_CHECKING:
    from serve.settings import ServeSettings
    from store.loaded_model import Predictions
    from store.log import PredictionLog

log = logging.getLogger("workbench.serve")

INLINE_BYTES = 16_384
"""A body up to this size is answered on the event loop when its model is quick; a larger one in a thread."""
_THREADS = 4


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
    """Answers prediction requests. How rows reach the model is decided in `_run` alone."""

    def __init__(
        self,
        host: ModelHost,
        telemetry: Telemetry,
        settings: ServeSettings,
        prediction_log: PredictionLog | None,
        *,
        log_waits: bool = False,
    ) -> None:
        self._host = host
        self._telemetry = telemetry
        self._settings = settings
        self._log = prediction_log
        self._log_waits = log_waits
        """Whether the log waits for the disk, which the event loop must not."""
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="predict")

    async def predict(self, request: Request) -> Response:
        """POST /predict and /models/{name}/predict."""
        return await self._predict_natively(request, always_list=False)

    async def predict_batch(self, request: Request) -> Response:
        """POST /predict/batch and /models/{name}/predict/batch."""
        return await self._predict_natively(request, always_list=True)

    async def invoke(self, request: Request) -> Response:
        """POST /invocations and /models/{name}/invocations: MLflow's scoring protocol."""
        model = self._host.find(request.path_params.get("name"))
        content_type = request.headers.get("content-type", "")
        return await self.answer(
            request, model, lambda model, body: read_invocation(model, body, content_type), write_invocation
        )

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _predict_natively(self, request: Request, *, always_list: bool) -> Response:
        model = self._host.find(request.path_params.get("name"))
        content_type = request.headers.get("content-type", "")
        as_csv = wants_csv(request.headers.get("accept", ""))
        is_single = False

        def read(model: ServedModel, body: bytes) -> Batch:
            nonlocal is_single
            rows = read_rows(body, content_type, model.loaded.names)
            is_single = rows.is_single and not always_list
            return model.schema.from_text(rows.rows) if rows.is_text else model.schema.from_json(rows.rows)

        def write(outcome: Outcome) -> Response:
            rows = answer_rows(
                model.loaded,
                model.name,
                model.version,
                outcome.predictions,
                outcome.prediction_ids,
                outcome.latency_ms,
            )
            return csv_answer(rows) if as_csv else json_answer(rows, is_single)

        return await self.answer(request, model, read, write)

    async def answer(self, request: Request, model: ServedModel, read: Reader, write: Writer) -> Response:
        """Read the body, predict, log, and only then reply."""
        body = await read_body(request, self._settings.max_body, self._settings.timeout)
        started = time.perf_counter()
        request_id = request_id_of(request)

        def work() -> Response:
            return self._work(model, body, read, write, request_id, started)

        return await self._run(model, len(body), work)

    async def _run(self, model: ServedModel, n_bytes: int, work: Callable[[], Response]) -> Response:
        """Small requests of quick models at once, others in a thread, so that nobody waits for them."""
        if n_bytes <= INLINE_BYTES and model.row_ms <= SLOW_ROW_MS and not self._log_waits:
            return work()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._settings.timeout):
                return await loop.run_in_executor(self._threads, work)
        except TimeoutError:
            self._telemetry.of(model).failed.inc()
            self._telemetry.tutorial_error.inc()
            raise Problem(
                503,
                f"no answer within {self._settings.timeout:g} s",
                headers={"Retry-After": "5"},
                reason="timeout",
            ) from None

    def _work(
        self,
        model: ServedModel,
        body: bytes,
        read: Reader,
        write: Writer,
        request_id: str,
        started: float,
    ) -> Response:
        counters = self._telemetry.of(model)
        try:
            batch = read(model, body)
            predictions = _predict(model, batch)
        except Problem:
            counters.invalid.inc()
            self._telemetry.input_errors.inc()
            self._telemetry.tutorial_error.inc()
            raise
        latency_s = time.perf_counter() - started
        ids = self._logged(model, batch, predictions, latency_s * 1000, request_id)
        response = write(Outcome(model, predictions, ids, latency_s * 1000))
        counters.answered.inc(batch.n_rows)
        counters.latency.observe(latency_s)
        self._telemetry.tutorial_success.inc(batch.n_rows)
        self._telemetry.tutorial_latency.observe(latency_s)
        return response

    def _logged(
        self, model: ServedModel, batch: Batch, predictions: Predictions, latency_ms: float, request_id: str
    ) -> list[str] | list[None]:
        """The ids of the logged rows; None for each when they could not be logged."""
        if self._log is None:
            return [None] * batch.n_rows
        ids = new_prediction_ids(batch.n_rows)
        probability, probabilities = predictions.probability, predictions.probabilities
        is_logged = self._log.append(
            model=model.name,
            version=model.version,
            schema=model.schema.logged,
            prediction_ids=ids,
            predicted_at=datetime.now(UTC),
            predictions=predictions.prediction,
            probability=None if probability is None else probability.tolist(),
            # For two classes the one number says it all.
            probabilities=probabilities.tolist()
            if probabilities is not None and probability is None
            else None,
            classes=model.loaded.classes,
            numeric=batch.numeric,
            categorical=batch.categorical,
            latency_ms=latency_ms,
            role=model.role,
            request_id=request_id,
        )
        return ids if is_logged else [None] * batch.n_rows


def _predict(model: ServedModel, batch: Batch) -> Predictions:
    """Predict; a model that can't compute these values is a problem with the request, never a crash."""
    try:
        predictions = model.loaded.predict(batch.model_input)
    except Exception as error:
        log.warning("%s version %s raised %s: %s", model.name, model.version, type(error).__name__, error)
        reason = str(error).splitlines()[0][:300] if str(error) else type(error).__name__
        raise Problem(422, f"the model can't compute these values: {reason}", reason="model_error") from error
    values = predictions.prediction
    is_finite = all(math.isfinite(v) for v in values if isinstance(v, float))
    if predictions.probabilities is not None and is_finite:
        is_finite = math.isfinite(float(predictions.probabilities.sum()))
    if not is_finite:
        raise Problem(422, "the model's answer to these values is not a number", reason="model_error")
    return predictions
