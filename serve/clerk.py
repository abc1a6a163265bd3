"""A helper process that works on the DuckDB file for the server: folds the log, looks predictions up.

DuckDB's Python side imports pandas and pyarrow and holds the interpreter while it converts rows; in the
server's own process that would cost memory, stall requests, and show scikit-learn a half-imported pandas.
The two talk in JSON lines over pipes; when the server is gone, the pipe ends and so does the helper. It is
there while there is work: its memory is as much as half of the server's own.
"""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from store.errors import WorkbenchError
from store.fold import FoldReport, fold
from store.layout import Layout
from store.niceness import give_way
from store.predictions import Origin, PredictionReader
from store.references import RunReferences
from store.settings import StoreSettings

log = logging.getLogger("workbench.serve")

IDLE_SECONDS = 6.0
"""How long without work before the helper is let go, with its memory."""
LONGEST_IDLE_SECONDS = 60.0
"""The same where it was needed again and again soon after: to start it costs more than to keep it."""
CLOSE_SECONDS = 2.5
"""How long it may fold at the server's end. What it leaves is in the spool, for the next start."""
LOOK_SECONDS = 5.0
"""How often at most what is new in the log is looked at beside."""
_GARBAGE = 100_000
"""Objects between two looks for garbage: a fold makes ten a row, none of which refer to each other."""
_NICENESS = 10
"""Answers come first; of a machine with nothing to spare the helper has a tenth of a core, which will do."""
REST_SECONDS = 600.0
"""How often it is looked at when nothing is new: silence is news too."""
_FRUGAL = {"MALLOC_ARENA_MAX": "1", "ARROW_DEFAULT_MEMORY_POOL": "system", "OPENBLAS_NUM_THREADS": "1"}
"""Environment that has the helper give memory back: it needs much for a moment only."""
_BORDER_SECONDS = 1.0
"""How long it may take to get to the border of a transaction."""


class Clerk:
    """The server's end: starts the helper when there is work. Safe for threads, one request at a time."""

    def __init__(
        self, layout: Layout, settings: StoreSettings, tracking_uri: str = "", *, beside: str | None = None
    ) -> None:
        self._layout = layout
        self._settings = settings
        self._tracking_uri = tracking_uri
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._used_at = 0.0
        self._idle_s = IDLE_SECONDS
        self._ended_at = -LONGEST_IDLE_SECONDS
        self._seen: dict[str, int] | None = None
        self._beside = beside
        self._looked_at = -REST_SECONDS
        self._has_news = True
        self.is_closing = False
        """Whether what is asked from now on fails, as the server ends."""

    @property
    def pid(self) -> int | None:
        """The helper's, while it is there."""
        process = self._process
        return None if process is None else process.pid

    def fold(self) -> FoldReport:
        """Fold the spool, where anything in it changed. Raises StorageError as `store.fold.fold` does."""
        present = self._spool_sizes()
        if present == self._seen:
            self._end_when_idle()
            return FoldReport()
        answer = self._ask({"do": "fold"})
        self._seen = None if answer.get("skipped") or answer.get("pending") else present
        self._has_news = self._has_news or bool(answer.get("predictions") or answer.get("feedback"))
        return FoldReport(**answer)

    def look_beside(self) -> None:
        """Have the function called that looks at the log, where one is set and it is time.

        While the helper is there, also twice a minute; for its sake alone it is started every ten.
        """
        since = time.monotonic() - self._looked_at
        rest = LONGEST_IDLE_SECONDS / 2 if self._process is not None else REST_SECONDS
        if self._beside is None or since < (LOOK_SECONDS if self._has_news else rest):
            return
        self._has_news, self._looked_at = False, time.monotonic()
        used_at = self._used_at
        answer = self._ask({"do": "beside"})
        if used_at:
            self._used_at = used_at
        for problem in answer.get("problems", ()):
            log.warning("watching for drift: %s", problem)

    def origins(self, ids: Collection[str]) -> dict[str, Origin | None]:
        """The model and version of those of `ids` that were predicted here (see PredictionReader)."""
        return read_origins(self._ask({"do": "origins", "ids": list(ids)}))

    def close(self, patience_s: float = CLOSE_SECONDS) -> None:
        """End the helper, after a last fold where something is left to fold and time for it."""
        was_hurried, self.is_closing = self.is_closing, True
        ends_at = time.monotonic() + patience_s
        is_free = self._lock.acquire(timeout=max(patience_s, 0.0))
        try:
            if is_free and self._process is None and not was_hurried and self._has_more():
                self._process = self._start()
            self._end(ends_at - time.monotonic())
        finally:
            if is_free:
                self._lock.release()

    def hurry(self) -> None:
        """Have whatever the helper does end now, at the border of a transaction. Safe in any thread."""
        self.is_closing = True
        process = self._process
        if process is not None:
            process.terminate()

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            if self.is_closing:
                raise WorkbenchError("the server is stopping")
            process = self._process
            if process is None or process.poll() is not None:
                process = self._process = self._start()
            self._used_at = time.monotonic()
            try:
                answer = _exchange(process, request)
            except (OSError, ValueError) as error:
                self._end()
                raise WorkbenchError(
                    f"the helper for the prediction log ended unexpectedly: {error}",
                    "It is started again at the next need; the server's log has its last words.",
                ) from error
        if "error" in answer:
            raise WorkbenchError(answer["error"])
        return answer

    def _start(self) -> subprocess.Popen[bytes]:
        # -P: a project's folders don't shadow ours. A session of its own: ctrl-C is the server's to handle.
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "serve.clerk"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env={**_FRUGAL, **os.environ},
        )
        setup = {
            "root": str(self._layout.root),
            "state": str(self._layout.state),
            "settings": self._settings.model_dump(mode="json"),
            "tracking_uri": self._tracking_uri,
            "beside": self._beside,
        }
        assert process.stdin is not None
        process.stdin.write(json.dumps(setup).encode() + b"\n")
        was_missed = time.monotonic() - self._ended_at < LONGEST_IDLE_SECONDS
        self._idle_s = min(2 * self._idle_s, LONGEST_IDLE_SECONDS) if was_missed else IDLE_SECONDS
        return process

    def _end_when_idle(self) -> None:
        if self._process is None or time.monotonic() - self._used_at < self._idle_s:
            return
        with self._lock:
            self._end()

    def _end(self, patience_s: float = 10.0) -> None:
        """Close its pipe, which ends it; have it hurry where it goes on for longer than `patience_s`."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(OSError):
            process.stdin.close()
        try:
            process.wait(max(patience_s, 0.0))
        except subprocess.TimeoutExpired:
            process.terminate()
            try:
                process.wait(_BORDER_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        process.stdout.close()
        self._ended_at = time.monotonic()

    def _has_more(self) -> bool:
        """Whether the spool has what the last fold hadn't."""
        seen = self._seen or {}
        return any(size and seen.get(name) != size for name, size in self._segment_sizes().items())

    def _segment_sizes(self) -> dict[str, int]:
        sizes = {}
        with contextlib.suppress(OSError):
            for path in self._layout.spool.iterdir():
                with contextlib.suppress(OSError):
                    if path.is_file():
                        sizes[path.name] = path.stat().st_size
        return sizes

    def _spool_sizes(self) -> dict[str, int]:
        sizes = self._segment_sizes()
        for path in self._layout.references.glob("*/*.json"):
            with contextlib.suppress(OSError):
                sizes[str(path)] = path.stat().st_mtime_ns
        return sizes


def _exchange(process: subprocess.Popen[bytes], request: dict[str, Any]) -> dict[str, Any]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(request).encode() + b"\n")
    process.stdin.flush()
    line = process.stdout.readline()
    if not line:
        raise OSError("it closed the pipe")
    answer: dict[str, Any] = json.loads(line)
    return answer


class _NoPandas:
    """Hides pandas, which DuckDB and pyarrow import where they can and nothing here has a use for.

    A None in sys.modules would not do: pyarrow takes it for the module.
    """

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] == "pandas":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


class _Hurried(BaseException):
    """SIGTERM came: whatever transaction is under way is left undone."""


def main(source: IO[bytes], sink: IO[bytes]) -> None:
    """The helper: answers until the pipe ends or it is told to hurry."""
    signal.signal(signal.SIGTERM, _hurry)
    with contextlib.suppress(_Hurried):
        _answer_all(source, sink)


def _hurry(_number: int, _frame: Any) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise _Hurried


def _answer_all(source: IO[bytes], sink: IO[bytes]) -> None:
    """A first line says where, then a request comes a line until the pipe ends."""
    sys.meta_path.insert(0, _NoPandas())
    give_way(_NICENESS)
    gc.set_threshold(_GARBAGE, *gc.get_threshold()[1:])
    setup = json.loads(source.readline() or b"{}")
    if not setup:
        return
    layout = Layout(root=Path(setup["root"]), state=Path(setup["state"]))
    settings = StoreSettings.model_validate(setup["settings"])
    reader = PredictionReader(layout)
    beside = _function(setup["beside"]) if setup.get("beside") else None
    references = RunReferences(layout, setup["tracking_uri"]) if setup["tracking_uri"] else None
    for line in iter(source.readline, b""):
        try:
            if references is not None:
                references.publish_new()
            request = json.loads(line)
            if request["do"] == "beside" and beside is not None:
                answer = beside(setup["root"])
            else:
                answer = _answer(request, layout, settings, reader)
        except Exception as error:  # told to the server, which logs it
            answer = {"error": str(error) or type(error).__name__}
        try:
            sink.write(json.dumps(answer).encode() + b"\n")
            sink.flush()
        except BrokenPipeError:
            break
    # The server ended, perhaps by a signal nobody can catch: take what it left.
    with contextlib.suppress(WorkbenchError):
        fold(layout, settings)


def _function(name: str) -> Callable[[str], dict[str, Any]]:
    """The function `module:function`: of a room that this one doesn't know."""
    module, _, attribute = name.partition(":")
    found: Callable[[str], dict[str, Any]] = getattr(import_module(module), attribute)
    return found


def _answer(
    request: dict[str, Any], layout: Layout, settings: StoreSettings, reader: PredictionReader
) -> dict[str, Any]:
    if request["do"] == "fold":
        report = fold(layout, settings)
        return {
            "segments": report.segments,
            "predictions": report.predictions,
            "feedback": report.feedback,
            "torn": list(report.torn),
            "skipped": report.skipped,
            "pending": report.pending,
        }
    return write_origins(reader.origins(request["ids"]))


def write_origins(origins: Mapping[str, Origin | None]) -> dict[str, Any]:
    """As JSON: the ids of each model and version together."""
    ids: dict[Origin | None, list[str]] = {}
    for prediction_id, origin in origins.items():
        ids.setdefault(origin, []).append(prediction_id)
    return {"origins": [[origin, of_it] for origin, of_it in ids.items()]}


def read_origins(answer: dict[str, Any]) -> dict[str, Origin | None]:
    """What `write_origins` wrote."""
    origins: dict[str, Origin | None] = {}
    for origin, ids in answer["origins"]:
        origins |= dict.fromkeys(ids, None if origin is None else (origin[0], origin[1]))
    return origins


if __name__ == "__main__":
    main(sys.stdin.buffer, sys.stdout.buffer)
