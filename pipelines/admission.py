"""Lets data files into training, or not: each is read once, judged, and entered into the ledger."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.data_files import scan
from pipelines.file_drift import ChampionReference, FileDrift, champion_reference
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
    Entry,
    FileState,
    Stamp,
    find_file,
    keep_known,
    ledger_path,
    list_files,
    record,
    stamp_of,
)

_NAMED = 20
_AT_ONCE = 200
_LONGEST_S = 0.3
"""Files and seconds until what was found is written to the ledger."""


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
    drift: list[Finding]


def examine(
    layout: Layout,
    pipeline: str,
    settings: PipelineSettings,
    paths: Iterable[Path],
    *,
    on_file: Callable[[Examined], None] | None = None,
    wait_for_writers: bool = True,
) -> list[Examined]:
    """Read, judge and record files that are new or changed; content that is known is not judged again.

    Files that come before there is any data to measure them by are measured by what most of them have in
    common. A file that the system refuses to read stays new, with the reason.
    """
    so_far = data_so_far(layout, pipeline)
    reference = champion_reference(layout, pipeline, settings)
    desk = _Desk(layout, pipeline, on_file)
    waiting: list[_Candidate] = []

    def decide(candidate: _Candidate) -> None:
        report = judge(
            candidate.path, candidate.summary, so_far, settings, candidate.seconds, candidate.drift
        )
        if report.is_valid:
            so_far.add(candidate.summary.columns)
        desk.enter(_judged(candidate.path, candidate.stamp, candidate.sha256, report))

    is_first = not so_far
    for path in paths:
        outcome = _look(desk, layout, settings, path, reference, wait_for_writers=wait_for_writers)
        if isinstance(outcome, Examined):
            desk.done(outcome)
        elif isinstance(outcome, Entry):
            desk.enter(outcome)
        elif is_first:
            waiting.append(outcome)
        else:
            decide(outcome)
    if waiting:
        so_far = DataSoFar.by_majority([candidate.summary for candidate in waiting])
        for candidate in waiting:
            twin = desk.twin(candidate.sha256, candidate.path)
            if twin is None:
                decide(candidate)
            else:
                desk.enter(_duplicate(candidate.path, candidate.stamp, candidate.sha256, twin))
    desk.flush()
    tell(layout, pipeline, [item for item in desk.results if item.state == "quarantined"])
    return desk.results


class _Desk:
    """The ledger of one pipeline while files are examined: read once, written some files at a time."""

    def __init__(self, layout: Layout, pipeline: str, on_file: Callable[[Examined], None] | None) -> None:
        self._layout = layout
        self.pipeline = pipeline
        self._on_file = on_file
        self._waiting: list[Entry] = []
        self._flushed_at = time.monotonic()
        self.results: list[Examined] = []
        self.known = {file.path: file for file in list_files(layout, pipeline=pipeline, with_gone=True)}
        self._by_content: dict[str, dict[str, DataFile | Entry]] = {}
        for file in self.known.values():
            if file.sha256 is not None and file.state in ACCEPTED:
                self._by_content.setdefault(file.sha256, {})[file.path] = file

    def twin(self, sha256: str, but: str) -> DataFile | Entry | None:
        """Another accepted file with this content; one that is there before one that is gone."""
        others = [file for path, file in self._by_content.get(sha256, {}).items() if path != but]
        return min(others, key=lambda file: (_is_gone(file), file.path), default=None)

    def enter(self, entry: Entry) -> None:
        """Write this down soon; who listens hears of it when it is written."""
        self._waiting.append(entry)
        if entry.sha256 is not None and entry.state in ACCEPTED:
            self._by_content.setdefault(entry.sha256, {})[entry.path] = entry
        if len(self._waiting) >= _AT_ONCE or time.monotonic() - self._flushed_at > _LONGEST_S:
            self.flush()

    def flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        record(self._layout, self.pipeline, waiting)
        self._flushed_at = time.monotonic()
        for entry in waiting:
            self.done(Examined(entry.path, entry.state, entry.reason, entry.rows))

    def done(self, examined: Examined) -> None:
        self.results.append(examined)
        if self._on_file is not None:
            self._on_file(examined)


def data_so_far(layout: Layout, pipeline: str) -> DataSoFar:
    """The columns of all accepted files that are there."""
    result = DataSoFar()
    for file in list_files(layout, pipeline=pipeline, with_reports=True):
        is_accepted = file.state in ACCEPTED or file.before in ACCEPTED
        summary = (file.report or {}).get("summary") if is_accepted else None
        if summary:
            result.add(FileSummary.from_json(summary).columns)
    return result


def summarize_with_drift(
    layout: Layout, settings: PipelineSettings, path: Path, reference: ChampionReference | None
) -> tuple[FileSummary, list[Finding]]:
    """What a file holds, and how that has drifted from the champion's training data; read once."""
    if reference is None:
        return summarize(path, settings), []
    drift = FileDrift(reference, settings)
    summary = summarize(path, settings, drift.add)
    return summary, drift.findings(ledger_path(path, layout.root))


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
    # A pipeline's only file may be one that somebody always has open.
    found = examine(layout, pipeline, settings, unknown, wait_for_writers=len(files) > 1)
    examined = {item.path: item for item in found}
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


def examine_named(layout: Layout, pipeline: str, settings: PipelineSettings, files: Sequence[Path]) -> None:
    """Where files named for one training are the pipeline's own, judge those of its files that are not known
    yet: all of them, since they are measured by each other."""
    own = [Path(path) for path in scan(settings.data, layout.root)]
    if not set(own) & set(files):
        return
    known = {file.path: file for file in list_files(layout, pipeline=pipeline)}
    unknown = [path for path in own if not _is_current(known.get(ledger_path(path, layout.root)), path)]
    examine(layout, pipeline, settings, unknown, wait_for_writers=False)


def check_named(layout: Layout, pipeline: str, contents: Mapping[str, str]) -> bool:
    """Whether rules were waived for one of the files named for a training (path to SHA-256).

    What counts is their content, wherever it lies. Raises DataError where that is in quarantine.
    """
    by_content: dict[str, DataFile] = {}
    for file in list_files(layout, pipeline=pipeline, with_gone=True):
        if file.sha256 is not None and file.sha256 in contents.values():
            before = by_content.get(file.sha256)
            if before is None or before.state not in ACCEPTED:
                by_content[file.sha256] = file
    for path, sha256 in contents.items():
        found = by_content.get(sha256)
        if found is not None and "quarantined" in (found.state, found.before):
            what = "is quarantined" if found.path == path else f"has the content of {found.path}, quarantined"
            raise DataError(
                f"{path} {what}: {found.reason}",
                f"Mend the data, or let it in: workbench data release {found.path} --reason TEXT",
            )
    return any(file.is_released for file in by_content.values())


def _look(
    desk: _Desk,
    layout: Layout,
    settings: PipelineSettings,
    path: Path,
    reference: ChampionReference | None,
    *,
    wait_for_writers: bool,
) -> Examined | Entry | _Candidate:
    """Hash a file and, where its content is not known, sum it up."""
    name = ledger_path(path, layout.root)
    known = desk.known.get(name)
    try:
        stamp = stamp_of(path.stat())
        if wait_for_writers and is_being_written(path):
            return Examined(name, None, f"{name} is still being written")
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        if known is not None and known.sha256 == sha256 and (known.before or known.state) != "new":
            keep_known(layout, desk.pipeline, name, stamp)
            return Examined(name, known.before or known.state, known.reason, known.rows)
        twin = desk.twin(sha256, name)
        if isinstance(twin, DataFile) and twin.gone_at is not None:
            return _renamed(layout, name, stamp, twin)
        if twin is not None:
            return _duplicate(name, stamp, sha256, twin)
        begun = time.perf_counter()
        try:
            summary, drift = summarize_with_drift(layout, settings, path, reference)
        except DataError as error:
            if isinstance(error.__cause__, OSError) and not isinstance(error.__cause__, ValueError):
                raise error.__cause__ from error
            if _has_changed(path, stamp):
                return Examined(name, None, f"{name} changed while it was read")
            finding = Finding("error", "unreadable", error.message)
            return _judged(name, stamp, sha256, Report(name, (finding,), None, time.perf_counter() - begun))
        seconds = time.perf_counter() - begun
        if _has_changed(path, stamp):
            return Examined(name, None, f"{name} changed while it was read")
        return _Candidate(name, stamp, sha256, summary, seconds, drift)
    except FileNotFoundError:
        return Examined(name, None, f"{name} is gone")
    except OSError as error:
        reason = f"{name} cannot be read: {error.strerror or error}"
        try:
            return Entry(name, stamp_of(path.stat()), "new", reason=reason)
        except OSError:
            return Examined(name, None, reason)


def _judged(path: str, stamp: Stamp, sha256: str, report: Report) -> Entry:
    state: FileState = "ready" if report.is_valid else "quarantined"
    rows = None if report.summary is None else report.summary.rows
    reason = report.reason
    if reason is None and report.warnings:
        reason = f"warning: {report.warnings[0].message}"
    return Entry(path, stamp, state, sha256, rows, reason, report.as_json())


def _renamed(layout: Layout, path: str, stamp: Stamp, twin: DataFile) -> Entry:
    """A file that moved: it is what it was under its other name."""
    before = find_file(layout, twin.pipeline, twin.path) or twin
    return Entry(
        path,
        stamp,
        before.state,
        before.sha256,
        before.rows,
        before.reason,
        before.report,
        before.job_id,
        before.run_id,
        before.is_released,
    )


def _duplicate(path: str, stamp: Stamp, sha256: str, twin: DataFile | Entry) -> Entry:
    return Entry(path, stamp, "duplicate", sha256, twin.rows, f"the same content as {twin.path}")


def _is_gone(file: DataFile | Entry) -> bool:
    return isinstance(file, DataFile) and file.gone_at is not None


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
