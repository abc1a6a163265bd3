from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from store.errors import StorageError
from store.layout import Layout
from store.state import MIGRATIONS, connect


def test_the_file_is_made_with_its_tables_and_in_wal_mode(layout: Layout) -> None:
    with connect(layout) as connection:
        tables = {row["name"] for row in connection.execute("SELECT name FROM sqlite_master")}
        mode = connection.execute("PRAGMA journal_mode").fetchone()[0]

    assert {"jobs", "trust", "meta"} <= tables
    assert mode == "wal"


def test_a_block_that_raises_changes_nothing(layout: Layout) -> None:
    def insert_and_fail() -> None:
        with connect(layout) as connection:
            connection.execute("INSERT INTO meta VALUES ('a', 'b')")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError):
        insert_and_fail()

    with connect(layout) as connection:
        assert connection.execute("SELECT count(*) FROM meta").fetchone()[0] == 0


def test_many_threads_open_a_new_file_at_once(layout: Layout) -> None:
    def write(number: int) -> None:
        with connect(layout) as connection:
            connection.execute("INSERT INTO meta VALUES (?, 'x')", (str(number),))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(40)))

    with connect(layout) as connection:
        assert connection.execute("SELECT count(*) FROM meta").fetchone()[0] == 40


def test_what_was_committed_survives_the_death_of_the_process(layout: Layout) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from store.layout import Layout; from store.state import connect\n"
        "layout = Layout.of(Path(sys.argv[1]))\n"
        "with connect(layout) as c: c.execute(\"INSERT INTO meta VALUES ('kept', '1')\")\n"
        "with connect(layout) as c:\n"
        "    c.execute(\"INSERT INTO meta VALUES ('lost', '1')\")\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(layout.root)], check=False, timeout=60)

    with connect(layout) as connection:
        assert [row["key"] for row in connection.execute("SELECT key FROM meta")] == ["kept"]


def test_a_file_of_a_newer_workbench_is_refused(layout: Layout) -> None:
    with closing(sqlite3.connect(layout.state_db)) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")

    with pytest.raises(StorageError, match="newer workbench"), connect(layout):
        pass


def test_a_damaged_file_is_named(layout: Layout) -> None:
    layout.state_db.write_bytes(b"this was a database once" * 100)

    with pytest.raises(StorageError, match=r"state\.sqlite is damaged"), connect(layout):
        pass


def test_a_read_only_project_can_still_be_read(layout: Layout) -> None:
    with connect(layout) as connection:
        connection.execute("INSERT INTO meta VALUES ('a', 'b')")
    layout.state.chmod(0o500)
    try:
        if os.access(layout.state, os.W_OK):
            pytest.skip("permissions don't hold for this user")
        with connect(layout) as connection:
            assert connection.execute("SELECT value FROM meta").fetchone()[0] == "b"
        with pytest.raises(StorageError, match="readonly"), connect(layout) as connection:
            connection.execute("INSERT INTO meta VALUES ('c', 'd')")
    finally:
        layout.state.chmod(0o700)
