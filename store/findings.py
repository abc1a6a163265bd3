"""What the monitor found: the newest report of each model version, and the verdicts on its windows.

One process evaluates the windows and writes; the server, the terminal UI, the command line and the triggers
read the same. It is a file of its own, for it can be made again and changes often; the number of verdicts
kept is bounded.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from store.errors import StorageError
from store.layout import Layout

FILE = "findings.sqlite"
KEPT_WINDOWS = 2_000
"""Verdicts kept for each model version, role and segment."""
_FORMAT = 1
_TIMEOUT_S = 5.0

_TABLES = (
    """CREATE TABLE IF NOT EXISTS reports (
        model TEXT NOT NULL, version INTEGER NOT NULL, role TEXT NOT NULL, segment TEXT NOT NULL,
        report TEXT NOT NULL, at TEXT NOT NULL,
        PRIMARY KEY (model, version, role, segment)
    ) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS windows (
        model TEXT NOT NULL, version INTEGER NOT NULL, role TEXT NOT NULL, segment TEXT NOT NULL,
        window_end TEXT NOT NULL, window_start TEXT NOT NULL, rows INTEGER NOT NULL, severity TEXT NOT NULL,
        features TEXT NOT NULL, prediction TEXT, checks TEXT NOT NULL, performance TEXT NOT NULL,
        at TEXT NOT NULL,
        PRIMARY KEY (model, version, role, segment, window_end)
    ) WITHOUT ROWID""",
    """CREATE INDEX IF NOT EXISTS windows_by_end ON windows (window_end)""",
)


@dataclass(frozen=True)
class Finding:
    """The verdict on one window of a model version."""

    model: str
    version: int
    role: str
    segment: str
    """`COLUMN=VALUE`; empty for all rows."""
    start: datetime
    end: datetime
    rows: int
    severity: str
    """The worst of its features, prediction and checks."""
    features: Mapping[str, Mapping[str, Any]]
    """By name: {"severity", "effect", "p_adjusted", "flagged", "of"} and the mean as "mean"."""
    prediction: Mapping[str, Any] | None = None
    """The same of the prediction."""
    checks: Sequence[Mapping[str, Any]] = ()
    """Those not ok: {"kind", "feature", "severity", "message", …}."""
    performance: Sequence[Mapping[str, Any]] = ()
    evaluated_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def id(self) -> str:
        """The same for the same window, whenever it is evaluated."""
        return f"{self.model}/{self.version}/{self.role}/{self.segment}/{_text(self.start)}/{_text(self.end)}"

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "model": self.model,
            "version": self.version,
            "role": self.role,
            "segment": self.segment or None,
            "start": _text(self.start),
            "end": _text(self.end),
            "rows": self.rows,
            "severity": self.severity,
            "features": {name: dict(one) for name, one in self.features.items()},
            "prediction": None if self.prediction is None else dict(self.prediction),
            "checks": [dict(check) for check in self.checks],
            "performance": [dict(one) for one in self.performance],
            "evaluated_at": _text(self.evaluated_at),
        }


def save_report(layout: Layout, report: Mapping[str, Any]) -> None:
    """Keep `report` (the JSON of a DriftReport with model, version and role) as the newest of its kind."""
    key = (report["model"], report["version"], report["role"], report.get("segment") or "")
    text = json.dumps(report, ensure_ascii=False, allow_nan=False)
    with _writing(layout) as connection:
        connection.execute(
            "INSERT OR REPLACE INTO reports VALUES (?, ?, ?, ?, ?, ?)", (*key, text, _text(datetime.now(UTC)))
        )


def read_report(
    layout: Layout, model: str, version: int | None = None, *, role: str = "champion", segment: str = ""
) -> dict[str, Any] | None:
    """The newest report of a version (of the newest reported version unless given); None where none is."""
    condition, values = "model = ? AND role = ? AND segment = ?", [model, role, segment]
    if version is not None:
        condition += " AND version = ?"
        values.append(str(version))
    with _reading(layout) as connection:
        if connection is None:
            return None
        row = connection.execute(
            f"SELECT report FROM reports WHERE {condition} ORDER BY version DESC LIMIT 1", values
        ).fetchone()
    return None if row is None else json.loads(row["report"])


def read_reports(layout: Layout, model: str | None = None) -> list[dict[str, Any]]:
    """The newest reports of all versions, roles and segments, by model and version."""
    with _reading(layout) as connection:
        if connection is None:
            return []
        rows = connection.execute(
            "SELECT report FROM reports WHERE ? IS NULL OR model = ? ORDER BY model, version, role, segment",
            (model, model),
        ).fetchall()
    return [json.loads(row["report"]) for row in rows]


def add_findings(layout: Layout, findings: Sequence[Finding]) -> None:
    """Record verdicts; one on a window that has one replaces it."""
    if not findings:
        return
    with _writing(layout) as connection:
        for one in findings:
            connection.execute(
                "INSERT OR REPLACE INTO windows VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(one.model, one.version, one.role, one.segment),
                    *(_text(one.end), _text(one.start), one.rows, one.severity),
                    _json(one.features),
                    None if one.prediction is None else _json(one.prediction),
                    _json([dict(check) for check in one.checks]),
                    _json([dict(value) for value in one.performance]),
                    _text(one.evaluated_at),
                ),
            )
        for key in {(one.model, one.version, one.role, one.segment) for one in findings}:
            connection.execute(
                "DELETE FROM windows WHERE model = ? AND version = ? AND role = ? AND segment = ?"
                " AND window_end < (SELECT min(window_end) FROM (SELECT window_end FROM windows"
                " WHERE model = ? AND version = ? AND role = ? AND segment = ?"
                " ORDER BY window_end DESC LIMIT ?))",
                (*key, *key, KEPT_WINDOWS),
            )


def recent(
    layout: Layout,
    model: str | None = None,
    *,
    version: int | None = None,
    role: str | None = None,
    segment: str | None = None,
    since: datetime | None = None,
    limit: int = 100,
) -> list[Finding]:
    """Verdicts on windows, the latest window first; `segment=""` for those of all rows alone."""
    conditions, values = ["true"], list[Any]()
    for column, value in (("model", model), ("version", version), ("role", role), ("segment", segment)):
        if value is not None:
            conditions.append(f"{column} = ?")
            values.append(value)
    if since is not None:
        conditions.append("window_end > ?")
        values.append(_text(since))
    with _reading(layout) as connection:
        if connection is None:
            return []
        rows = connection.execute(
            f"SELECT * FROM windows WHERE {' AND '.join(conditions)} ORDER BY window_end DESC, version DESC"
            " LIMIT ?",
            [*values, limit],
        ).fetchall()
    return [_finding(row) for row in rows]


def forget(layout: Layout, model: str, version: int) -> None:
    """Drop what was found of a version: its reference is another one from here on."""
    with _writing(layout) as connection:
        for table in ("reports", "windows"):
            connection.execute(f"DELETE FROM {table} WHERE model = ? AND version = ?", (model, version))


def _finding(row: sqlite3.Row) -> Finding:
    return Finding(
        model=row["model"],
        version=row["version"],
        role=row["role"],
        segment=row["segment"],
        start=datetime.fromisoformat(row["window_start"]),
        end=datetime.fromisoformat(row["window_end"]),
        rows=row["rows"],
        severity=row["severity"],
        features=json.loads(row["features"]),
        prediction=None if row["prediction"] is None else json.loads(row["prediction"]),
        checks=json.loads(row["checks"]),
        performance=json.loads(row["performance"]),
        evaluated_at=datetime.fromisoformat(row["at"]),
    )


@contextmanager
def _writing(layout: Layout) -> Iterator[sqlite3.Connection]:
    """One transaction. A file that is damaged, or another version's, is made anew: it can be found again."""
    layout.ensure()
    path = layout.state / FILE
    try:
        try:
            connection = _open(path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            for file in (path, path.with_name(f"{FILE}-wal"), path.with_name(f"{FILE}-shm")):
                file.unlink(missing_ok=True)
            connection = _open(path)
        with closing(connection), connection:
            yield connection
    except sqlite3.Error as error:
        raise StorageError(
            f"cannot write {path}: {error}", "Free the disk or mend its permissions."
        ) from error


def _open(path: Any) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_TIMEOUT_S, isolation_level="IMMEDIATE")
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA synchronous = NORMAL")
        if connection.execute("PRAGMA user_version").fetchone()[0] != _FORMAT:
            connection.execute("PRAGMA journal_mode = WAL")
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                for table in ("reports", "windows"):
                    connection.execute(f"DROP TABLE IF EXISTS {table}")
                for statement in _TABLES:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {_FORMAT}")
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def _reading(layout: Layout) -> Iterator[sqlite3.Connection | None]:
    """A connection that only reads; None where nothing was found yet. A reader never makes the file."""
    path = layout.state / FILE
    if not path.exists():
        yield None
        return
    try:
        with closing(sqlite3.connect(path, timeout=_TIMEOUT_S)) as connection:
            connection.row_factory = sqlite3.Row
            if connection.execute("PRAGMA user_version").fetchone()[0] != _FORMAT:
                yield None
                return
            yield connection
    except sqlite3.Error as error:
        raise StorageError(
            f"cannot read {path}: {error}", "Delete it; the monitor makes it again."
        ) from error


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
