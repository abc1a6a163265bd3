"""Checks of a project: what is wrong, what that means, and what can be mended."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from store.errors import WorkbenchError
from workbench.output import counted

if TYPE_CHECKING:
    from store.registry import Registry
    from store.runs import RunStore
    from workbench.settings import Project

State = Literal["ok", "warning", "problem", "mended"]
LOW_DISK_BYTES = 1_000_000_000
FULL_DISK_BYTES = 100_000_000
LOW_DISK_SHARE = 0.10


@dataclass(frozen=True)
class Finding:
    """What one check says; a `problem` stops something from working, a `warning` does not yet."""

    check: str
    state: State
    message: str
    hint: str | None = None


@dataclass(frozen=True)
class Patient:
    """The project to check, with its stores opened by the caller."""

    project: Project
    runs: RunStore
    registry: Registry


def examine(patient: Patient, *, fix: bool = False) -> Iterator[Finding]:
    """Yield what each check finds, as it is found; with `fix`, mend what can be mended.

    A check that fails itself is a finding, and the others go on.
    """
    for name, check in CHECKS.items():
        try:
            yield from check(patient, fix)
        except WorkbenchError as error:
            yield Finding(name, "problem", error.message, error.hint)
        except OSError as error:
            reason = f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
            yield Finding(name, "problem", reason, "Check the disk and its permissions.")


def _settings(patient: Patient, _fix: bool) -> Iterator[Finding]:
    from workbench.settings import ignored_variables

    for variable, hint in ignored_variables().items():
        yield Finding("settings", "warning", f"{variable} in the environment is ignored", hint)
    pipelines = patient.project.settings.pipelines
    names = ", ".join(pipelines) or "none"
    yield Finding("settings", "ok", f"{patient.project.root / 'workbench.toml'} is valid; pipelines: {names}")


def _data(patient: Patient, _fix: bool) -> Iterator[Finding]:
    from pipelines.data import find_files

    for name, pipeline in patient.project.settings.pipelines.items():
        try:
            files = find_files(pipeline.data, patient.project.root)
        except WorkbenchError as error:
            yield Finding("data", "warning", f"pipeline {name}: {error.message}", error.hint)
        else:
            yield Finding("data", "ok", f"pipeline {name}: {counted(len(files), 'file')}")


def _writable(patient: Patient, _fix: bool) -> Iterator[Finding]:
    folder = _nearest_existing(patient.project.layout.state)
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".writable-"):
            pass
    except OSError as error:
        yield Finding(
            "store",
            "problem",
            f"{folder} can't be written: {error.strerror}",
            "Mend its permissions, or set [store] path to a folder that can be written.",
        )
    else:
        yield Finding("store", "ok", f"{folder} is writable")


def _disk(patient: Patient, _fix: bool) -> Iterator[Finding]:
    usage = shutil.disk_usage(_nearest_existing(patient.project.layout.state))
    text = f"{usage.free / 1e9:.1f} GB free of {usage.total / 1e9:.0f} GB"
    if usage.free < FULL_DISK_BYTES:
        yield Finding("disk", "problem", text, "Free some: predictions can't be logged on a full disk.")
    elif usage.free < LOW_DISK_BYTES or usage.free < LOW_DISK_SHARE * usage.total:
        yield Finding("disk", "warning", text, "The prediction log stops before the disk is full.")
    else:
        yield Finding("disk", "ok", text)


def _runs(patient: Patient, fix: bool) -> Iterator[Finding]:
    if fix:
        for mended in (*patient.runs.repair(), *_mend_files(patient)):
            yield Finding("runs", "mended", mended)
    problems = patient.runs.problems()
    for problem in problems:
        is_moved = " paths lead to " in problem
        yield Finding("runs", "warning" if is_moved else "problem", problem, _run_hint(problem, fix))
    if not problems:
        yield Finding("runs", "ok", "every run can be read")


def _mend_files(patient: Patient) -> list[str]:
    """Mend the files of a file store; what they were is kept under `.workbench/repaired`."""
    from store.file_runs import FileRunStore
    from store.run_repair import repair_files

    if not isinstance(patient.runs, FileRunStore):
        return []
    return repair_files(patient.runs.root, patient.project.layout.state / "repaired")


def _run_hint(problem: str, fix: bool) -> str | None:
    """What to do about a problem of the runs' files; None where only looking at them helps."""
    if " paths lead to " in problem:
        return "workbench doctor --fix rewrites them."
    if " is no experiment: " in problem or " is a stray folder " in problem:
        return "MLflow's search fails over it. If it isn't needed, move it out of the store."
    if fix:
        return "Look at its files; what can't be read can be deleted one by one."
    mendable = ("is empty", "has a line that is no point", "meta.yaml")
    return "workbench doctor --fix mends what it can." if any(m in problem for m in mendable) else None


def _journal(patient: Patient, fix: bool) -> Iterator[Finding]:
    from store.journal import check_journal, read_events

    layout = patient.project.layout
    problems = check_journal(layout)
    for problem in problems:
        is_torn = problem.endswith("the next event mends it")
        hint = None if is_torn else "The events around it still count; see when it happened in a backup."
        yield Finding("journal", "warning" if is_torn else "problem", problem, hint)
    if not problems:
        yield Finding("journal", "ok", "the chain is whole")
    finished = {event.details.get("intent") for event in read_events(layout)}
    finished |= {event.details.get("intent") for event in read_events(layout, what="intent_dropped")}
    for intent in read_events(layout, what="intent"):
        if intent.details.get("id") not in finished and not fix:
            what = intent.details.get("action", "change")
            yield Finding(
                "registry",
                "warning",
                f"a {what} of {intent.model} was interrupted on {intent.at:%Y-%m-%d %H:%M}",
                "workbench doctor --fix finishes it, as the next change does.",
            )
    if fix:
        for event in patient.registry.settle():
            yield Finding("registry", "mended", f"{event.model}: {event.what} {event.to or ''}".rstrip())


def _champions(patient: Patient, _fix: bool) -> Iterator[Finding]:
    from store.model_files import environment_differences, load_model

    project = patient.project
    for model in patient.registry.models():
        if model.problem:
            yield Finding("models", "problem", f"{model.name}: {model.problem}")
        champion = next((v for v in model.versions if v.version == model.champion), None)
        if champion is None:
            hint = f"Promote one: workbench models promote {model.name}."
            yield Finding("models", "warning", f"{model.name} has no champion", hint)
            continue
        name = f"{model.name} version {champion.version}"
        if champion.model_dir is None and patient.registry.fetches_files:
            champion = patient.registry.version(model.name, champion.version)
        if champion.model_dir is None:
            hint = f"Bring its artifacts back or promote another: workbench models show {model.name}."
            yield Finding("models", "problem", f"the files of {name} are gone ({champion.source})", hint)
            continue
        try:
            loaded = load_model(
                champion.model_dir,
                trusted_types=project.settings.serve.trusted_types,
                layout=project.layout,
            )
        except WorkbenchError as error:
            yield Finding("models", "problem", f"{name}: {error.message}", error.hint)
            continue
        differences = environment_differences(loaded.file)
        if differences:
            hint = "Results may differ; install what it was trained with, or train again here."
            yield Finding("models", "warning", f"{name} loads, but {'; '.join(differences)}", hint)
        else:
            yield Finding("models", "ok", f"{name} loads")


def _predictions(patient: Patient, _fix: bool) -> Iterator[Finding]:
    from store.predictions import PredictionReader

    table = PredictionReader(patient.project.layout).query("SELECT count(*) FROM predictions")
    if table.note:
        yield Finding("predictions", "warning", table.note)
    yield Finding("predictions", "ok", f"{counted(table.rows[0][0], 'prediction')} in the log")


def _server(patient: Patient, fix: bool) -> Iterator[Finding]:
    from serve.control import running_server

    layout, settings = patient.project.layout, patient.project.settings.serve
    server = running_server(layout)
    if server is not None:
        yield Finding("server", "ok", f"serving on {server.url} (pid {server.pid})")
        return
    leftover = layout.run / "server.json"
    if leftover.exists():
        if fix:
            leftover.unlink(missing_ok=True)
            yield Finding("server", "mended", f"removed {leftover}, left by a server that is gone")
        else:
            hint = "It does no harm; workbench doctor --fix removes it."
            yield Finding("server", "warning", f"{leftover} was left by a server that is gone", hint)
    if settings.socket is not None:
        yield Finding("server", "ok", f"not running; it would listen on the socket {settings.socket}")
        return
    taken = _port_problem(settings.host, settings.port)
    if taken:
        hint = "Choose another: [serve] port, or workbench serve --port 0 for a free one."
        yield Finding("server", "warning", f"port {settings.port} on {settings.host}: {taken}", hint)
    else:
        yield Finding("server", "ok", f"not running; port {settings.port} is free")


def _locks(patient: Patient, fix: bool) -> Iterator[Finding]:
    from store.jobs import list_jobs, update_job
    from store.locks import lock_holder

    layout = patient.project.layout
    held = {}
    for path in sorted(layout.run.glob("*.lock")):
        holder = lock_holder(path)
        if holder is not None:
            held[path.stem] = holder
            yield Finding(
                "locks", "ok", f"{path.name} is held by pid {holder.get('pid')}: {holder.get('what')}"
            )
    stale = [
        job
        for job in list_jobs(layout, states=("running", "queued"))
        if job.state == "running" and f"{job.kind}-{job.pipeline}" not in held
    ]
    for job in stale:
        if fix:
            update_job(layout, job.id, state="failed", error="its process died")
            yield Finding("jobs", "mended", f"job {job.id} is marked as failed: its process died")
        else:
            hint = "workbench doctor --fix marks it as failed."
            yield Finding("jobs", "warning", f"job {job.id} says running, but its process is gone", hint)
    if not held and not stale:
        yield Finding("locks", "ok", "nothing is held, no job was left behind")


def _nearest_existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _port_problem(host: str, port: int) -> str | None:
    """Why the port can't be listened on, or None."""
    import socket

    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            if os.name == "posix":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        return error.strerror or str(error)
    return None


CHECKS: dict[str, Callable[[Patient, bool], Iterator[Finding]]] = {
    "settings": _settings,
    "data": _data,
    "store": _writable,
    "disk": _disk,
    "runs": _runs,
    "journal": _journal,
    "models": _champions,
    "predictions": _predictions,
    "server": _server,
    "locks": _locks,
}
