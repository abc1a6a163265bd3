"""Exclusive locks between processes, named so that whoever waits can say for whom."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from store.errors import BusyError, StorageError

_LONGEST_WAIT_S = 0.05
_UNNAMED_GRACE_S = 0.1
"""How long even an impatient caller waits for a lock nobody has signed: its owner is about to sign or
to leave, or another process is only looking who holds it."""


@contextmanager
def locked(path: Path, *, what: str, timeout_s: float = 10.0) -> Iterator[None]:
    """Hold the lock at `path` for the block; `what` says for what, in the messages of those who wait.

    The kernel releases the lock with the process, so a crash leaves nothing to clean. It isn't reentrant.
    Raises BusyError naming the holder after `timeout_s` (0: at once) and StorageError where the file
    can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise StorageError(
            f"cannot lock {path}: {error.strerror}", "Make its folder writable or free the disk."
        ) from error
    try:
        _acquire(descriptor, path, timeout_s)
        try:
            _sign(descriptor, what)
            yield
        finally:
            _sign(descriptor, None)
    finally:
        os.close(descriptor)


def lock_holder(path: Path) -> dict[str, Any] | None:
    """Who holds the lock: {"pid", "what", "since", "host"} ({} when not signed); None when nobody."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _signature(descriptor)
        return None
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, path: Path, timeout_s: float) -> None:
    start = time.monotonic()
    wait_s = 0.001
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        else:
            return
        # The signature of one that was killed is still there while somebody only looks.
        holder = {} if _is_only_looked_at(descriptor) else _signature(descriptor)
        if time.monotonic() - start >= (timeout_s if holder else max(timeout_s, _UNNAMED_GRACE_S)):
            raise BusyError(_describe(path, holder), "Try again when it is done.")
        time.sleep(wait_s)
        wait_s = min(wait_s * 1.5, _LONGEST_WAIT_S)


def _is_only_looked_at(descriptor: int) -> bool:
    """Whether those who hold the lock share it, as `lock_holder` does for a moment."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return True


def _sign(descriptor: int, what: str | None) -> None:
    """Write who holds the lock; only for people, so a full disk doesn't matter."""
    text = b""
    if what is not None:
        since = datetime.now(UTC).isoformat(timespec="seconds")
        holder = {"pid": os.getpid(), "what": what, "since": since, "host": socket.gethostname()}
        text = json.dumps(holder).encode()
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text, 0)
    except OSError:
        pass


def _signature(descriptor: int) -> dict[str, Any]:
    try:
        holder = json.loads(os.pread(descriptor, 4096, 0))
    except (OSError, ValueError):
        return {}
    return holder if isinstance(holder, dict) else {}


def _describe(path: Path, holder: dict[str, Any]) -> str:
    if not holder:
        return f"another process holds {path}"
    where = "" if holder.get("host") == socket.gethostname() else f" on {holder.get('host')}"
    since = f"{path.name} since {holder.get('since')}"
    return f"process {holder.get('pid')}{where} holds {since}: {holder.get('what')}"
