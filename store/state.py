"""The small shared state of a project: `state.sqlite`, which many processes read and write at once."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from store.errors import BusyError, StorageError
from store.layout import Layout

BUSY_TIMEOUT_S = 10.0
_LEAST_FREE_BYTES = 256 * 1024

# Each entry takes the file one version further; `PRAGMA user_version` counts how many were applied.
# Entries are never edited, only added.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)""",
        """CREATE TABLE jobs (
            id TEXT PRIMARY KEY,
            pipeline TEXT NOT NULL,
            state TEXT NOT NULL,
            trigger TEXT NOT NULL,
            reason TEXT,
            run_id TEXT,
            version INTEGER,
            error TEXT,
            pid INTEGER,
            who TEXT NOT NULL,
            created_at TEXT NOT NULL,
            started_at TEXT,
            ended_at TEXT
        )""",
        """CREATE INDEX jobs_by_pipeline ON jobs (pipeline, created_at)""",
        """CREATE TABLE trust (
            kind TEXT NOT NULL,
            value TEXT NOT NULL,
            who TEXT NOT NULL,
            reason TEXT,
            at TEXT NOT NULL,
            PRIMARY KEY (kind, value)
        )""",
    ),
    (
        """CREATE TABLE keys (
            name TEXT PRIMARY KEY,
            digest TEXT NOT NULL UNIQUE,
            scopes TEXT NOT NULL,
            who TEXT NOT NULL,
            at TEXT NOT NULL
        )""",
    ),
    (
        """CREATE TABLE alerts (
            id TEXT PRIMARY KEY,
            key TEXT NOT NULL,
            kind TEXT NOT NULL,
            model TEXT,
            version INTEGER,
            feature TEXT,
            severity TEXT NOT NULL,
            worst TEXT NOT NULL,
            state TEXT NOT NULL,
            message TEXT NOT NULL,
            since TEXT NOT NULL,
            last_seen TEXT NOT NULL,
            cleared_at TEXT,
            who TEXT,
            silenced_until TEXT,
            details TEXT NOT NULL
        )""",
        """CREATE UNIQUE INDEX alerts_live ON alerts (key) WHERE cleared_at IS NULL""",
        """CREATE INDEX alerts_by_time ON alerts (since)""",
        """CREATE TABLE alert_silences (key TEXT PRIMARY KEY, until TEXT NOT NULL, who TEXT NOT NULL)""",
        """CREATE TABLE alert_changes (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            alert_id TEXT NOT NULL,
            what TEXT NOT NULL,
            at TEXT NOT NULL
        )""",
    ),
    (
        """CREATE TABLE data_files (
            path TEXT NOT NULL,
            pipeline TEXT NOT NULL,
            state TEXT NOT NULL,
            before TEXT,
            size INTEGER NOT NULL,
            mtime_ns INTEGER NOT NULL,
            inode INTEGER NOT NULL,
            sha256 TEXT,
            rows INTEGER,
            reason TEXT,
            report TEXT,
            job_id TEXT,
            run_id TEXT,
            released INTEGER NOT NULL DEFAULT 0,
            first_seen TEXT NOT NULL,
            changed_at TEXT NOT NULL,
            gone_at TEXT,
            PRIMARY KEY (pipeline, path)
        )""",
        """CREATE INDEX data_files_by_content ON data_files (pipeline, sha256)""",
        """CREATE TABLE data_versions (
            digest TEXT PRIMARY KEY,
            pipeline TEXT NOT NULL,
            rows INTEGER NOT NULL,
            manifest TEXT NOT NULL,
            created_at TEXT NOT NULL
        )""",
        """CREATE TABLE data_version_runs (
            digest TEXT NOT NULL,
            run_id TEXT NOT NULL,
            at TEXT NOT NULL,
            PRIMARY KEY (digest, run_id)
        )""",
    ),
    (
        """CREATE TABLE alert_channels (
            channel TEXT PRIMARY KEY,
            seen_seq INTEGER NOT NULL,
            sent TEXT NOT NULL,
            failures INTEGER NOT NULL,
            error TEXT,
            retry_at TEXT,
            claimed_by TEXT,
            claimed_until TEXT
        )""",
        """CREATE TABLE alert_told (
            channel TEXT NOT NULL,
            alert_id TEXT NOT NULL,
            severity TEXT NOT NULL,
            at TEXT NOT NULL,
            is_end INTEGER NOT NULL,
            PRIMARY KEY (channel, alert_id)
        )""",
    ),
    ("""ALTER TABLE jobs ADD COLUMN kind TEXT NOT NULL DEFAULT 'train'""",),
)


@contextmanager
def connect(layout: Layout) -> Iterator[sqlite3.Connection]:
    """Open the state file, creating or migrating it; one transaction, committed when the block ends well.

    Rows are `sqlite3.Row`. A statement that writes takes the write lock at once, so a block that reads and
    then writes should begin with `connection.execute("BEGIN IMMEDIATE")`.
    Raises StorageError where the file can't be opened or is newer than this workbench, BusyError where
    another process keeps it locked. Where the file system is read-only, the file can still be read.
    """
    path = layout.state_db
    try:
        with closing(_open(layout)) as connection:
            connection.row_factory = sqlite3.Row
            _prepare(connection, str(path))
            with connection:
                yield connection
    except sqlite3.OperationalError as error:
        if "locked" in str(error) or "busy" in str(error):
            raise BusyError(f"{path} is locked by another process", "Try again in a moment.") from error
        if _is_full(path, error):
            raise StorageError(
                f"no space left on the disk of {path}", "Free some of it and try again."
            ) from error
        raise StorageError(
            f"cannot use {path}: {error}", "Free the disk or mend the permissions of its folder."
        ) from error
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.IntegrityError):
            raise
        raise StorageError(
            f"{path} is damaged: {error}", "Restore it from a backup; it holds jobs and trust decisions."
        ) from error


def _is_full(path: Path, error: sqlite3.OperationalError) -> bool:
    """Whether the disk is why; where its index in shared memory can't grow, SQLite only says "I/O error"."""
    if "full" in str(error):
        return True
    try:
        return shutil.disk_usage(path.parent).free < _LEAST_FREE_BYTES
    except OSError:
        return False


def _open(layout: Layout) -> sqlite3.Connection:
    path = layout.state_db
    if path.exists() and not os.access(path.parent, os.W_OK):
        # Nobody can write what SQLite notes beside a file in WAL mode, so nobody can change the file either;
        # what a writer left in the log is read where it left the index of it too.
        how = "mode=ro" if path.with_name(f"{path.name}-shm").exists() else "mode=ro&immutable=1"
        return sqlite3.connect(f"file:{quote(str(path))}?{how}", uri=True, timeout=BUSY_TIMEOUT_S)
    layout.ensure()
    return sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level="IMMEDIATE")


def _prepare(connection: sqlite3.Connection, path: str) -> None:
    """Bring the file to the newest version; a file that is there already costs one query."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(MIGRATIONS):
        raise StorageError(
            f"{path} was written by a newer workbench (version {version}, known here: {len(MIGRATIONS)})",
            "Upgrade workbench.",
        )
    # synchronous=FULL: a job or a trust decision outlives a power cut; such writes are rare.
    connection.execute("PRAGMA synchronous = FULL")
    if version == len(MIGRATIONS):
        return
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        for statements in MIGRATIONS[version:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
