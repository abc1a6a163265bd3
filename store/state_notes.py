"""Small values that outlive a process, by key, in the project's state file."""

from __future__ import annotations

from store.layout import Layout
from store.state import connect


def keep_note(layout: Layout, key: str, value: str) -> None:
    """Keep `value` under `key`, in place of what was there. Raises StorageError, BusyError."""
    with connect(layout) as connection:
        connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))


def notes(layout: Layout, prefix: str) -> dict[str, str]:
    """What is kept under keys that begin with `prefix`, by the rest of the key.

    Where there is no state file, none is made.
    """
    if not layout.state_db.exists():
        return {}
    with connect(layout) as connection:
        rows = connection.execute(
            "SELECT substr(key, ?), value FROM meta WHERE substr(key, 1, ?) = ?",
            (len(prefix) + 1, len(prefix), prefix),
        ).fetchall()
    return dict(rows)


def drop_note(layout: Layout, key: str) -> None:
    """Forget what is kept under `key`, if anything is."""
    with connect(layout) as connection:
        connection.execute("DELETE FROM meta WHERE key = ?", (key,))
