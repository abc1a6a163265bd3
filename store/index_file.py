"""The file of the run index: a cache in SQLite, made anew where it is damaged or of another version."""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from store.errors import BusyError, StorageError
from store.filters import like

if TYPE_CHECKING:
    from store.layout import Layout

SCHEMA_VERSION = 4
BUSY_TIMEOUT_S = 30.0

_SCHEMA = (
    """CREATE TABLE meta (key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE experiments (
        id INTEGER PRIMARY KEY,
        folder TEXT NOT NULL UNIQUE,
        inode INTEGER NOT NULL,
        experiment_id TEXT NOT NULL,
        name TEXT NOT NULL,
        stage TEXT NOT NULL,
        artifact_location TEXT NOT NULL,
        created_ms INTEGER,
        tags TEXT NOT NULL,
        problem TEXT
    )""",
    """CREATE TABLE runs (
        id INTEGER PRIMARY KEY,
        experiment INTEGER NOT NULL,
        run_id TEXT NOT NULL,
        name TEXT NOT NULL,
        status TEXT NOT NULL,
        start_ms INTEGER,
        end_ms INTEGER,
        artifact_uri TEXT NOT NULL,
        stage TEXT NOT NULL,
        problem TEXT,
        user_id TEXT NOT NULL,
        is_searchable INTEGER NOT NULL,
        signature INTEGER NOT NULL,
        params_signature INTEGER NOT NULL,
        changed_ns INTEGER NOT NULL,
        is_settled INTEGER NOT NULL,
        looked_at INTEGER NOT NULL,
        revision INTEGER NOT NULL,
        UNIQUE (experiment, run_id)
    )""",
    # What of a run's folder is looked at, as JSON: the same for most runs.
    """CREATE TABLE looked_at (id INTEGER PRIMARY KEY, names TEXT NOT NULL UNIQUE)""",
    """CREATE INDEX runs_by_id ON runs (run_id)""",
    # Whatever a search needs of every run, in a tenth of the pages.
    """CREATE INDEX runs_searched ON runs (stage, is_searchable, experiment, start_ms, run_id)""",
    """CREATE INDEX runs_by_revision ON runs (revision)""",
    # A value of NaN is NULL here. The best value is the lowest or the highest: that depends on the metric.
    """CREATE TABLE metrics (
        run INTEGER NOT NULL, key TEXT NOT NULL, value REAL, lowest REAL, highest REAL,
        points INTEGER NOT NULL, steps INTEGER NOT NULL, PRIMARY KEY (run, key)
    ) WITHOUT ROWID""",
    """CREATE INDEX metrics_by_value ON metrics (key, value)""",
    """CREATE TABLE params (
        run INTEGER NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (run, key)
    ) WITHOUT ROWID""",
    """CREATE TABLE tags (
        run INTEGER NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (run, key)
    ) WITHOUT ROWID""",
    """CREATE TABLE datasets (
        run INTEGER NOT NULL, position INTEGER NOT NULL, name TEXT, digest TEXT, context TEXT,
        PRIMARY KEY (run, position)
    ) WITHOUT ROWID""",
    """CREATE TABLE models (
        name TEXT PRIMARY KEY, description TEXT NOT NULL, problem TEXT,
        signature INTEGER NOT NULL, is_settled INTEGER NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE aliases (
        model TEXT NOT NULL, alias TEXT NOT NULL, version INTEGER NOT NULL, PRIMARY KEY (model, alias)
    ) WITHOUT ROWID""",
    # Without a stage: deleted, or broken, which `problem` says.
    """CREATE TABLE versions (
        model TEXT NOT NULL, version INTEGER NOT NULL, stage TEXT, run_id TEXT, source TEXT, model_dir TEXT,
        created_ms INTEGER, updated_ms INTEGER, description TEXT, tags TEXT, status TEXT, problem TEXT,
        signature INTEGER NOT NULL, is_settled INTEGER NOT NULL, PRIMARY KEY (model, version)
    ) WITHOUT ROWID""",
    """CREATE TABLE gone (revision INTEGER NOT NULL, run INTEGER NOT NULL)""",
    """CREATE INDEX gone_by_revision ON gone (revision)""",
)


def index_path(layout: Layout, root: Path) -> Path:
    """Where the index of the store at `root` is: with the project, else in the user's cache.

    A store elsewhere than in the project's folder has an index of its own, so that two never share one.
    """
    key = hashlib.blake2b(os.fsencode(root), digest_size=6).hexdigest()
    folder = next((folder for folder in (layout.state, *layout.state.parents) if folder.exists()), None)
    if folder is None or not os.access(folder, os.W_OK | os.X_OK):
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return Path(base) / "workbench" / f"index-{key}.sqlite"
    if root.parent == layout.root:
        return layout.index_db
    return layout.index_db.with_stem(f"{layout.index_db.stem}-{key}")


def open_index(path: Path, root: Path) -> sqlite3.Connection:
    """Open the index of the store at `root`, creating it where it can't be used as it is.

    Raises StorageError where the folder can't be written, BusyError where another process keeps it locked.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(2):
            try:
                return _open(path, root)
            except sqlite3.DatabaseError as error:
                if _is_locked(error):
                    raise BusyError(f"{path} is locked by another process", "Try again.") from error
                if isinstance(error, sqlite3.OperationalError) and not path.exists():
                    raise
                discard_index(path)
        return _open(path, root)
    except (OSError, sqlite3.DatabaseError) as error:
        raise StorageError(
            f"cannot use {path}: {error}", "It is a cache: delete it, or make its folder writable."
        ) from error


def discard_index(path: Path) -> None:
    """Delete the index; whoever has it open goes on with what it has until its next look."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).unlink()


def is_same_file(path: Path, inode: int) -> bool:
    """Whether the index at `path` is still the file that was opened."""
    try:
        return os.stat(path).st_ino == inode  # noqa: PTH116
    except OSError:
        return False


def _open(path: Path, root: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        # NORMAL: a power cut may cost the last changes, which the next look finds again.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA cache_size = -16000")
        connection.create_function("matches_like", 2, _matches_like, deterministic=True)
        connection.create_function("matches_ilike", 2, _matches_ilike, deterministic=True)
        if version != SCHEMA_VERSION:
            _create(connection, version)
        known = connection.execute("SELECT value FROM meta WHERE key = 'root'").fetchone()
        if known is None or known[0] != _storable(root):
            _adopt_root(connection, root)
    except BaseException:
        connection.close()
        raise
    return connection


def _create(connection: sqlite3.Connection, version: int) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version == SCHEMA_VERSION:
            return
        found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        if version or found:
            raise sqlite3.DatabaseError(f"version {version} is not {SCHEMA_VERSION}")
        for statement in _SCHEMA:
            connection.execute(statement)
        connection.execute(
            "INSERT INTO meta VALUES ('revision', 0), ('is_complete', 0), ('params_looked_at', 0)"
        )
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _adopt_root(connection: sqlite3.Connection, root: Path) -> None:
    """Paths in the index are relative: a store that moved is seen to be the same by its files' times."""
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('root', ?)", (_storable(root),))
        connection.execute("UPDATE meta SET value = 0 WHERE key = 'is_complete'")


def _storable(root: Path) -> str:
    return os.fsdecode(root).encode("utf-8", "replace").decode()


def _is_locked(error: sqlite3.DatabaseError) -> bool:
    return "locked" in str(error) or "busy" in str(error)


def _matches_like(text: str, pattern: str) -> bool:
    return like(pattern).match(text) is not None


def _matches_ilike(text: str, pattern: str) -> bool:
    return like(pattern, re.IGNORECASE).match(text) is not None
