"""A project's data files and trainings as rows, and its watcher, at the cost of what has changed."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from store.job_progress import LOG_FILE, PROGRESS_FILE, JobProgress, read_log, read_progress
from store.jobs import Job, list_jobs

if TYPE_CHECKING:
    from store.data_versions import DataVersion
    from store.ledger import DataFile
    from workbench.desk.desk import Desk
    from workbench.watching import WatcherInfo

_RESCAN_S = 5.0
"""How long the listing of the folders is believed while the ledger stands still."""
_MOST_JOBS = 200
_MOST_LOG_LINES = 1_000
FILE_TONES: Mapping[str, str | None] = {
    "new": "accent",
    "ready": "success",
    "queued": "accent",
    "trained": None,
    "duplicate": "muted",
    "quarantined": "error",
}
JOB_TONES: Mapping[str, str | None] = {
    "queued": "muted",
    "running": "accent",
    "done": "success",
    "refused": "warning",
    "failed": "error",
    "cancelled": "warning",
}


@dataclass(frozen=True)
class FileRow:
    """One file of one pipeline."""

    file: DataFile

    @property
    def id(self) -> str:
        return f"{self.file.pipeline}\0{self.file.path}"

    @property
    def path(self) -> str:
        return self.file.path

    @property
    def pipeline(self) -> str:
        return self.file.pipeline

    @property
    def state(self) -> str:
        return self.file.state

    @property
    def rows(self) -> int | None:
        return None if self.file.state == "new" else self.file.rows

    @property
    def size(self) -> int:
        return self.file.stamp.size

    @property
    def at(self) -> datetime:
        """When it was last changed."""
        return datetime.fromtimestamp(self.file.stamp.mtime_ns / 1e9, UTC)

    @property
    def reason(self) -> str:
        """Why it is in this state, without its own name, which is beside it."""
        return (self.file.reason or "").removeprefix(self.path).lstrip()

    @property
    def tone(self) -> str | None:
        return FILE_TONES.get(self.file.state)


@dataclass(frozen=True)
class FileReport:
    """What was found in a file, and who learned from it."""

    validation: Mapping[str, Any] | None = None
    """As the ledger keeps it; None where nobody has examined the file."""
    versions: Sequence[DataVersion] = ()
    """Data versions with this very content, the newest first."""


@dataclass(frozen=True)
class JobRow:
    """One training, or one scoring by the clock; `progress` while it runs."""

    job: Job
    progress: JobProgress | None = None

    @property
    def id(self) -> str:
        return self.job.id

    @property
    def pipeline(self) -> str:
        return self.job.pipeline

    @property
    def state(self) -> str:
        return self.job.state

    @property
    def at(self) -> datetime:
        return self.job.created_at

    @property
    def share(self) -> float | None:
        """How far it is, 0 to 1; None for one that waits, or ended before its end."""
        if self.job.state in ("done", "refused"):
            return 1.0
        if self.job.state == "running":
            return self.progress.share if self.progress is not None else 0.0
        return None

    @property
    def seconds(self) -> float | None:
        """How long it took; None before its end."""
        job = self.job
        if job.started_at is None or job.ended_at is None:
            return None
        return (job.ended_at - job.started_at).total_seconds()

    @property
    def tone(self) -> str | None:
        return JOB_TONES.get(self.job.state)

    @property
    def doing(self) -> str:
        """The stage it is in, else why it failed, else why it was asked for."""
        progress = self.progress
        if self.job.state == "running" and progress is not None:
            return f"{progress.step}/{progress.steps} {progress.stage} {progress.text}".rstrip()
        words = self.job.error or self.job.reason or ""
        return words if self.job.kind == "train" else f"scoring: {words}"

    @property
    def what(self) -> str:
        """What it does, in a word."""
        return "training" if self.job.kind == "train" else "scoring"


@dataclass(frozen=True)
class Watching:
    """The watcher as it is now; None where none runs."""

    watcher: WatcherInfo | None
    folders: tuple[str, ...]
    """Of the watcher where one runs, else those that one would watch."""
    paused: frozenset[str]
    """Pipelines whose new data trains nothing for now."""
    pipelines: tuple[str, ...]
    running: int = 0
    queued: int = 0

    @property
    def is_paused(self) -> bool:
        """Whether every pipeline pauses."""
        return bool(self.pipelines) and self.paused >= set(self.pipelines)

    @property
    def waits(self) -> tuple[tuple[str, str], ...]:
        """(pipeline, what its new data waits for)."""
        rows: Sequence[Mapping[str, Any]] = self.watcher.pipelines if self.watcher is not None else ()
        return tuple((row["name"], str(row["waits_for"])) for row in rows if row.get("waits_for"))

    @property
    def next_due(self) -> tuple[tuple[str, str, datetime], ...]:
        """(pipeline, "trains" or "scores", when) of the schedules, the next one first."""
        watcher = self.watcher
        if watcher is None:
            return ()
        found = [
            (str(row["name"]), what, datetime.fromisoformat(str(row[key])))
            for row in watcher.pipelines
            for key, what in (("next_training", "trains"), ("next_scoring", "scores"))
            if row.get(key)
        ]
        return tuple(sorted((one for one in found if one[2] > watcher.heartbeat), key=lambda one: one[2]))

    @property
    def problems(self) -> tuple[str, ...]:
        found = self.watcher.problems if self.watcher is not None else None
        return tuple(f"{name}: {text}" for name, text in (found or {}).items())


@dataclass(frozen=True)
class JobLog:
    """The end of what a job wrote."""

    job_id: str
    lines: tuple[str, ...]


class DataDesk:
    """What the Data screen asks, from any thread; an answer is the same object until something is new."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._layout = desk.layout
        self._lock = threading.Lock()
        self._files: tuple[FileRow, ...] = ()
        self._files_seen: object = None
        self._scanned_at = 0.0
        self._jobs: tuple[JobRow, ...] = ()
        self._jobs_seen: object = None
        self._versions: Sequence[DataVersion] = ()
        self._versions_seen: object = None
        self._log = JobLog("", ())
        self._log_seen: object = None

    def files(self) -> tuple[FileRow, ...]:
        """Every data file that is there, by pipeline and path."""
        from pipelines.data_state import current_files

        pipelines = self._desk.require_project("the Data screen").settings.pipelines
        with self._lock:
            seen, now = self._state_stamp(), time.monotonic()
            if seen == self._files_seen and now - self._scanned_at < _RESCAN_S:
                return self._files
            rows = tuple(FileRow(file) for file in current_files(self._layout, pipelines))
            self._files_seen, self._scanned_at = seen, now
            if _looks(rows) != _looks(self._files):
                self._files = rows
            return self._files

    def report(self, row: FileRow) -> FileReport:
        """What is known about a file beside its row."""
        from store.ledger import find_file

        found = find_file(self._layout, row.pipeline, row.path)
        versions = tuple(
            version
            for version in self._versions_of(row.pipeline)
            if row.file.sha256 in {file.sha256 for file in version.files}
        )
        return FileReport(None if found is None or row.state == "new" else found.report, versions)

    def _versions_of(self, pipeline: str) -> Sequence[DataVersion]:
        from store.data_versions import list_versions

        with self._lock:
            seen = (pipeline, self._state_stamp())
            if seen != self._versions_seen:
                self._versions, self._versions_seen = list_versions(self._layout, pipeline=pipeline), seen
            return self._versions

    def jobs(self) -> tuple[JobRow, ...]:
        """The latest trainings, the newest first."""
        with self._lock:
            running = [row.id for row in self._jobs if row.state == "running"]
            told = tuple(_stamp(self._layout.jobs / each / PROGRESS_FILE) for each in running)
            seen = (self._state_stamp(), told)
            if seen != self._jobs_seen:
                rows = tuple(map(self._job_row, list_jobs(self._layout, limit=_MOST_JOBS)))
                # Of jobs that run since this moment, nothing was seen: they are looked at again.
                same = running == [row.id for row in rows if row.state == "running"]
                self._jobs_seen = seen if same else None
                if rows != self._jobs:
                    self._jobs = rows
            return self._jobs

    def log(self, job_id: str) -> JobLog:
        """The last lines that a job wrote."""
        seen = (job_id, _stamp(self._layout.jobs / job_id / LOG_FILE))
        with self._lock:
            if seen != self._log_seen:
                text, _ = read_log(self._layout, job_id)
                lines = tuple(line for line in text.splitlines() if line.strip())[-_MOST_LOG_LINES:]
                self._log, self._log_seen = JobLog(job_id, lines), seen
            return self._log

    def watching(self) -> Watching:
        """Whether the watcher runs, pauses, and what it waits for."""
        from store.watch_state import paused_pipelines
        from workbench.watching import running_watcher

        settings = self._desk.require_project("the Data screen").settings.pipelines
        watcher = running_watcher(self._layout)
        paused = paused_pipelines(self._layout, settings)
        if watcher is not None:
            folders = tuple(self._shown(str(row["path"])) for row in watcher.folders)
        else:
            folders = tuple(dict.fromkeys(pipeline.data for pipeline in settings.values()))
        jobs = self.jobs()
        return Watching(
            watcher,
            folders,
            frozenset(paused & set(settings)),
            tuple(settings),
            running=sum(row.state == "running" for row in jobs),
            queued=sum(row.state == "queued" for row in jobs),
        )

    def _job_row(self, job: Job) -> JobRow:
        return JobRow(job, read_progress(self._layout, job.id) if job.state == "running" else None)

    def _shown(self, folder: str) -> str:
        path = Path(folder)
        root = self._layout.root
        return str(path.relative_to(root)) if path.is_relative_to(root) else folder

    def _state_stamp(self) -> object:
        state = self._layout.state_db
        return _stamp(state), _stamp(state.with_name(f"{state.name}-wal"))


def _looks(rows: Sequence[FileRow]) -> list[object]:
    """What tells rows apart; a file that nobody has examined is first seen at each look."""
    return [
        (row.id, row.state, row.file.stamp, row.rows, row.reason, row.file.job_id, row.file.run_id)
        for row in rows
    ]


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
