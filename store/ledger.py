"""The ledger of data files: what lies in each pipeline's data folder, and what became of it."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from store.errors import NotFoundError, UsageError
from store.journal import append_event
from store.layout import Layout
from store.state import connect

FileState = Literal["new", "ready", "queued", "trained", "duplicate", "quarantined"]
STATES: tuple[str, ...] = get_args(FileState)
ACCEPTED: tuple[FileState, ...] = ("ready", "queued", "trained")
"""States of files that training reads."""

_COLUMNS = (
    "path, pipeline, state, before, size, mtime_ns, inode, sha256, rows, reason, job_id, run_id, released,"
    " first_seen, changed_at, gone_at"
)


@dataclass(frozen=True)
class Stamp:
    """What tells that a file is still the one that was read, without reading it."""

    size: int
    mtime_ns: int
    inode: int


@dataclass(frozen=True)
class DataFile:
    """One file of one pipeline. `path` is relative to the project where it lies within it."""

    path: str
    pipeline: str
    state: FileState
    stamp: Stamp
    sha256: str | None
    rows: int | None
    reason: str | None
    """Why it is in this state, in words."""
    job_id: str | None
    """The job that it was last queued for."""
    run_id: str | None
    """The run that learned from it last."""
    is_released: bool
    """Whether a person let it into training in spite of its report."""
    first_seen: datetime
    changed_at: datetime
    before: FileState | None
    """What a file whose content may have changed was before: it is `new` until somebody has read it."""
    gone_at: datetime | None
    """When it was seen to be missing; None while it is there."""
    report: Mapping[str, Any] | None = None
    """The validation report, where it was asked for."""

    def as_json(self) -> dict[str, Any]:
        """The file as `data list --json` prints it."""
        return {
            "path": self.path,
            "pipeline": self.pipeline,
            "state": self.state,
            "rows": None if self.state == "new" else self.rows,
            "hash": None if self.state == "new" else self.sha256,
            "reason": self.reason,
            "bytes": self.stamp.size,
            "released": self.is_released,
            "job_id": self.job_id,
            "run_id": self.run_id,
            "first_seen": _iso(self.first_seen),
            "changed_at": _iso(self.changed_at),
        }


def ledger_path(path: Path, root: Path) -> str:
    """The path that the ledger knows a file by: relative to the project where it lies within it.

    Symbolic links to files stay what they are; the folder is resolved, since projects lie behind links too.
    """
    if not path.is_absolute():
        path = root / path
    if path.is_relative_to(root):
        return path.relative_to(root).as_posix()
    resolved = path.parent.resolve() / path.name
    return (resolved.relative_to(root) if resolved.is_relative_to(root) else path).as_posix()


def list_files(
    layout: Layout,
    *,
    pipeline: str | None = None,
    states: Collection[str] = (),
    with_gone: bool = False,
    with_reports: bool = False,
) -> list[DataFile]:
    """Files by pipeline and path; those that are gone only where asked for. No file is made."""
    if not layout.state_db.exists():
        return []
    unknown = set(states) - set(STATES)
    if unknown:
        raise UsageError(f"no state {min(unknown)!r}", f"States are: {', '.join(STATES)}.")
    conditions, values = ["1"], list[Any]()
    if pipeline is not None:
        conditions.append("pipeline = ?")
        values.append(pipeline)
    if states:
        conditions.append(f"state IN ({', '.join('?' * len(states))})")
        values.extend(states)
    if not with_gone:
        conditions.append("gone_at IS NULL")
    columns = f"{_COLUMNS}, report" if with_reports else _COLUMNS
    with connect(layout) as connection:
        rows = connection.execute(
            f"SELECT {columns} FROM data_files WHERE {' AND '.join(conditions)} ORDER BY pipeline, path",
            values,
        ).fetchall()
    return [_file(row) for row in rows]


def get_file(layout: Layout, path: str, *, pipeline: str | None = None) -> DataFile:
    """The file with this path, or with a unique end of it; raises NotFoundError.

    Where several pipelines share it, the one of them that says most about it comes first: quarantined.
    """
    found = [file for file in list_files(layout, pipeline=pipeline, with_gone=True) if file.path == path]
    if not found:
        found = [
            file
            for file in list_files(layout, pipeline=pipeline, with_gone=True)
            if file.path.endswith(f"/{path}")
        ]
        if len({file.path for file in found}) > 1:
            raise NotFoundError(f"several data files end in {path!r}", "Give its path: workbench data list.")
    if not found:
        raise NotFoundError(f"the ledger knows no data file {path!r}", "See them with: workbench data list.")
    best = min(found, key=lambda file: (file.state != "quarantined", file.gone_at is not None))
    with connect(layout) as connection:
        return _file(
            connection.execute(
                f"SELECT {_COLUMNS}, report FROM data_files WHERE pipeline = ? AND path = ?",
                (best.pipeline, best.path),
            ).fetchone()
        )


def stamps(layout: Layout, pipeline: str) -> dict[str, tuple[Stamp, FileState, bool]]:
    """Of every file known: its stamp, state and whether it is gone, by path."""
    if not layout.state_db.exists():
        return {}
    with connect(layout) as connection:
        rows = connection.execute(
            "SELECT path, size, mtime_ns, inode, state, gone_at FROM data_files WHERE pipeline = ?",
            (pipeline,),
        ).fetchall()
    return {row[0]: (Stamp(row[1], row[2], row[3]), row[4], row[5] is not None) for row in rows}


def note_seen(layout: Layout, pipeline: str, files: Mapping[str, Stamp]) -> None:
    """Record whole files whose content is not known: new ones, changed ones, ones that came back."""
    if not files:
        return
    now = _now()
    with connect(layout) as connection:
        connection.executemany(
            "INSERT INTO data_files (path, pipeline, state, size, mtime_ns, inode, first_seen, changed_at)"
            " VALUES (?1, ?2, 'new', ?3, ?4, ?5, ?6, ?6)"
            " ON CONFLICT (pipeline, path) DO UPDATE SET gone_at = NULL, size = ?3, mtime_ns = ?4,"
            " inode = ?5, before = CASE WHEN state = 'new' THEN before ELSE state END, state = 'new',"
            " changed_at = ?6",
            [(path, pipeline, stamp.size, stamp.mtime_ns, stamp.inode, now) for path, stamp in files.items()],
        )


def note_gone(layout: Layout, pipeline: str, paths: Collection[str]) -> None:
    """Record that files are no longer there; a copy of one of them takes its place."""
    if not paths:
        return
    now = _now()
    with connect(layout) as connection:
        connection.execute("BEGIN IMMEDIATE")
        for path in paths:
            connection.execute(
                "UPDATE data_files SET gone_at = ?, changed_at = ? WHERE pipeline = ? AND path = ?"
                " AND gone_at IS NULL",
                (now, now, pipeline, path),
            )
            _promote_copy(connection, pipeline, path, now)


@dataclass(frozen=True)
class Entry:
    """What is to be written down of one file."""

    path: str
    stamp: Stamp
    state: FileState
    sha256: str | None = None
    rows: int | None = None
    reason: str | None = None
    report: Mapping[str, Any] | None = None
    job_id: str | None = None
    run_id: str | None = None
    is_released: bool = False


def record(layout: Layout, pipeline: str, entries: Sequence[Entry]) -> None:
    """Write down what files are, whatever was known of those paths, in one transaction; the same again
    changes nothing. Where the content of a file with copies is replaced, a copy takes its place."""
    if not entries:
        return
    now = _now()
    with connect(layout) as connection:
        connection.execute("BEGIN IMMEDIATE")
        for entry in entries:
            _promote_copy(connection, pipeline, entry.path, now, but=entry.sha256)
            text = None if entry.report is None else json.dumps(entry.report, ensure_ascii=False, default=str)
            connection.execute(
                "INSERT INTO data_files (path, pipeline, state, size, mtime_ns, inode, sha256, rows, reason,"
                " report, job_id, run_id, released, first_seen, changed_at)"
                " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?14)"
                " ON CONFLICT (pipeline, path) DO UPDATE SET state = ?3, size = ?4, mtime_ns = ?5,"
                " inode = ?6, sha256 = ?7, rows = ?8, reason = ?9, report = ?10, job_id = ?11, run_id = ?12,"
                " released = ?13, changed_at = ?14, gone_at = NULL, before = NULL",
                (entry.path, pipeline, entry.state, entry.stamp.size, entry.stamp.mtime_ns, entry.stamp.inode,
                 entry.sha256, entry.rows, entry.reason, text, entry.job_id, entry.run_id,
                 int(entry.is_released), now),
            )  # fmt: skip


def keep_known(layout: Layout, pipeline: str, path: str, stamp: Stamp) -> None:
    """A file that was touched or came back with the content it had: it is what it was."""
    with connect(layout) as connection:
        connection.execute(
            "UPDATE data_files SET state = coalesce(before, state), before = NULL, gone_at = NULL,"
            " size = ?, mtime_ns = ?, inode = ?, changed_at = ? WHERE pipeline = ? AND path = ?",
            (stamp.size, stamp.mtime_ns, stamp.inode, _now(), pipeline, path),
        )


def find_file(layout: Layout, pipeline: str, path: str) -> DataFile | None:
    """What the ledger says about one file, its report included; None where it knows nothing."""
    if not layout.state_db.exists():
        return None
    with connect(layout) as connection:
        row = connection.execute(
            f"SELECT {_COLUMNS}, report FROM data_files WHERE pipeline = ? AND path = ?", (pipeline, path)
        ).fetchone()
    return None if row is None else _file(row)


def queue_files(layout: Layout, pipeline: str, job_id: str) -> int:
    """Give every ready file of the pipeline to a job; how many there were."""
    with connect(layout) as connection:
        return connection.execute(
            "UPDATE data_files SET state = 'queued', job_id = ?, changed_at = ?"
            " WHERE pipeline = ? AND state = 'ready' AND gone_at IS NULL",
            (job_id, _now(), pipeline),
        ).rowcount


def return_files(layout: Layout) -> int:
    """Give back what jobs that ended did not learn from; how many files that were.

    A file keeps the id of a job that failed or was cancelled: it had its turn.
    """
    with connect(layout) as connection:
        connection.execute("BEGIN IMMEDIATE")
        taken = (
            "state = 'queued' AND NOT EXISTS"
            " (SELECT 1 FROM jobs WHERE id = job_id AND jobs.state IN ('queued', 'running'))"
        )
        failed = "EXISTS (SELECT 1 FROM jobs WHERE id = job_id AND jobs.state IN ('failed', 'cancelled'))"
        return connection.execute(
            f"UPDATE data_files SET state = 'ready', changed_at = ?,"
            f" reason = CASE WHEN released THEN reason WHEN {failed}"
            f" THEN 'job ' || job_id || ' came to nothing' END,"
            f" job_id = CASE WHEN {failed} THEN job_id END WHERE {taken}",
            (_now(),),
        ).rowcount


def note_trained(layout: Layout, pipeline: str, files: Iterable[tuple[str, str]], run_id: str) -> int:
    """Record that a run learned from these files (path and sha256 of what it read); how many are known.

    A file that was replaced since the run read it stays what it is.
    """
    now = _now()
    with connect(layout) as connection:
        marks = ", ".join("?" * len(ACCEPTED))
        return sum(
            connection.execute(
                "UPDATE data_files SET state = 'trained', run_id = ?, reason = CASE WHEN released THEN reason"
                f" END, changed_at = ? WHERE pipeline = ? AND path = ? AND sha256 = ? AND state IN ({marks})",
                (run_id, now, pipeline, path, sha256, *ACCEPTED),
            ).rowcount
            for path, sha256 in files
        )


def release(layout: Layout, file: DataFile, reason: str, *, who: str | None = None) -> DataFile:
    """Let a quarantined file into training after all; journalled. Raises UsageError for any other file."""
    if file.state != "quarantined":
        raise UsageError(f"{file.path} is not quarantined: it is {file.state}", "See: workbench data list.")
    with connect(layout) as connection:
        connection.execute(
            "UPDATE data_files SET state = 'ready', released = 1, reason = ?, job_id = NULL, changed_at = ?"
            " WHERE pipeline = ? AND path = ? AND state = 'quarantined'",
            (f"released: {reason}", _now(), file.pipeline, file.path),
        )
    append_event(
        layout,
        "data_released",
        who=who,
        reason=reason,
        details={
            "path": file.path,
            "pipeline": file.pipeline,
            "sha256": file.sha256,
            "findings": file.reason,
        },
    )
    return get_file(layout, file.path, pipeline=file.pipeline)


def counts(layout: Layout) -> dict[str, dict[str, int]]:
    """How many files are in each state, by pipeline."""
    if not layout.state_db.exists():
        return {}
    result: dict[str, dict[str, int]] = {}
    with connect(layout) as connection:
        for pipeline, state, number in connection.execute(
            "SELECT pipeline, state, count(*) FROM data_files WHERE gone_at IS NULL GROUP BY 1, 2"
        ):
            result.setdefault(pipeline, {})[state] = number
    return result


def _promote_copy(connection: Any, pipeline: str, path: str, now: str, *, but: str | None = None) -> None:
    """Where an original has gone, or holds something else (`but`), its copy is the original."""
    original = connection.execute(
        "SELECT *, coalesce(before, state) AS was FROM data_files WHERE pipeline = ? AND path = ?",
        (pipeline, path),
    ).fetchone()
    if original is None or original["sha256"] in (None, but) or original["was"] not in ACCEPTED:
        return
    connection.execute(
        "UPDATE data_files SET state = ?, reason = ?, report = ?, job_id = ?, run_id = ?, released = ?,"
        " rows = ?, changed_at = ? WHERE pipeline = ? AND path = (SELECT min(path) FROM data_files"
        " WHERE pipeline = ? AND sha256 = ? AND state = 'duplicate' AND gone_at IS NULL)",
        (original["was"], original["reason"], original["report"], original["job_id"], original["run_id"],
         original["released"], original["rows"], now, pipeline, pipeline, original["sha256"]),
    )  # fmt: skip


def _file(row: Any) -> DataFile:
    values = dict(row)
    report = values.get("report")
    return DataFile(
        path=values["path"],
        pipeline=values["pipeline"],
        state=values["state"],
        stamp=Stamp(values["size"], values["mtime_ns"], values["inode"]),
        sha256=values["sha256"],
        rows=values["rows"],
        reason=values["reason"],
        job_id=values["job_id"],
        run_id=values["run_id"],
        is_released=bool(values["released"]),
        first_seen=datetime.fromisoformat(values["first_seen"]),
        changed_at=datetime.fromisoformat(values["changed_at"]),
        before=values["before"],
        gone_at=None if values["gone_at"] is None else datetime.fromisoformat(values["gone_at"]),
        report=None if report is None else json.loads(report),
    )


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def stamp_of(status: Any) -> Stamp:
    """The stamp in what `os.stat` answered."""
    return Stamp(status.st_size, status.st_mtime_ns, status.st_ino)
