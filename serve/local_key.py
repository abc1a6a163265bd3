"""The key of this machine's own user: made at each start, for the terminal UI beside the server.

Whoever can read it could make keys for the project as well. The server takes it from this machine alone, and
not from proxies on it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from store.errors import StorageError
from store.keys import Key, key_digest, new_secret
from store.layout import Layout

NAME = "local"


def key_path(layout: Layout) -> Path:
    return layout.run / "local.key"


@contextmanager
def local_key(layout: Layout) -> Iterator[Key]:
    """A new key, which is in a file that only this user can read while the block runs."""
    secret = new_secret()
    path = key_path(layout)
    path.unlink(missing_ok=True)  # a new file, with no mode of an old one
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secret)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}", "Make the folder writable.") from error
    try:
        yield Key(NAME, key_digest(secret), frozenset(("predict", "feedback")), "server")
    finally:
        path.unlink(missing_ok=True)


def read_local_key(layout: Layout) -> str | None:
    """The key of the project's running server, where this user may read it."""
    try:
        return key_path(layout).read_text("utf-8").strip() or None
    except OSError:
        return None
