"""Gives runs whose job could not do it itself their final status: now, or once the MLflow store is back."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

from store.background import end
from store.errors import WorkbenchError
from store.file_runs import FileRunStore
from store.layout import Layout
from store.state_notes import drop_note, keep_note, notes
from store.tracking import open_runs, tracking_environment

log = logging.getLogger("workbench.watch")

_PREFIX = "run.unfinished:"
_LONGEST_S = 60.0
_PAUSE_S = 30.0
_GIVEN_UP_S = 7 * 86_400.0


def store_environment(uri: str) -> dict[str, str]:
    """The environment of a child that talks to the store at an absolute URI, and can't import the project's
    own folders by name."""
    environment = {**os.environ, **tracking_environment(uri)}
    environment["PYTHONSAFEPATH"] = "1"
    environment["WORKBENCH_MLFLOW_PLUGIN"] = "0"  # the types of its model are named already
    # Half a minute, instead of four, for each call to a server that is away; the job is tried again.
    environment.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "4")
    # Threads of OpenMP that spin while they wait make small fits fifty times slower on a busy machine.
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    return environment


def finish_run(layout: Layout, uri: str, run_id: str, status: str) -> None:
    """Give the run its final status where it still says RUNNING; where the store can't be reached, later."""
    try:
        runs = open_runs(uri, layout)
        if runs.get(run_id).status != "RUNNING":
            return
        if isinstance(runs, FileRunStore):
            # MLflow's client takes seconds to import, and would make a store where it has gone since.
            runs.finish(run_id, status)
            return
        child = _finishing(layout, uri, run_id, status)
        try:
            if child.wait(_LONGEST_S) == 0:
                return
        finally:
            end(child, timeout_s=0.0)
    except (WorkbenchError, OSError, ValueError, KeyError, subprocess.SubprocessError):
        pass
    with contextlib.suppress(WorkbenchError):
        keep_note(layout, _PREFIX + run_id, json.dumps({"status": status, "uri": uri, "at": time.time()}))


def unfinished(layout: Layout) -> dict[str, dict[str, Any]]:
    """By run: the status it is to get, its store, and since when."""
    return {run_id: json.loads(value) for run_id, value in notes(layout, _PREFIX).items()}


class UnfinishedRuns:
    """Looks after those that wait, and never waits itself: a database or a server is asked by a child."""

    def __init__(self, layout: Layout, pause_s: float = _PAUSE_S) -> None:
        self._layout, self._pause_s = layout, pause_s
        self._child: subprocess.Popen[bytes] | None = None
        self._run_id = ""
        self._begun = self._looked_at = float("-inf")

    def step(self) -> None:
        """See to those whose store is there."""
        now = time.monotonic()
        if self._child is not None:
            if self._child.poll() is None:
                if now - self._begun > _LONGEST_S:
                    self._child.kill()
                return
            if self._child.returncode == 0:
                self._is_done(self._run_id)
            self._child = None
        if now - self._looked_at < self._pause_s:
            return
        self._looked_at = now
        for run_id, wanted in unfinished(self._layout).items():
            if not self._is_running(run_id, wanted):
                continue
            runs = open_runs(wanted["uri"], self._layout)
            if isinstance(runs, FileRunStore):
                self._finish(runs, run_id, wanted["status"])
                continue
            self._run_id, self._begun = run_id, now
            self._child = _finishing(self._layout, wanted["uri"], run_id, wanted["status"])
            return

    def close(self) -> None:
        """End what runs; it waits for the next time."""
        if self._child is not None and self._child.poll() is None:
            self._child.kill()
            self._child.wait()

    def _finish(self, runs: FileRunStore, run_id: str, status: str) -> None:
        try:
            runs.finish(run_id, status)
        except (WorkbenchError, OSError):
            return  # away again, or its disk is full: the next time
        self._is_done(run_id)

    def _is_done(self, run_id: str) -> None:
        log.info("run %s has its end, with its store back", run_id)
        self._forget(run_id)

    def _is_running(self, run_id: str, wanted: Mapping[str, Any]) -> bool:
        try:
            is_running = open_runs(wanted["uri"], self._layout).get(run_id).status == "RUNNING"
        except (WorkbenchError, OSError):
            # Its store is still away, or somebody deleted the run: nobody can tell.
            if time.time() - wanted["at"] > _GIVEN_UP_S:
                self._forget(run_id)
            return False
        if not is_running:
            self._forget(run_id)
        return is_running

    def _forget(self, run_id: str) -> None:
        drop_note(self._layout, _PREFIX + run_id)


def _finishing(layout: Layout, uri: str, run_id: str, status: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "pipelines.job", "--finish", run_id, status],
        env=store_environment(uri),
        cwd=layout.root,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
