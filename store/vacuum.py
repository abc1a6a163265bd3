"""Writing the DuckDB file anew, without the room that deleted and replaced rows left."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from store.beside import flush
from store.bucket_tables import ORDERS
from store.database import ATTACHED, explained, wal_of, writing
from store.errors import StorageError
from store.fold import make_views
from store.interruptible import interruptible
from store.layout import Layout
from store.locks import locked
from store.sql_words import literal
from store.tables import TABLES, create_tables

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True)
class Vacuumed:
    """Sizes of the file before and after."""

    bytes_before: int
    bytes_after: int


def vacuum(layout: Layout, *, timeout_s: float = 30.0) -> Vacuumed:
    """Write the file anew beside the old one, which it then replaces; appends go on meanwhile.

    Raises BusyError where the fold or another process has it for longer than `timeout_s`, StorageError where
    the disk has no room for a second file.
    """
    import duckdb

    new = layout.run / "predictions.vacuum.duckdb"
    before = layout.predictions.stat().st_size if layout.predictions.exists() else 0
    if not before:
        return Vacuumed(0, 0)
    with locked(layout.run / "fold.lock", what="vacuuming the prediction log", timeout_s=timeout_s):
        try:
            _remove(new)
            with writing(layout, timeout_s=timeout_s) as connection:
                interruptible(connection, lambda: _copy(connection, new))
                # Still under DuckDB's own lock, so that nobody writes to the file that goes.
                flush(new)
                new.replace(layout.predictions)
                flush(layout.state)
        except OSError as error:
            raise StorageError(f"cannot write {new}: {error.strerror}", "Free the disk.") from error
        except duckdb.Error as error:
            raise explained(error, layout.predictions) from error
        finally:
            _remove(new)
    return Vacuumed(before, layout.predictions.stat().st_size)


def _copy(connection: DuckDBPyConnection, new: Path) -> None:
    connection.execute(f"ATTACH {literal(str(new))} AS fresh")
    connection.execute("USE fresh")
    create_tables(connection)
    connection.execute("DELETE FROM meta")
    for table in TABLES:
        order = f" ORDER BY {ORDERS[table]}" if table in ORDERS else ""
        connection.execute(f"INSERT INTO {table} FROM {ATTACHED}.main.{table}{order}")
    make_views(connection)
    connection.execute(f"USE {ATTACHED}")
    connection.execute("CHECKPOINT fresh")  # detaching would not say why it failed
    connection.execute("DETACH fresh")


def _remove(new: Path) -> None:
    for leftover in (new, wal_of(new)):
        leftover.unlink(missing_ok=True)
