"""Starts the scorings that are due by the clock, each in a child process, one at a time."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import IO

from pipelines.schedules import Schedules
from pipelines.score_job import CAN_PASS, ScoreRequest
from store.alerts import clear_alert, raise_alert
from store.journal import append_event
from store.layout import Layout

log = logging.getLogger("workbench.watch")

_WAIT_S = 60.0
"""Before a scoring that failed for something that can pass is tried again."""
WHO = "workbench"


class ScheduledScoring:
    """`make_requests` gives the scorings that the settings want, by pipeline."""

    def __init__(self, layout: Layout, make_requests: Callable[[], Mapping[str, ScoreRequest]]) -> None:
        self._layout, self._make_requests = layout, make_requests
        self._schedules = Schedules(layout)
        self._child: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None
        self._request: ScoreRequest | None = None
        self._not_before: dict[str, float] = {}

    def step(self, now: datetime | None = None) -> None:
        """Start what is due, where none runs; note what has ended."""
        now = now or datetime.now(UTC)
        if self._child is not None:
            code = self._child.poll()
            if code is None:
                return
            self._child = None
            self._ended(code, now)
        for name, request in self._make_requests().items():
            settings = request.settings
            due = self._schedules.due(f"score:{name}", settings.cron, settings.timezone, now)
            if due is not None and self._not_before.get(name, 0.0) <= time.monotonic():
                self._start(request)
                return

    def finish(self) -> None:
        """Wait for a scoring that runs."""
        if self._child is not None:
            code = self._child.wait()
            self._child = None
            self._ended(code, datetime.now(UTC))

    def close(self) -> None:
        """End a scoring that runs; it stays due."""
        if self._child is not None and self._child.poll() is None:
            self._child.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._child.wait(10)

    def _start(self, request: ScoreRequest) -> None:
        self._request = request
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - it is read when the child has ended
        self._child = subprocess.Popen(
            [sys.executable, "-P", "-m", "pipelines.score_job"],
            stdin=subprocess.PIPE,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            cwd=self._layout.root,
            start_new_session=True,
        )
        assert self._child.stdin is not None
        with suppress(BrokenPipeError), self._child.stdin as stdin:
            stdin.write(json.dumps(request.as_json()).encode() + b"\n")

    def _ended(self, code: int, now: datetime) -> None:
        request, output = self._request, self._output
        assert request is not None
        assert output is not None
        output.seek(0)
        lines = output.read().decode("utf-8", "replace").splitlines()
        output.close()
        name, key = request.pipeline, f"score_failed:{request.pipeline}"
        results, problem = [], None
        for line in lines:
            with suppress(ValueError):
                result = json.loads(line)
                if isinstance(result, dict) and "path" in result:
                    results.append(result)
                if isinstance(result, dict) and "error" in result:
                    problem = str(result["error"])
        if code and problem is None:
            problem = lines[-1] if lines and code > 0 else f"its process was ended (code {code})"
        for result in results:
            if "rows" in result:
                append_event(
                    self._layout, "scored", who=WHO, model=request.model, details={"pipeline": name, **result}
                )
                log.info("%s: %s rows of %s scored", name, result["rows"], result["path"])
        if code == CAN_PASS:
            self._not_before[name] = time.monotonic() + _WAIT_S
        else:
            self._schedules.served(f"score:{name}", request.settings.cron, request.settings.timezone, now)
        if problem is None:
            clear_alert(self._layout, key, reason="it came to its end", quiet=True)
            return
        log.warning("%s: scoring failed: %s", name, problem)
        raise_alert(
            self._layout,
            key,
            kind="job_failed",
            severity="warning",
            message=f"scheduled scoring of {name} failed: {problem}",
            model=request.model,
            details={"pipeline": name},
            quiet=True,
        )
