"""What a DuckDB file that is put aside has and the archive hasn't: rows too old for it, above all.

The file may be damaged, so it is read in a database of its own, some rows at a time, and what can't be read
is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from store.archive import ArchivedRows
from store.batches import Batch
from store.database import GROUP_ROWS
from store.layout import Layout
from store.segments import list_segments, read_chunks
from store.tables import FEEDBACK_COLUMNS, PREDICTION_COLUMNS, SCHEMA_VERSION

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection

Insert = Callable[["DuckDBPyConnection", ArchivedRows], None]


@dataclass(frozen=True)
class Salvaged:
    """Rows that only the old file had, and rows of it that can't be read."""

    predictions: int = 0
    feedback: int = 0
    unreadable: int = 0


def salvage(connection: DuckDBPyConnection, old: Path, layout: Layout, insert: Insert) -> Salvaged | None:
    """Insert into the new file what only the old one has; None where nothing in that can be read.

    What is still in the spool is left to the fold.
    """
    import duckdb

    try:
        with closing(duckdb.connect(str(old), read_only=True)) as source:
            (version,) = source.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchall()
            if int(version[0]) not in range(1, SCHEMA_VERSION + 1):
                return None
            schemas = source.execute("FROM schemas").fetchall()
            models = {*source.execute("FROM models").fetchall()}
            taken = {row[0] for row in source.execute("SELECT name FROM segments").fetchall()}
    except (duckdb.Error, ValueError):
        return None
    in_spool = _rows_of([path for path in list_segments(layout.spool) if path.name in taken])
    predictions, feedback = in_spool.predictions(), in_spool.feedback()
    _insert(connection, insert, ArchivedRows(models, schemas, predictions[:0], feedback[:0]))
    saved_predictions = saved_feedback = unreadable = 0
    for rows in _groups(old, "predictions", PREDICTION_COLUMNS):
        if isinstance(rows, int):
            unreadable += rows
            continue
        new = _without(connection, rows, ("predictions",), predictions, "prediction_id")
        _insert(connection, insert, ArchivedRows(set(), [], new, feedback[:0]))
        saved_predictions += new.num_rows
    for table in ("feedback", "feedback_aside"):
        for rows in _groups(old, table, FEEDBACK_COLUMNS):
            if isinstance(rows, int):
                unreadable += rows
                continue
            known = ("feedback", "feedback_aside")
            new = _without(connection, rows, known, feedback, "prediction_id, received_at")
            _insert(connection, insert, ArchivedRows(set(), [], predictions[:0], new))
            saved_feedback += new.num_rows
    return Salvaged(saved_predictions, saved_feedback, unreadable)


def _without(
    connection: DuckDBPyConnection, rows: pa.Table, tables: Sequence[str], spooled: pa.Table, key: str
) -> pa.Table:
    """The rows that are neither in these tables nor in the spool."""
    connection.register("old_rows", rows)
    connection.register("still_spooled", spooled)
    others = " ".join(f"ANTI JOIN {other} USING ({key})" for other in (*tables, "still_spooled"))
    new = _table(connection.sql(f"FROM old_rows {others}"))
    connection.unregister("old_rows")
    connection.unregister("still_spooled")
    return new


def _insert(connection: DuckDBPyConnection, insert: Insert, rows: ArchivedRows) -> None:
    connection.execute("BEGIN")
    insert(connection, rows)
    connection.execute("COMMIT")


def _rows_of(segments: list[Path]) -> Batch:
    batch = Batch()
    for segment in segments:
        for chunk in read_chunks(segment):
            batch.add_all(chunk.payloads)
    return batch


def _groups(old: Path, table: str, columns: Mapping[str, Any]) -> Iterator[pa.Table | int]:
    """The table's rows group by group; of a group that can't be read, how many rows it has."""
    import duckdb

    listed = ", ".join(f'"{name}"' for name in columns)
    try:
        with closing(duckdb.connect(str(old), read_only=True)) as source:
            ((n_rows, last),) = source.execute(f"SELECT count(*), max(rowid) FROM {table}").fetchall()
    except duckdb.Error:
        return
    for start in range(0, (last or 0) + 1 if n_rows else 0, GROUP_ROWS):
        try:
            # Opened anew: an error of the disk may leave a connection unusable.
            with closing(duckdb.connect(str(old), read_only=True)) as source:
                end = start + GROUP_ROWS
                query = f"SELECT {listed} FROM {table} WHERE rowid >= {start} AND rowid < {end}"
                yield _table(source.sql(query))
        except duckdb.Error:
            yield min(GROUP_ROWS, last + 1 - start)


def _table(relation: Any) -> pa.Table:
    return relation.to_arrow_table() if hasattr(relation, "to_arrow_table") else relation.fetch_arrow_table()
