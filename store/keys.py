"""API keys: who may ask the server for what. Only their SHA-256 is kept; the key itself is shown once."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import sqlite3
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal, get_args

from store.errors import NotFoundError, SettingsError, UsageError

if TYPE_CHECKING:
    from store.layout import Layout

Scope = Literal["predict", "feedback", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
DEFAULT_SCOPES: tuple[Scope, ...] = ("predict", "feedback")
VARIABLE = "WORKBENCH_API_KEYS"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHORTEST = 16


@dataclass(frozen=True)
class Key:
    """A key that is valid; `source` is `project` or `environment`."""

    name: str
    digest: str
    """SHA-256 of the key, in hex."""
    scopes: frozenset[Scope]
    source: str
    created_at: datetime | None = None
    who: str | None = None


def key_digest(secret: str) -> str:
    """What is kept of a key. It is random, so a plain hash can't be turned back by guessing."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def new_secret() -> str:
    """A new key: 256 random bits."""
    return f"wb_{secrets.token_urlsafe(32)}"


def create_key(
    layout: Layout, name: str, scopes: Collection[Scope] = DEFAULT_SCOPES, *, who: str | None = None
) -> str:
    """Make a key and return it, the only time it can be seen; the journal records who made it.

    Raises UsageError for a name that is taken or not made of letters, digits, dots, dashes and underscores.
    """
    from store.journal import append_event
    from store.state import connect

    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} can't be the name of a key", "Use up to 64 letters, digits, dots, dashes, underscores."
        )
    ordered = [scope for scope in SCOPES if scope in scopes]
    if not ordered:
        raise UsageError("a key needs a scope", f"There are {', '.join(SCOPES)}.")
    if name in {key.name for key in project_keys(layout)}:
        raise _taken(name)
    secret = new_secret()
    # The journal first: a crash in between leaves an event too many, never a key nobody can account for.
    event = append_event(layout, "key_created", who=who, details={"key": name, "scopes": " ".join(ordered)})
    try:
        with connect(layout) as connection:
            connection.execute(
                "INSERT INTO keys (name, digest, scopes, who, at) VALUES (?, ?, ?, ?, ?)",
                (name, key_digest(secret), " ".join(ordered), event.who, event.at.isoformat()),
            )
    except sqlite3.IntegrityError as error:
        raise _taken(name) from error
    return secret


def revoke_key(layout: Layout, name: str, *, who: str | None = None) -> None:
    """Make a key invalid for good; NotFoundError where the project has none of that name."""
    from store.journal import append_event
    from store.state import connect

    names = sorted(key.name for key in project_keys(layout))
    if name not in names:
        there_are = (
            f"There are {', '.join(names)}." if names else "There are none: workbench keys create NAME."
        )
        raise NotFoundError(f"no key {name!r} in this project", there_are)
    with connect(layout) as connection:
        connection.execute("DELETE FROM keys WHERE name = ?", (name,))
    append_event(layout, "key_revoked", who=who, details={"key": name})


def project_keys(layout: Layout | None) -> list[Key]:
    """The project's own keys, oldest first; none without a project."""
    if layout is None or not layout.state_db.exists():
        return []
    from store.state import connect

    with connect(layout) as connection:
        rows = connection.execute(
            "SELECT name, digest, scopes, who, at FROM keys ORDER BY at, name"
        ).fetchall()
    return [
        Key(
            name=row["name"],
            digest=row["digest"],
            scopes=_known(row["scopes"].split()),
            source="project",
            created_at=datetime.fromisoformat(row["at"]),
            who=row["who"],
        )
        for row in rows
    ]


def environment_keys(environment: Mapping[str, str] = os.environ) -> list[Key]:
    """The keys of WORKBENCH_API_KEYS, divided by commas: `KEY`, `NAME=KEY` or `NAME:SCOPE+SCOPE=KEY`.

    KEY is a key, or the SHA-256 of one in hex. The scopes are predict and feedback unless given.
    Raises SettingsError, which never repeats a key, for what can't be read so.
    """
    found = []
    for position, entry in enumerate(environment.get(VARIABLE, "").split(","), 1):
        if not entry.strip():
            continue
        label, equals, secret = entry.strip().partition("=")
        if not equals or not secret.strip("="):  # the padding of a base64 key is no separator
            label, secret = f"environment-{position}", entry.strip()
        name, colon, scopes = label.partition(":")
        wanted = scopes.split("+") if colon else list(DEFAULT_SCOPES)
        is_hash = _SHA256.fullmatch(secret) is not None
        if not _NAME.fullmatch(name) or len(_known(wanted)) != len(wanted) or len(secret) < _SHORTEST:
            raise SettingsError(
                f"key {position} of {VARIABLE} can't be read",
                f"Write KEY, NAME=KEY or NAME:SCOPE+SCOPE=KEY, with at least {_SHORTEST} characters a key "
                f"and scopes of {', '.join(SCOPES)}; divide keys by commas.",
            )
        found.append(
            Key(name, secret if is_hash else key_digest(secret), _known(wanted), source="environment")
        )
    return found


def _known(scopes: Iterable[str]) -> frozenset[Scope]:
    return frozenset(scope for scope in SCOPES if scope in set(scopes))


def _taken(name: str) -> UsageError:
    return UsageError(
        f"there is a key {name!r} already", f"Choose another name, or workbench keys revoke {name}."
    )
