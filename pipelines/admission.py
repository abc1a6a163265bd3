"""Lets data files into training, or not: each is read once, judged, and entered into the ledger."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.settings import PipelineSettings
from pipelines.summary import FileSummary, summarize
from pipelines.validate import DataSoFar, Finding, Report, judge
from pipelines.whole import is_being_written
from store.alerts import clear_alert, raise_alert
from store.errors import DataError, WorkbenchError
from store.journal import append_event
from store.layout import Layout
from store.ledger import (
    ACCEPTED,
    DataFile,
    FileState,
    Stamp,
    find_file,
    keep_known,
    ledger_path,
    list_files,
    record,
    same_content,
    stamp_of,
)

_NAMED = 20


@dataclass(frozen=True)
class Examined:
    """What became of one file: its state in the ledger and why; `state` is None for one that was still being
    written, changed while it was read or went away."""

    path: str
    state: FileState | None
    reason: str | None
    rows: int | None = None


@dataclass
class _Candidate:
    path: str
    stamp: Stamp
    sha256: str
    summary: FileSummary
    seconds: float


def examine(
    layout: Layout,
    pipeline: str,
    settings: PipelineSettings,
    paths: Iterable[Path],
    *,
    on_file: Callable[[Examined], None] | None = None,
) -> list[Examined]:
    """Read, judge and record files that are new or changed; content that is known is not judged again.

    Files that come before there is any data to measure them by are measured by what most of them have in
    common. A file that the system refuses to read stays new, with the reason.
    """
    so_far = data_so_far(layout, pipeline)
    results: list[Examined] = []
    waiting: list[_Candidate] = []

    def done(examined: Examined) -> None:
        results.append(examined)
        if on_file is not None:
            on_file(examined)

    def decide(candidate: _Candidate) -> None:
        report = judge(candidate.path, candidate.summary, so_far, settings, candidate.seconds)
        if report.is_valid:
            so_far.add(candidate.summary.columns)
        done(_enter(layout, pipeline, candidate.path, candidate.stamp, candidate.sha256, report))

    is_first = not so_far
    for path in paths:
        outcome = _look(layout, pipeline, settings, path)
        if isinstance(outcome, Examined):
            done(outcome)
        elif is_first:
            waiting.append(outcome)
        else:
            decide(outcome)
    if waiting:
        so_far = DataSoFar.by_majority([candidate.summary for candidate in waiting])
        seen: dict[str, str] = {}
        for candidate in waiting:
            if candidate.sha256 in seen:
                done(_duplicate(layout, pipeline, candidate, seen[candidate.sha256]))
                continue
            seen[candidate.sha256] = candidate.path
            decide(candidate)
    tell(layout, pipeline, [item for item in results if item.state == "quarantined"])
    return results


def data_so_far(layout: Layout, pipeline: str) -> DataSoFar:
    """The columns of all accepted files that are there."""
    result = DataSoFar()
    for file in list_files(layout, pipeline=pipeline, with_reports=True):
        is_accepted = file.state in ACCEPTED or file.before in ACCEPTED
        summary = (file.report or {}).get("summary") if is_accepted else None
        if summary:
            result.add(FileSummary.from_json(summary).columns)
    return result


def admit(
    layout: Layout, pipeline: str, settings: PipelineSettings, files: Sequence[Path]
) -> tuple[list[Path], list[str], bool]:
    """The files that a training may read, notes on those it may not, and whether a person or the settings
    let one in that breaks rules.

    Files that the ledger doesn't know, or that changed, are examined first. Raises DataError where none is
    left, naming what is wrong with the first.
    """
    known = {file.path: file for file in list_files(layout, pipeline=pipeline)}
    unknown = [path for path in files if not _is_current(known.get(ledger_path(path, layout.root)), path)]
    examined = {item.path: item for item in examine(layout, pipeline, settings, unknown)}
    known = {file.path: file for file in list_files(layout, pipeline=pipeline)}
    allowed, notes, refused = list[Path](), list[str](), list[DataFile | Examined]()
    is_lenient = settings.validate.on_failure == "warn"
    for path in files:
        name = ledger_path(path, layout.root)
        file, fresh = known.get(name), examined.get(name)
        if file is not None and file.state in ACCEPTED:
            allowed.append(path)
            is_lenient = is_lenient or file.is_released
        elif file is not None and file.state == "duplicate":
            notes.append(f"{name} is left out: {file.reason}")
        elif fresh is not None:
            refused.append(fresh)
        elif file is not None:
            refused.append(file)
    if not allowed:
        first = refused[0] if refused else None
        raise DataError(
            (first.reason if first is not None else None) or "no data file may be used",
            "Mend the data. workbench data show FILE has the report; workbench data release FILE lets it in."
            if first is not None and first.state == "quarantined"
            else "Try again when it is whole.",
        )
    for item in refused:
        what = "is quarantined" if item.state == "quarantined" else "is left out"
        notes.append(f"{item.path} {what}: {item.reason}")
    return allowed, notes, is_lenient


def _look(layout: Layout, pipeline: str, settings: PipelineSettings, path: Path) -> Examined | _Candidate:
    """Hash a file and, where its content is not known, sum it up."""
    name = ledger_path(path, layout.root)
    known = find_file(layout, pipeline, name)
    try:
        stamp = stamp_of(path.stat())
        if is_being_written(path):
            return Examined(name, None, f"{name} is still being written")
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        if known is not None and known.sha256 == sha256 and (known.before or known.state) != "new":
            keep_known(layout, pipeline, name, stamp)
            return Examined(name, known.before or known.state, known.reason, known.rows)
        twin = same_content(layout, pipeline, sha256, name)
        if twin is not None and twin.gone_at is not None:
            return _renamed(layout, pipeline, name, stamp, sha256, twin)
        if twin is not None:
            reason = f"the same content as {twin.path}"
            record(
                layout,
                pipeline,
                name,
                stamp=stamp,
                state="duplicate",
                sha256=sha256,
                rows=twin.rows,
                reason=reason,
            )
            return Examined(name, "duplicate", reason, twin.rows)
        begun = time.perf_counter()
        try:
            summary = summarize(path, settings)
        except DataError as error:
            if isinstance(error.__cause__, OSError) and not isinstance(error.__cause__, ValueError):
                raise error.__cause__ from error
            if _has_changed(path, stamp):
                return Examined(name, None, f"{name} changed while it was read")
            finding = Finding("error", "unreadable", error.message)
            report = Report(name, (finding,), None, time.perf_counter() - begun)
            return _enter(layout, pipeline, name, stamp, sha256, report)
        seconds = time.perf_counter() - begun
        if _has_changed(path, stamp):
            return Examined(name, None, f"{name} changed while it was read")
        return _Candidate(name, stamp, sha256, summary, seconds)
    except FileNotFoundError:
        return Examined(name, None, f"{name} is gone")
    except OSError as error:
        reason = f"{name} cannot be read: {error.strerror or error}"
        with contextlib.suppress(OSError):
            record(layout, pipeline, name, stamp=stamp_of(path.stat()), state="new", reason=reason)
        return Examined(name, "new", reason)


def _enter(layout: Layout, pipeline: str, path: str, stamp: Stamp, sha256: str, report: Report) -> Examined:
    state: FileState = "ready" if report.is_valid else "quarantined"
    rows = None if report.summary is None else report.summary.rows
    reason = report.reason
    if reason is None and report.warnings:
        reason = f"warning: {report.warnings[0].message}"
    record(
        layout,
        pipeline,
        path,
        stamp=stamp,
        state=state,
        sha256=sha256,
        rows=rows,
        reason=reason,
        report=report.as_json(),
    )
    return Examined(path, state, reason, rows)


def _renamed(layout: Layout, pipeline: str, path: str, stamp: Stamp, sha256: str, twin: DataFile) -> Examined:
    """A file that moved: it is what it was under its other name."""
    record(
        layout,
        pipeline,
        path,
        stamp=stamp,
        state=twin.state,
        sha256=sha256,
        rows=twin.rows,
        reason=twin.reason,
        report=twin.report,
        job_id=twin.job_id,
        run_id=twin.run_id,
        is_released=twin.is_released,
    )
    return Examined(path, twin.state, twin.reason, twin.rows)


def _duplicate(layout: Layout, pipeline: str, candidate: _Candidate, original: str) -> Examined:
    reason, rows = f"the same content as {original}", candidate.summary.rows
    record(
        layout,
        pipeline,
        candidate.path,
        stamp=candidate.stamp,
        state="duplicate",
        sha256=candidate.sha256,
        rows=rows,
        reason=reason,
    )
    return Examined(candidate.path, "duplicate", reason, rows)


def tell(layout: Layout, pipeline: str, quarantined: Sequence[Examined] = ()) -> None:
    """Journal files that were quarantined just now, and keep the pipeline's alert in step with the ledger."""
    with contextlib.suppress(WorkbenchError):
        if quarantined:
            append_event(
                layout,
                "data_quarantined",
                reason=quarantined[0].reason,
                details={
                    "pipeline": pipeline,
                    "paths": [item.path for item in quarantined[:_NAMED]],
                    "files": len(quarantined),
                },
            )
        key = f"quarantined:{pipeline}"
        present = list_files(layout, pipeline=pipeline, states=("quarantined",))
        if not present:
            clear_alert(layout, key, reason="no file is quarantined any more")
            return
        files = "1 data file" if len(present) == 1 else f"{len(present)} data files"
        raise_alert(
            layout,
            key,
            kind="quarantined",
            severity="warning",
            message=f"{files} of {pipeline} in quarantine: {present[0].reason}",
            details={"pipeline": pipeline, "paths": [file.path for file in present[:_NAMED]]},
            quiet=True,
        )


def _is_current(file: DataFile | None, path: Path) -> bool:
    """Whether the ledger's word on a file is about what lies there."""
    if file is None or file.state == "new":
        return False
    try:
        return stamp_of(path.stat()) == file.stamp
    except OSError:
        return False


def _has_changed(path: Path, stamp: Stamp) -> bool:
    try:
        return stamp_of(path.stat()) != stamp
    except OSError:
        return True
