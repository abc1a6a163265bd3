"""SQL of the user's own: run to its end at once, so that the DuckDB file is free, whatever reads the answer.

Rows wait in a temporary file where they are many; a pager that is left open holds up nobody.
"""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

from store.errors import StorageError, UsageError
from store.interruptible import interruptible
from store.read_only_sql import check_read_only, one_line

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_BLOCK_ROWS = 5_000
_IN_MEMORY_BYTES = 4 << 20
_HINT = "See what there is with: SHOW TABLES."


class Answer:
    """The rows of a query; to be closed."""

    def __init__(self) -> None:
        self.columns: tuple[str, ...] = ()
        self.is_cut = False
        """Whether there were more rows than were asked for."""
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115 - closed by `close`
        self._blocks = 0

    def blocks(self) -> Iterator[list[tuple[Any, ...]]]:
        """All rows, some thousands at a time."""
        self._file.seek(0)
        for _ in range(self._blocks):
            yield pickle.load(self._file)

    def add(self, rows: list[tuple[Any, ...]]) -> None:
        pickle.dump(rows, self._file, pickle.HIGHEST_PROTOCOL)
        self._blocks += 1

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Answer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def ask(connection: DuckDBPyConnection, sql: str, *, limit: int | None = None) -> Answer:
    """The answer to one statement that only reads, of at most `limit` rows.

    Raises UsageError for wrong SQL and for whatever would write, StorageError where there is no room for it.
    """
    import duckdb

    check_read_only(connection, sql)
    connection.execute("SET lock_configuration = true")
    answer = Answer()
    try:
        interruptible(connection, lambda: _run(connection, sql, answer, limit))
    except duckdb.OutOfMemoryException as error:
        answer.close()
        raise UsageError(one_line(error), "Ask for fewer rows or groups, or use an export.") from error
    except duckdb.Error as error:
        answer.close()
        raise UsageError(one_line(error), _HINT) from error
    except OSError as error:
        answer.close()
        raise StorageError(
            f"no room for the answer in {tempfile.gettempdir()}: {error.strerror}",
            "Free some, or set TMPDIR.",
        ) from error
    except BaseException:
        answer.close()
        raise
    return answer


def _run(connection: DuckDBPyConnection, sql: str, answer: Answer, limit: int | None) -> None:
    connection.execute(_in_utc(connection, sql))
    described = connection.description or ()
    answer.columns = tuple(column[0] for column in described)
    left = limit
    while rows := connection.fetchmany(_BLOCK_ROWS if left is None else min(_BLOCK_ROWS, left + 1)):
        if left is not None and len(rows) > left:
            answer.is_cut = True
            rows = rows[:left]
        if rows:
            answer.add(rows)
        if left is not None:
            left -= len(rows)
        if answer.is_cut:
            return


def _in_utc(connection: DuckDBPyConnection, sql: str) -> str:
    """The query with times of a zone in UTC, as all others are: DuckDB would need pytz for the former."""
    import duckdb

    text = connection.extract_statements(sql)[0].query.strip().rstrip(";")
    try:
        described = connection.execute(f"DESCRIBE {text}\n").fetchall()
    except duckdb.Error:
        return sql  # an EXPLAIN, or a mistake that running it names better
    if not any("WITH TIME ZONE" in str(row[1]) for row in described):
        return sql
    selected = []
    for place, (name, kind, *_) in enumerate(described):
        column = f"c{place}"
        if kind == "TIMESTAMP WITH TIME ZONE":
            column = f"make_timestamp(epoch_us({column}))"
        elif "WITH TIME ZONE" in kind:
            column += "::VARCHAR"
        selected.append(f'{column} AS "{str(name).replace(chr(34), chr(34) * 2)}"')
    places = ", ".join(f"c{place}" for place in range(len(described)))
    return f"SELECT {', '.join(selected)} FROM ({text}\n) answer({places})"
