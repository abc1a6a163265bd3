"""How checked rows reach the model: alone at once, or together with others that came in the same moment.

A call of scikit-learn costs about the same for one row as for thirty. Alone, a request is predicted at once
and loses nothing. When a second one lands in the same tick of the event loop, both and those that follow wait
for the end of their tick and are predicted in one call, until the requests are single again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from serve.disclosure import without_folders
from serve.problems import Problem
from serve.served_model import SLOW_ROW_MS, ServedModel
from store.frame_encoder import EncodedRows, PlainRows

if TYPE_CHECKING:
    from serve.input_schema import Batch
    from store.loaded_model import Predictions

log = logging.getLogger("workbench.serve")

DIRECT_MS = 0.15
"""A model this quick is called for each request: waiting for others costs more than it saves."""
MOST_TOGETHER = 256
"""Rows in one call for several requests."""
_SINGLES_TO_CALM = 3
"""Calls for a single request after which requests are predicted at once again."""


class Lane(Protocol):
    """The way to one model version."""

    async def predict(self, batch: Batch) -> Predictions:
        """Predict; Problem 422 for values the model can't compute."""


def lane_to(model: ServedModel, threads: Executor) -> Lane:
    """The lane that suits a model's speed; slow models never run on the event loop."""
    if model.row_ms > SLOW_ROW_MS:
        return ThreadLane(model, threads)
    return DirectLane(model) if model.row_ms < DIRECT_MS else TickLane(model)


@dataclass(frozen=True)
class _Waiting:
    batch: Batch
    answer: asyncio.Future[Predictions]

    def settle(self, outcome: Predictions | Problem) -> None:
        if self.answer.done():  # its client gave up
            return
        if isinstance(outcome, Problem):
            self.answer.set_exception(outcome)
        else:
            self.answer.set_result(outcome)


class DirectLane:
    """Each request by itself, at once."""

    def __init__(self, model: ServedModel) -> None:
        self._model = model

    async def predict(self, batch: Batch) -> Predictions:
        return predict(self._model, batch)


class TickLane:
    """At once, or all requests of a tick of the event loop together."""

    def __init__(self, model: ServedModel) -> None:
        self._model = model
        self._queue: list[_Waiting] = []
        self._is_sharing = False
        self._is_in_tick = False
        self._singles = 0

    async def predict(self, batch: Batch) -> Predictions:
        loop = asyncio.get_running_loop()
        if not self._is_sharing:
            if not self._is_in_tick:
                self._is_in_tick = True
                loop.call_soon(self._end_tick)
                return predict(self._model, batch)
            self._is_sharing = True
            self._singles = 0
        waiting = _Waiting(batch, loop.create_future())
        self._queue.append(waiting)
        if len(self._queue) == 1:
            loop.call_soon(self._drain)
        return await waiting.answer

    def _end_tick(self) -> None:
        self._is_in_tick = False

    def _drain(self) -> None:
        taken, self._queue = _take(self._queue)
        self._singles = self._singles + 1 if len(taken) == 1 else 0
        if self._singles >= _SINGLES_TO_CALM and not self._queue:
            self._is_sharing = False
        if self._queue:
            asyncio.get_running_loop().call_soon(self._drain)
        for waiting, outcome in zip(taken, predict_together(self._model, taken), strict=True):
            waiting.settle(outcome)


class ThreadLane:
    """One call at a time in a thread; requests that come meanwhile share the next one."""

    def __init__(self, model: ServedModel, threads: Executor) -> None:
        self._model = model
        self._threads = threads
        self._queue: list[_Waiting] = []
        self._task: asyncio.Task[None] | None = None

    async def predict(self, batch: Batch) -> Predictions:
        waiting = _Waiting(batch, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        if self._task is None:
            self._task = asyncio.create_task(self._drain())
        return await waiting.answer

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        taken: list[_Waiting] = []
        try:
            while self._queue:
                taken, self._queue = _take(self._queue)
                outcomes = await loop.run_in_executor(self._threads, predict_together, self._model, taken)
                for waiting, outcome in zip(taken, outcomes, strict=True):
                    waiting.settle(outcome)
        except RuntimeError:  # the threads are gone: the server is ending
            for waiting in (*taken, *self._queue):
                waiting.settle(Problem(503, "the server is stopping", headers={"Retry-After": "5"}))
            self._queue = []
        finally:
            self._task = None


def _take(queue: list[_Waiting]) -> tuple[list[_Waiting], list[_Waiting]]:
    """The next requests to predict together, and the rest."""
    n_rows = 0
    for position, waiting in enumerate(queue):
        n_rows += waiting.batch.n_rows
        if n_rows > MOST_TOGETHER and position > 0:
            return queue[:position], queue[position:]
    return queue, []


def predict_together(model: ServedModel, waiting: Sequence[_Waiting]) -> list[Predictions | Problem]:
    """An outcome for each request. Where one call for all fails, each has its own."""
    batches = [item.batch for item in waiting]
    # Whatever goes wrong with all of them is looked for in each: nobody fails for another.
    with contextlib.suppress(Exception):
        merged = _merged(batches)
        if merged is not None:
            return list(_split(predict(model, merged), batches))
    outcomes: list[Predictions | Problem] = []
    for batch in batches:
        try:
            outcomes.append(predict(model, batch))
        except Problem as problem:
            outcomes.append(problem)
    return outcomes


def _merged(batches: Sequence[Batch]) -> Batch | None:
    """All rows as one batch for the model; None for one batch alone, and for rows that are not of one kind,
    such as frames that differ in dtypes."""
    first = batches[0]
    if len(batches) == 1:
        return None
    inputs = [batch.model_input for batch in batches]
    if any(type(rows) is not type(first.model_input) for rows in inputs):
        return None
    if isinstance(first.model_input, PlainRows):
        return None
    n_rows = sum(batch.n_rows for batch in batches)
    if isinstance(first.model_input, EncodedRows):
        encoded = EncodedRows(np.concatenate([rows.array for rows in inputs]))
        return replace(first, n_rows=n_rows, model_input=encoded)
    if isinstance(first.model_input, np.ndarray):
        return replace(first, n_rows=n_rows, model_input=np.concatenate(inputs))
    dtypes = list(first.model_input.dtypes)
    if any(list(frame.dtypes) != dtypes for frame in inputs[1:]):
        return None
    import pandas as pd

    return replace(first, n_rows=n_rows, model_input=pd.concat(inputs, ignore_index=True))


def _split(predictions: Predictions, batches: Sequence[Batch]) -> list[Predictions]:
    parts = []
    start = 0
    for batch in batches:
        part = slice(start, start + batch.n_rows)
        start += batch.n_rows
        parts.append(
            replace(
                predictions,
                prediction=predictions.prediction[part],
                probability=_rows(predictions.probability, part),
                probabilities=_rows(predictions.probabilities, part),
            )
        )
    return parts


def _rows(table: Any, part: slice) -> Any:
    return None if table is None else table[part]


def predict(model: ServedModel, batch: Batch) -> Predictions:
    """Predict; a model that can't compute these values is a problem with the request, never a crash."""
    try:
        predictions = model.loaded.predict(batch.model_input)
    except Exception as error:
        log.warning("%s version %s raised %s: %s", model.name, model.version, type(error).__name__, error)
        reason = str(error).splitlines()[0][:300] if str(error) else type(error).__name__
        raise Problem(
            422, f"the model can't compute these values: {without_folders(reason)}", reason="model_error"
        ) from error
    values = predictions.prediction
    is_finite = True
    if any(issubclass(kind, float) for kind in {*map(type, values)}):  # labels rarely are
        is_finite = all(math.isfinite(v) for v in values if isinstance(v, float))
    if predictions.probabilities is not None and is_finite:
        is_finite = math.isfinite(float(predictions.probabilities.sum()))
    if not is_finite:
        raise Problem(422, "the model's answer to these values is not a number", reason="model_error")
    return predictions
