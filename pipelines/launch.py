"""Starts a training as a child process of its own, follows it, and ends it with its parent."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, TypeAlias

import store.errors
from pipelines.forked import ForkedChild
from pipelines.job_report import JobReport
from pipelines.request import PromotePolicy, TrainEvent, TrainRequest, TrainResult
from pipelines.supervision import GRACE_S, Supervisor
from store.errors import StorageError, TrainingError, UserCodeError, WorkbenchError
from store.files import write_atomically
from store.jobs import Job, add_job, list_jobs, new_job_id, update_job
from store.layout import Layout
from store.locks import locked
from store.tracking import open_runs, resolve_uri, tracking_environment

__all__ = ["PromotePolicy", "TrainEvent", "TrainRequest", "TrainResult", "train"]

JobProcess: TypeAlias = "subprocess.Popen[str] | ForkedChild"
Starter: TypeAlias = Callable[[Path, Mapping[str, str], IO[bytes], Path], JobProcess]
"""Makes the process of a job, leader of a session of its own: from its folder, environment, log and cwd."""
DIED = "its process died"
REQUEST_FILE, RESULT_FILE, LOG_FILE = "request.json", "result.json", "log"


def train(
    request: TrainRequest,
    *,
    on_event: Callable[[TrainEvent], None] | None = None,
    job_id: str | None = None,
    start: Starter | None = None,
) -> TrainResult:
    """Train in a child process and wait for it; `job_id` is that of a queued job, where it is one.

    `start` makes the process, a new interpreter unless given. Progress goes to `on_event`. KeyboardInterrupt
    ends the child, marks its run KILLED and its job cancelled. Raises BusyError while the same pipeline is
    being trained, and whatever error ended the child.
    """
    layout = request.layout.ensure()
    lock = layout.run / f"train-{request.pipeline}.lock"
    with locked(lock, what=f"training of {request.pipeline}", timeout_s=0):
        # Whoever trains holds the lock: what still says running was killed before it could say otherwise.
        settle_dead_jobs(layout, list_jobs(layout, pipeline=request.pipeline, states=("running",)))
        is_queued = job_id is not None
        job_id = job_id or new_job_id()
        folder = layout.jobs / job_id
        try:
            folder.mkdir(parents=True, exist_ok=is_queued)
        except OSError as error:
            raise StorageError(
                f"cannot make {folder}: {error.strerror}", "Free the disk or its folder."
            ) from error
        write_atomically(folder / REQUEST_FILE, json.dumps(request.as_json()))
        if is_queued:
            if update_job(layout, job_id, state="running", pid=os.getpid()).is_finished:
                raise TrainingError(f"job {job_id} was cancelled", "Start another: workbench train.")
        else:
            add_job(
                layout,
                request.pipeline,
                trigger=request.trigger,
                reason=request.reason,
                state="running",
                who=request.who,
                pid=os.getpid(),
                job_id=job_id,
            )
        return _run(request, job_id, folder, on_event, start or _start)


def settle_dead_jobs(layout: Layout, jobs: Iterable[Job]) -> list[Job]:
    """Mark jobs that nobody runs any more as failed, and their runs too where those still say running."""
    settled = []
    for job in jobs:
        settled.append(update_job(layout, job.id, state="failed", error=DIED))
        if job.run_id is None:
            continue
        with contextlib.suppress(WorkbenchError, OSError, ValueError, KeyError, subprocess.SubprocessError):
            values = json.loads((layout.jobs / job.id / REQUEST_FILE).read_bytes())
            request = TrainRequest.from_json({**values, "layout": _as_json(layout)})
            runs = open_runs(resolve_uri(request.tracking_uri, layout.root), layout)
            if runs.get(job.run_id).status == "RUNNING":
                _finish_run(request, job.run_id, "FAILED")
    return settled


def _as_json(layout: Layout) -> dict[str, str]:
    return {"root": str(layout.root), "state": str(layout.state)}


def _run(
    request: TrainRequest,
    job_id: str,
    folder: Path,
    on_event: Callable[[TrainEvent], None] | None,
    start: Starter,
) -> TrainResult:
    layout = request.layout
    run_id: str | None = None
    child: JobProcess | None = None
    supervisor: Supervisor | None = None
    is_ended = False
    try:
        with (folder / LOG_FILE).open("wb") as log:
            child = start(folder, environment_of(request), log, layout.root)
        update_job(layout, job_id, pid=child.pid)
        document: Mapping[str, Any] | None = None
        report = JobReport(layout, job_id, request.pipeline)
        with Supervisor(layout, job_id, child, request.settings.limits) as supervisor:
            for message in _messages(child):
                if "event" not in message:
                    document = message
                    continue
                event = TrainEvent(**message["event"])
                if event.run_id is not None and event.run_id != run_id:
                    run_id = event.run_id
                    update_job(layout, job_id, run_id=run_id)
                report(event)
                if on_event is not None:
                    on_event(event)
            child.wait()
        is_ended = document is not None
        if supervisor.reason is not None and (document is None or "error" in document):
            kind = "" if supervisor.is_cancelled else "the training was ended: "
            raise TrainingError(kind + supervisor.reason, f"Its log: {folder / LOG_FILE}.")
        result = _outcome(document, folder, child.returncode or 0, job_id)
        report.finish()
        refused = result.gate is not None and not result.gate.accepted and result.version is None
        update_job(
            layout,
            job_id,
            state="refused" if refused else "done",
            run_id=result.run_id,
            version=result.version,
        )
        return result
    except BaseException as error:
        if child is not None:
            _end(child)
        is_interrupted = not isinstance(error, Exception)
        is_cancelled = is_interrupted or (supervisor is not None and supervisor.is_cancelled)
        if run_id is not None and not is_ended and not (folder / RESULT_FILE).exists():
            _finish_run(request, run_id, "KILLED" if is_cancelled else "FAILED")
        with contextlib.suppress(WorkbenchError):
            update_job(
                layout,
                job_id,
                state="cancelled" if is_cancelled else "failed",
                error="interrupted" if is_interrupted else _words(error),
            )
        raise
    finally:
        if child is not None:
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()


def _start(folder: Path, environment: Mapping[str, str], log: IO[bytes], cwd: Path) -> JobProcess:
    return subprocess.Popen(
        [sys.executable, "-m", "pipelines.job", str(folder)],
        stdin=subprocess.PIPE,  # its end tells the child that this process is gone
        stdout=subprocess.PIPE,
        stderr=log,
        cwd=cwd,
        env=environment,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    )


def _words(error: BaseException) -> str:
    return error.message if isinstance(error, WorkbenchError) else str(error)


def environment_of(request: TrainRequest) -> dict[str, str]:
    """The child's environment: MLflow's variables, and no way to import the project's own folders by name."""
    environment = {
        **os.environ,
        **tracking_environment(resolve_uri(request.tracking_uri, request.layout.root)),
    }
    environment["PYTHONSAFEPATH"] = "1"
    environment["WORKBENCH_MLFLOW_PLUGIN"] = "0"  # the types of its model are named already
    # Threads of OpenMP that spin while they wait make small fits fifty times slower on a busy machine.
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    return environment


def _messages(child: JobProcess) -> Iterator[dict[str, Any]]:
    assert child.stdout is not None
    for line in child.stdout:
        with contextlib.suppress(ValueError):
            yield json.loads(line)


def _outcome(document: Mapping[str, Any] | None, folder: Path, returncode: int, job_id: str) -> TrainResult:
    """The child's result, or its error raised here."""
    if document is None:
        raise TrainingError(_death(folder, returncode), f"Its log: {folder / LOG_FILE}.")
    if "error" in document:
        raise _rebuild(document["error"])
    return TrainResult.from_json({**document["result"], "job_id": job_id})


def _rebuild(error: Mapping[str, Any]) -> WorkbenchError:
    kind = getattr(store.errors, str(error.get("class")), TrainingError)
    if not (isinstance(kind, type) and issubclass(kind, WorkbenchError)):
        kind = TrainingError
    message, hint = str(error.get("message")), error.get("hint")
    if issubclass(kind, UserCodeError):
        return kind(message, hint, str(error.get("report", "")))
    return kind(message, hint)


def _death(folder: Path, returncode: int) -> str:
    if returncode < 0:
        name = signal.Signals(-returncode).name
        why = " (out of memory?)" if name == "SIGKILL" else ""
        return f"the training process was ended by {name}{why}"
    try:
        lines = (folder / LOG_FILE).read_text("utf-8", errors="replace").strip().splitlines()
    except OSError:
        lines = []
    last = f": {lines[-1]}" if lines else ""
    return f"the training process ended with code {returncode}{last}"


def _end(child: JobProcess) -> None:
    """Ask the child to end, and see that it does, with everything it started."""
    if child.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            child.terminate()
        deadline = time.monotonic() + GRACE_S
        while child.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
                child.wait(timeout=0.2)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _finish_run(request: TrainRequest, run_id: str, status: str) -> None:
    """Give the run of a child that could not do it itself its final status."""
    subprocess.run(
        [sys.executable, "-m", "pipelines.job", "--finish", run_id, status],
        env=environment_of(request),
        cwd=request.layout.root,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )
