"""POST /predict/batch for bodies of any size: read, checked, predicted, logged and answered in parts.

Up to `[serve] max_body` a batch is all or nothing: an error anywhere is an error answer. Of a larger one that
much is checked before the answer begins; what is found wrong later ends the answer with a problem in it (see
`serve.answer_parts`), or is the answer where that waits for a proxy. One version answers from beginning to
end.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from serve.answer_parts import AnswerWriter, answer_writer
from serve.answers import Answers
from serve.bodies import body_format
from serve.body_room import holding_of
from serve.clients import is_half_duplex
from serve.daemon_threads import DaemonThreads
from serve.gate import request_id_of
from serve.lanes import predict
from serve.outbox import Memory, Outbox
from serve.problems import Problem, problem_document, problem_response
from serve.request_body import check_room, read_blocks
from serve.row_parts import CsvParts, LineParts, ListParts, Part, Parts, no_record

if TYPE_CHECKING:
    from serve.input_schema import Batch
    from serve.predicting import Predictor
    from serve.served_model import ServedModel
    from serve.settings import ServeSettings
    from store.loaded_model import Predictions

log = logging.getLogger("workbench.serve")

WHOLE_BYTES = 1_000_000
"""A body that says it is no larger is answered like any other request."""
LONGEST_LINE = 1_000_000
"""Bytes of a record in CSV and JSON lines: more than that at once would keep others waiting."""
_BLOCK_BYTES = 131_072
_ROWS_AT_ONCE = 2_000
_THREADS = 2
T = TypeVar("T")


def is_small(request: Request, limit: int) -> bool:
    """Whether a batch is small enough to be held as a whole: by itself, and by the limit of all bodies."""
    declared = request.headers.get("content-length", "")
    is_plain = request.headers.get("content-encoding", "identity") == "identity"
    return is_plain and declared.isdigit() and len(declared) < 10 and int(declared) <= min(limit, WHOLE_BYTES)


class BatchDesk:
    """Answers batches in parts, in threads of its own: other requests don't wait for them."""

    def __init__(
        self, predictor: Predictor, settings: ServeSettings, folder: Path | None, memory: Memory
    ) -> None:
        self._predictor = predictor
        self._settings = settings
        self._folder = folder
        """Where answers wait that their clients don't take yet, and memory has no room for."""
        self._memory = memory
        self._threads = DaemonThreads(_THREADS, "batch")

    async def answer(self, request: Request, model: ServedModel) -> Response:
        """Raises Problem for what is wrong before the answer begins."""
        outbox = Outbox(self._folder, self._memory)
        stream = _Stream(self._predictor, self._settings, self._threads, outbox, request, model)
        try:
            await stream.begin()
        except BaseException:
            stream.close()
            raise
        return _StreamResponse(stream)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


class _Stream:
    """One batch on its way through."""

    def __init__(
        self,
        predictor: Predictor,
        settings: ServeSettings,
        threads: Executor,
        outbox: Outbox,
        request: Request,
        model: ServedModel,
    ) -> None:
        self._predictor = predictor
        self._settings = settings
        self._threads = threads
        self._request = request
        self._model = model
        self._parts = _parts_of(request, model, settings.max_body)
        self._blocks = read_blocks(request, settings.timeout, _BLOCK_BYTES)
        self._batches = self._read()
        """One generator for all of the body: where `begin` stops, `go_on` takes it up."""
        self._received = 0
        self._rows_read = 0
        self.writer: AnswerWriter = answer_writer(request.headers.get("accept", ""))
        self.outbox = outbox
        self.timeout_s = settings.timeout
        self.request_id = request_id_of(request)
        self.path = str(request.scope["path"])
        self._holding = holding_of(request)
        self._is_beginning = True
        """Whether all that came is held."""
        self.is_read = False
        """Whether all of the body has come."""
        self.is_held = is_half_duplex(request.scope)
        """Whether the answer waits for the end of the body: then an error anywhere is an error answer."""
        self.has_more = asyncio.Event()
        """Set when something was put into the outbox."""
        self.has_room = asyncio.Event()

    async def begin(self) -> None:
        """Check all of the body, or as much of it as `max_body`; then predict that, and only then log it.

        Until then it counts as held beside the bodies of other requests; later, parts of a block are.
        """
        check_room(self._request, self._settings.max_body)
        held: list[Batch] = []
        async for batch in self._batches:
            held.append(batch)
            if self._received > self._settings.max_body:
                break
        if not held:
            raise no_record()
        await self._answer(held)
        self._is_beginning = False
        self._holding.release()

    async def go_on(self) -> None:
        """The rest of the body; ends at once where `begin` took all of it."""
        async for batch in self._batches:
            await self._answer([batch])

    async def receive(self) -> None:
        """Wait until the client goes away."""
        while (await self._request.receive())["type"] != "http.disconnect":
            pass

    def close(self) -> None:
        self.outbox.close()

    async def _read(self) -> AsyncIterator[Batch]:
        while not self.is_read:
            block = await anext(self._blocks, None)
            if block is None:
                self.is_read = True
                part = await self._in_thread(self._parts.finish)
            else:
                before, self._received = self._received, self._received + len(block)
                if self._is_beginning:
                    self._holding.add(max(min(len(block), self._settings.max_body - before), 0))
                most = self._settings.max_stream
                if most and self._received > most:
                    raise Problem(
                        413, f"the body is larger than {most} bytes", headers={"Connection": "close"}
                    )
                part = await self._in_thread(self._parts.feed, block)
            for start in range(0, len(part.rows), _ROWS_AT_ONCE):
                rows = part.rows[start : start + _ROWS_AT_ONCE]
                yield await self._in_thread(self._checked, replace(part, rows=rows))

    def _checked(self, part: Part) -> Batch:
        schema = self._model.schema
        first = self._rows_read
        self._rows_read += len(part.rows)
        if part.names is not None:
            return schema.from_cells(part.names, part.rows, first)
        return schema.from_json(part.rows, first, may_hold_booleans=part.may_hold_booleans)

    async def _answer(self, batches: list[Batch]) -> None:
        """Predict all, then log and write each."""
        predicted: list[tuple[Batch, Predictions, float]] = []
        for batch in batches:
            started = time.perf_counter()
            predictions = await self._in_thread(predict, self._model, batch)
            predicted.append((batch, predictions, time.perf_counter() - started))
        for batch, predictions, took_s in predicted:
            written = await self._in_thread(self._written, batch, predictions, took_s)
            await self.put(written)

    def _written(self, batch: Batch, predictions: Predictions, took_s: float) -> bytes:
        ids = self._predictor.record(self._model, batch, predictions, took_s, self.request_id)
        model = self._model
        answers = Answers(model.loaded, model.name, model.version, predictions, ids, took_s * 1000)
        return self.writer.rows(answers)

    async def put(self, piece: bytes) -> None:
        """Hand a piece of the answer over; waits where neither memory nor disk has room for it."""
        while not await self._in_thread(self.outbox.put, piece):
            self.has_room.clear()
            self.has_more.set()
            try:
                async with asyncio.timeout(self.timeout_s):
                    await self.has_room.wait()
            except TimeoutError:
                raise Problem(
                    503, "the answer is not read, and no room is left to keep it", reason="disk"
                ) from None
        self.has_more.set()

    async def _in_thread(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)


def _parts_of(request: Request, model: ServedModel, longest: int) -> Parts:
    kind = body_format(request.headers.get("content-type", ""))
    names = model.loaded.names
    if kind == "json":
        return ListParts(names, longest)
    longest = min(longest, LONGEST_LINE)
    return CsvParts(names, longest) if kind == "csv" else LineParts(longest)


class _StreamResponse(Response):
    """Sends what the stream answers, while it still reads unless the answer is held."""

    def __init__(self, stream: _Stream) -> None:
        super().__init__(media_type=stream.writer.media_type)
        del self.headers["content-length"]
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        stream = self._stream
        work = asyncio.create_task(stream.go_on())
        work.add_done_callback(lambda _: stream.has_more.set())
        gone: asyncio.Task[None] | None = None
        try:
            if stream.is_held:
                await asyncio.wait({work})
                problem = work.exception()
                if isinstance(problem, Problem):
                    await problem_response(problem, stream.request_id, stream.path)(scope, receive, send)
                    return
                if problem is None:  # HTTP/1.0 has no other way to tell an answer from a part of it
                    length = stream.outbox.n_bytes + len(stream.writer.end())
                    self.headers["content-length"] = str(length)
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            while True:
                if stream.is_read and gone is None:
                    gone = asyncio.create_task(stream.receive())
                    gone.add_done_callback(lambda _: stream.has_more.set())
                if gone is not None and gone.done():
                    return
                stream.has_more.clear()
                is_done = work.done()
                piece = stream.outbox.take()
                if piece:
                    stream.has_room.set()
                    await self._send(piece, send)
                elif is_done:
                    break
                else:
                    await stream.has_more.wait()
            await self._end(work, send)
        finally:
            for task in (work, gone):
                if task is not None:
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError, Exception):
                        await task
            stream.close()

    async def _end(self, work: asyncio.Task[None], send: Send) -> None:
        stream = self._stream
        problem = work.exception()
        if problem is None:
            await self._send(stream.writer.end(), send, more=False)
            return
        if not isinstance(problem, Problem):
            log.error("request %s failed", stream.request_id, exc_info=problem)
            problem = Problem(
                500, "an internal error; the server's log has the details under this request id"
            )
        if problem.reason == "client_gone":
            return
        log.warning("request %s ended early: %s", stream.request_id, problem.detail)
        document = problem_document(problem, stream.request_id, stream.path)
        # Where a format has no place for a problem, the answer stays without its end.
        await self._send(stream.writer.problem(document), send, more=stream.writer.is_cut_off)

    async def _send(self, piece: bytes, send: Send, *, more: bool = True) -> None:
        """As fast as the client reads."""
        await send({"type": "http.response.body", "body": piece, "more_body": more})
