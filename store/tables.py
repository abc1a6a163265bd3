"""The tables of the DuckDB file, and bringing those of an earlier version up to date."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from store.bucket_tables import TABLES as BUCKET_TABLES
from store.bucket_tables import recount_all
from store.errors import StorageError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SCHEMA_VERSION = 2

PREDICTION_COLUMNS = {
    "prediction_id": "VARCHAR",
    "model": "VARCHAR",
    "version": "INTEGER",
    "schema_id": "VARCHAR",
    "predicted_at": "TIMESTAMP",
    "prediction": "DOUBLE",
    "label": "VARCHAR",
    "probability": "DOUBLE",
    "probabilities": "DOUBLE[]",
    "numeric": "DOUBLE[]",
    "categorical": "VARCHAR[]",
    "latency_ms": "DOUBLE",
    "role": "VARCHAR",
    "request_id": "VARCHAR",
}
FEEDBACK_COLUMNS = {
    "prediction_id": "VARCHAR",
    "label": "VARCHAR",
    "actual": "DOUBLE",
    "received_at": "TIMESTAMP",
    "observed_at": "TIMESTAMP",
}
SCHEMA_COLUMNS = {
    "schema_id": "VARCHAR",
    "position": "INTEGER",
    "name": "VARCHAR",
    "kind": "VARCHAR",
    "slot": "INTEGER",  # the feature's place, from 1, in `numeric` or `categorical`
}
MODEL_COLUMNS = {"model": "VARCHAR", "version": "INTEGER", "schema_id": "VARCHAR"}
TABLES = {
    "predictions": PREDICTION_COLUMNS,
    "feedback": FEEDBACK_COLUMNS,
    "feedback_aside": FEEDBACK_COLUMNS,  # labels of predictions that are not known, or not yet
    "schemas": SCHEMA_COLUMNS,
    "models": MODEL_COLUMNS,
    "segments": {"name": "VARCHAR", "taken_to": "BIGINT"},  # how much of each spool segment is in here
    "meta": {"key": "VARCHAR", "value": "VARCHAR"},
    **BUCKET_TABLES,
}


def create_tables(connection: DuckDBPyConnection) -> None:
    """Make the tables of an empty file."""
    _make(connection, TABLES)
    connection.execute("INSERT INTO meta VALUES ('schema_version', ?)", [str(SCHEMA_VERSION)])


def _make(connection: DuckDBPyConnection, tables: Mapping[str, Mapping[str, str]]) -> None:
    for table, columns in tables.items():
        listed = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
        connection.execute(f"CREATE TABLE {table} ({listed})")


def migrate(connection: DuckDBPyConnection) -> None:
    """Bring the tables of version 1 up to date, in one transaction."""
    connection.execute("BEGIN")
    _make(connection, BUCKET_TABLES)
    recount_all(connection)
    connection.execute("UPDATE meta SET value = ? WHERE key = 'schema_version'", [str(SCHEMA_VERSION)])
    connection.execute("COMMIT")


def check_version(connection: DuckDBPyConnection, prefix: str, path: Path) -> int:
    """The version of the file's tables, this one or older."""
    import duckdb

    try:
        found = connection.execute(f"SELECT value FROM {prefix}meta WHERE key = 'schema_version'").fetchall()
        version = int(found[0][0]) if found else None
    except (duckdb.CatalogException, duckdb.BinderException, ValueError, TypeError) as error:
        raise StorageError(
            f"{path} is no prediction log of workbench", "Move it aside, or set another [store] path."
        ) from error
    if version is None or version > SCHEMA_VERSION:
        raise StorageError(
            f"{path} was written by a newer workbench (its tables have version {version},"
            f" known here: {SCHEMA_VERSION})",
            "Upgrade workbench.",
        )
    return version
