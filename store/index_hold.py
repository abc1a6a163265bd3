"""One process's hold on the file of the run index."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from store.index_file import is_same_file, open_index


class IndexHold:
    """The index at `path` of the store at `root`, opened when first asked for."""

    def __init__(self, root: Path, path: Path) -> None:
        self.root = root
        self.path = path
        self._open: sqlite3.Connection | None = None
        self._inode = 0
        self.generation = 0
        """Grows when the index had to be opened anew: its rows may be others."""

    @property
    def connection(self) -> sqlite3.Connection:
        if self._open is None:
            self._open = open_index(self.path, self.root)
            self._inode = os.stat(self.path).st_ino  # noqa: PTH116
            self.generation += 1
        return self._open

    def check_file(self) -> None:
        """Leave an index that somebody has deleted; the next use opens the one there is."""
        if self._open is not None and not is_same_file(self.path, self._inode):
            self.close()

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    @property
    def revision(self) -> int:
        """Grows with each change of what the index has."""
        return int(self._meta("revision"))

    @property
    def is_complete(self) -> bool:
        """Whether every run has been read once."""
        return bool(self._meta("is_complete"))

    @property
    def params_looked_at(self) -> float:
        """When the files of all runs' parameters were last looked at, in seconds since 1970."""
        return self._meta("params_looked_at")

    @params_looked_at.setter
    def params_looked_at(self, at: float) -> None:
        self.connection.execute("UPDATE meta SET value = ? WHERE key = 'params_looked_at'", (at,))

    def _meta(self, key: str) -> float:
        row = self.connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return float(row[0])

    def next_revision(self) -> int:
        """The revision of what is written in this transaction."""
        self.connection.execute("UPDATE meta SET value = value + 1 WHERE key = 'revision'")
        return self.revision

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that holds the index for writing from its beginning."""
        connection = self.connection
        connection.execute("BEGIN IMMEDIATE")
        with connection:
            yield connection
