"""Which types, code files and pickled models may be loaded, and who said so.

skops rebuilds a model from names of types; a name can stand for code that acts when it is called, so
only reviewed types are loaded. The list inside a model's own MLmodel file was written by whoever made
the model and protects nothing: it is not consulted.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from store.skops_types import SKOPS_TYPES

if TYPE_CHECKING:
    from store.layout import Layout

__all__ = ["SKOPS_TYPES", "TrustKind", "file_digest", "is_trusted", "trust", "trusted_values"]

TrustKind = Literal["type", "code", "model"]


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, in hex: the name under which code and pickled models are trusted."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def trusted_values(layout: Layout | None, kind: TrustKind) -> frozenset[str]:
    """All values of one kind that somebody trusted in this project; none without a project."""
    if layout is None or not layout.state_db.exists():
        return frozenset()
    from store.state import connect

    with connect(layout) as connection:
        rows = connection.execute("SELECT value FROM trust WHERE kind = ?", (kind,)).fetchall()
    return frozenset(row[0] for row in rows)


def is_trusted(layout: Layout | None, kind: TrustKind, value: str) -> bool:
    """Whether a type name is on the allow-list or trusted here, or a code file's or model's SHA-256 is."""
    return (kind == "type" and value in SKOPS_TYPES) or value in trusted_values(layout, kind)


def trust(
    layout: Layout, kind: TrustKind, value: str, *, who: str | None = None, reason: str | None = None
) -> None:
    """Trust a type's dotted name, or the SHA-256 of a code file or pickled model; the journal records it.

    Trusting the same value again changes nothing and is not journalled twice.
    """
    from store.journal import append_event
    from store.state import connect

    if value in trusted_values(layout, kind):
        return
    # The journal first: a crash in between leaves an event too many, never a trust nobody can account for.
    event = append_event(layout, "trusted", who=who, reason=reason, details={"kind": kind, "value": value})
    with connect(layout) as connection:
        connection.execute(
            "INSERT OR IGNORE INTO trust (kind, value, who, at, reason) VALUES (?, ?, ?, ?, ?)",
            (kind, value, event.who, event.at.isoformat(), reason),
        )
