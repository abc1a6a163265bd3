"""The DuckDB file: connections to it that are short because others wait for them.

DuckDB locks the file per process with POSIX locks, which a process loses as soon as it closes any
descriptor of that file. So a process has it open once at a time, whatever its threads want.
"""

from __future__ import annotations

import os
import re
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from store.beside import flush
from store.errors import BusyError, StorageError
from store.layout import Layout
from store.shared_reading import shared_with
from store.sql_words import literal
from store.tables import SCHEMA_VERSION, check_version, create_tables, migrate

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection

ATTACHED = "log"
"""Name that the file has within a reader's connection."""

_WRITER_CONFIG = {"threads": "1", "memory_limit": "192MB"}
GROUP_ROWS = 20_480
"""Rows that DuckDB keeps together in what the folds write. A fold of less than half a group joins the last
one, which is written again whole: with DuckDB's own 122,880 folds of some ten thousand cost twice as much."""
# Where a statement takes longer, DuckDB draws one on standard output, into an answer.
_NO_PROGRESS_BAR = "SET enable_progress_bar = false"
_READER_CONFIG = {
    "threads": str(min(2, os.cpu_count() or 1)),
    "memory_limit": "96MB",
    "python_enable_replacements": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}
_HOLDER = re.compile(r"held in (?P<program>.+?) \(PID (?P<pid>\d+)\)")
_LONGEST_WAIT_S = 0.05


class HeldError(BusyError):
    """Another process has the DuckDB file open."""


class DamagedError(StorageError):
    """What is in the file is no longer what DuckDB wrote."""


_DAMAGE = ("not a valid duckdb", "corrupt", "checksum", "deserializ", "failed to load metadata")


class _OneAtATime:
    """The right of one thread of this process to have DuckDB files open."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._in_memory: DuckDBPyConnection | None = None
        self._config: dict[str, str] = {}
        self._inherited: list[DuckDBPyConnection] = []

    def start_anew(self) -> None:
        """In a forked child: the parent's database is left alone, as even closing it would crash.

        Its threads are not in the child, and closing waits for them.
        """
        if self._in_memory is not None:
            self._inherited.append(self._in_memory)
        self._lock = threading.Lock()
        self._in_memory = None
        self._config = {}

    def in_memory(self, config: dict[str, str]) -> DuckDBPyConnection:
        """A database in memory to attach files to, kept: to make one takes longer than most questions."""
        import duckdb

        if self._in_memory is None or config != self._config:
            self._in_memory, self._config = duckdb.connect(config=config), config
        return self._in_memory

    @contextmanager
    def turn(self, timeout_s: float) -> Iterator[None]:
        lock = self._lock
        if not lock.acquire(timeout=max(timeout_s, 0.0)):
            raise HeldError("this process itself reads or folds the prediction log", "Try again in a moment.")
        try:
            yield
        finally:
            lock.release()


_one_at_a_time = _OneAtATime()
os.register_at_fork(after_in_child=_one_at_a_time.start_anew)


@contextmanager
def alone_in_process(timeout_s: float) -> Iterator[None]:
    """While this thread opens the file by other means: closing it would end the locks of other threads."""
    with _one_at_a_time.turn(timeout_s):
        yield


@contextmanager
def writing(layout: Layout, *, timeout_s: float = 5.0) -> Iterator[DuckDBPyConnection]:
    """Open the file to write, creating it where there is none; for the fold, and always briefly.

    Raises HeldError naming who has it open, StorageError where it is damaged, newer or can't be written.
    """
    import duckdb

    deadline = time.monotonic() + timeout_s
    with _one_at_a_time.turn(timeout_s):
        if not layout.predictions.exists():
            _create(layout)
        connection = _open(layout, deadline)
        try:
            version = check_version(connection, "", layout.predictions)
            if version < SCHEMA_VERSION:
                # Closed first: whoever copies a file opens it, and to close it again would end DuckDB's lock.
                connection.close()
                _back_up(layout.predictions, version)
                connection = _open(layout, deadline)
                migrate(connection)
            yield connection
        except duckdb.Error as error:
            raise explained(error, layout.predictions) from error
        finally:
            connection.close()


def _open(layout: Layout, deadline: float) -> DuckDBPyConnection:
    """A connection to the file, to write, as soon as its holder lets it."""
    import duckdb

    connection = duckdb.connect(config={**_WRITER_CONFIG, "temp_directory": str(layout.run / "duckdb")})
    try:
        connection.execute(_NO_PROGRESS_BAR)
        attach = (
            f"ATTACH {literal(str(layout.predictions))} AS {ATTACHED}"
            f" (TYPE duckdb, ROW_GROUP_SIZE {GROUP_ROWS})"
        )
        _retry(lambda: connection.execute(attach), layout, deadline)
        connection.execute(f"USE {ATTACHED}")
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def reading(
    layout: Layout, *, timeout_s: float = 2.0, own: bool = False
) -> Iterator[tuple[DuckDBPyConnection, str | None]]:
    """A connection in memory with the file attached read-only as `log`, and None; never creates the file.

    Where the file is missing, or somebody else keeps it open for longer than `timeout_s`, nothing is attached
    and the second value says so ("" for missing, else who holds it). Raises StorageError where it is damaged.
    Only temporary tables and views go with the connection; for statements of a user's it is an `own` one.
    Within `shared_reading` it is the one of that.
    """
    import duckdb

    shared = None if own else shared_with(layout)
    if shared is not None:
        yield shared.connection, shared.note
        return
    deadline = time.monotonic() + timeout_s
    config = {**_READER_CONFIG, "temp_directory": str(layout.run / "duckdb")}
    if own:
        config["memory_limit"] = "128MB"
    with _one_at_a_time.turn(timeout_s):
        base = duckdb.connect(config=config) if own else _one_at_a_time.in_memory(config)
        connection = base.cursor()
        connection.execute(_NO_PROGRESS_BAR)
        try:
            note: str | None = ""
            if layout.predictions.exists():
                attach = f"ATTACH {literal(str(layout.predictions))} AS {ATTACHED} (TYPE duckdb, READ_ONLY)"
                try:
                    _retry(lambda: connection.execute(attach), layout, deadline)
                    check_version(connection, f"{ATTACHED}.", layout.predictions)
                    note = None
                except HeldError as error:
                    note = error.message
            yield connection, note
        finally:
            connection.close()
            if own:
                base.close()
            else:
                base.execute(f"DETACH DATABASE IF EXISTS {ATTACHED}")


def arrow_batches(
    connection: DuckDBPyConnection, query: str, values: Sequence[Any] = (), *, rows: int = 50_000
) -> pa.RecordBatchReader:
    """The answer to a query as Arrow batches of about `rows` rows."""
    relation = connection.sql(query, params=[*values])
    if hasattr(relation, "to_arrow_reader"):
        return relation.to_arrow_reader(rows)
    return relation.fetch_record_batch(rows)  # its name before DuckDB 1.5


def explained(error: Exception, path: Path) -> StorageError:
    """A DuckDB error that is about the file, not about a query, as one of ours."""
    text = str(error).strip().split("\n")[0]
    lowered = text.lower()
    if "no space left" in lowered or "disk full" in lowered:
        return StorageError(f"no space left on the disk of {path}", "Free some; nothing logged is lost.")
    if "newer version" in lowered:
        return StorageError(f"{path} was written by a newer DuckDB: {text}", "Upgrade the duckdb package.")
    if "read-only file system" in lowered or "permission denied" in lowered:
        return StorageError(f"cannot write {path}: {text}", "Mend its permissions.")
    if any(word in lowered for word in _DAMAGE):
        return DamagedError(
            f"{path} is damaged: {text}",
            "Make it again from the archive with: workbench store check --rebuild",
        )
    return StorageError(f"{path} can't be used: {text}", "See what is wrong with: workbench store check")


def _back_up(path: Path, version: int) -> None:
    """Keep the file as it is beside itself before its tables change."""
    backup = path.with_name(f"{path.stem}.version-{version}.duckdb")
    try:
        partial = backup.with_name(backup.name + ".new")
        shutil.copyfile(path, partial)
        flush(partial)
        partial.replace(backup)
    except OSError as error:
        raise StorageError(
            f"cannot keep a copy of {path} before its tables are brought up to date: {error.strerror}",
            "Free the disk.",
        ) from error


@contextmanager
def create_aside(layout: Layout) -> Iterator[DuckDBPyConnection]:
    """Make a file with empty tables beside the real one, for `move_into_place`; a failure leaves nothing."""
    import duckdb

    layout.ensure()
    new = _aside(layout)
    try:
        _remove(new)  # of one that was killed
        try:
            connection = duckdb.connect(str(new), config=_WRITER_CONFIG)
            try:
                connection.execute(_NO_PROGRESS_BAR)
                create_tables(connection)
                yield connection
                connection.execute("CHECKPOINT")  # closing would swallow that the disk is full
            finally:
                connection.close()
        except BaseException:
            _remove(new)
            raise
    except OSError as error:
        raise StorageError(f"cannot make {layout.predictions}: {error.strerror}", "Free the disk.") from error
    except duckdb.Error as error:
        raise explained(error, layout.predictions) from error


def _remove(file: Path) -> None:
    for leftover in (file, wal_of(file)):
        leftover.unlink(missing_ok=True)


def move_into_place(layout: Layout, *, replace: bool = False) -> None:
    """Let the file made aside be the one; where there is one already, only to `replace` it."""
    stray = wal_of(layout.predictions)
    try:
        if replace or not layout.predictions.exists():
            if stray.exists():  # of a file that went without it; DuckDB would apply it to this one
                stray.replace(stray.with_name(f"{stray.name}.stray"))
            _aside(layout).rename(layout.predictions)
            flush(layout.state)
    except OSError as error:
        raise StorageError(f"cannot make {layout.predictions}: {error.strerror}", "Free the disk.") from error


def wal_of(file: Path) -> Path:
    """Where DuckDB keeps what is committed and not yet in the file."""
    return file.with_name(file.name + ".wal")


def _aside(layout: Layout) -> Path:
    return layout.run / "predictions.new.duckdb"


def _create(layout: Layout) -> None:
    with create_aside(layout):
        pass
    move_into_place(layout)


def _retry(action: Any, layout: Layout, deadline: float) -> Any:
    """Do `action` until the file's holder lets it; raises HeldError after the deadline."""
    import duckdb

    wait_s = 0.002
    while True:
        try:
            return action()
        except duckdb.Error as error:
            text = str(error)
            if "Could not set lock" not in text and "onflicting lock" not in text:
                raise explained(error, layout.predictions) from error
            if time.monotonic() >= deadline:
                raise HeldError(_describe_holder(text, layout.predictions), "Close it there.") from error
        time.sleep(wait_s)
        wait_s = min(wait_s * 1.5, _LONGEST_WAIT_S)


def _describe_holder(text: str, path: Path) -> str:
    holder = _HOLDER.search(text)
    if holder is None:
        return f"another process has {path.name} open"
    return f"{Path(holder['program']).name} (process {holder['pid']}) has {path.name} open"
