"""Whether a tracking server answers at all, found out in seconds: MLflow itself tries for minutes."""

from __future__ import annotations

import socket
import threading
import time
import urllib.error
import urllib.request

from store.errors import StorageError

ANSWERS_WITHIN_S = 5.0
_SURE_FOR_S = 5.0
_AWAY_FOR_S = 2.0
"""Calls that follow each other within this aren't kept waiting one after the other."""

_HINT = "See whether the server runs and [tracking] uri is right."

_lock = threading.Lock()
_reached_at: dict[str, float] = {}
_refused: dict[str, tuple[float, str]] = {}


def check_reachable(uri: str) -> None:
    """Raise StorageError when the server at `uri` is away or hangs; anything but a server is fine."""
    if not uri.startswith(("http:", "https:")):
        return
    with _lock:
        if time.monotonic() - _reached_at.get(uri, -_SURE_FOR_S) < _SURE_FOR_S:
            return
        refused_at, why = _refused.get(uri, (-_AWAY_FOR_S, ""))
        if time.monotonic() - refused_at < _AWAY_FOR_S:
            raise StorageError(why, _HINT)
        try:
            urllib.request.urlopen(f"{uri}/health", timeout=ANSWERS_WITHIN_S).close()
        except urllib.error.HTTPError:
            pass  # it may want a password or have no such page: it answers
        except (OSError, ValueError) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            if not _is_about_certificates(reason):
                why = f"{uri} {_words(reason)}"
                _refused[uri] = (time.monotonic(), why)
                raise StorageError(why, _HINT) from error
        _reached_at[uri] = time.monotonic()


def _is_about_certificates(reason: object) -> bool:
    """MLflow has settings of its own for those."""
    return "SSL" in type(reason).__name__


def _words(reason: object) -> str:
    if isinstance(reason, TimeoutError):
        return f"doesn't answer within {ANSWERS_WITHIN_S:.0f} s"
    if isinstance(reason, ConnectionRefusedError):
        return "refuses connections: no server is there"
    if isinstance(reason, socket.gaierror):
        return f"isn't found: {reason.strerror}"
    return f"can't be reached: {reason}"
