"""Who may ask for what: API keys by scope, and the Host and Origin that browsers can't be talked out of."""

from __future__ import annotations

import hmac
import ipaddress
import logging
import re
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from serve.clients import is_from_here
from serve.problems import Problem, shown
from store.errors import WorkbenchError
from store.keys import (
    SCOPES,
    Key,
    Scope,
    create_key,
    environment_keys,
    key_digest,
    new_secret,
    project_keys,
)

if TYPE_CHECKING:
    from starlette.types import Scope as Connection

    from store.layout import Layout

log = logging.getLogger("workbench.serve")

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_LONGEST_KEY = 512
_DATA = re.compile(r"/models/[^/]+/drift")
"""What is read of the data itself, and not of the models alone."""
_HEALTH = ("/health", "/v2/health/", "/ping")
FIRST_KEY = "first"
"""Name of the key that is made where there is none."""


class KeyRing:
    """The keys that are valid now: the environment's, and the project's as they are made and revoked."""

    def __init__(self, layout: Layout | None, extra: Iterable[Key] = ()) -> None:
        self._layout = layout
        self._fixed = (*environment_keys(), *extra)
        self._seen: object = None
        self.keys: tuple[Key, ...] = self._fixed
        self.local: Key | None = None
        """The key of this machine's own user (see `serve.local_key`); by itself it shuts nobody out."""
        self.refresh()

    def refresh(self) -> None:
        """Look for keys made or revoked; where the state file can't be read, all stays as it was."""
        seen = self._fingerprint()
        if seen == self._seen:
            return
        try:
            self.keys = (*self._fixed, *project_keys(self._layout))
            self._seen = seen
        except WorkbenchError as error:
            log.warning("the API keys could not be read again: %s", error)

    def find(self, secret: str, *, is_from_here: bool = False) -> Key | None:
        """The key, compared with every one in the same time whether it is right or nearly so."""
        digest = key_digest(secret)
        found = None
        for key in (*self.keys, self.local) if is_from_here and self.local is not None else self.keys:
            if hmac.compare_digest(digest, key.digest):
                found = key
        return found

    def _fingerprint(self) -> object:
        if self._layout is None:
            return ()
        state = self._layout.state_db
        marks: list[tuple[int, int, int] | None] = []
        for path in (state, state.with_name(f"{state.name}-wal")):
            try:
                status = path.stat()
                marks.append((status.st_mtime_ns, status.st_size, status.st_ino))
            except OSError:
                marks.append(None)
        return marks


def open_keys(layout: Layout | None, *, on_key: Callable[[str], None] | None = None) -> KeyRing:
    """The valid keys. Where there is none and `on_key` is given, one with every scope is made and told it."""
    keys = KeyRing(layout)
    if keys.keys or on_key is None:
        return keys
    if layout is not None:
        secret = create_key(layout, FIRST_KEY, SCOPES)
        keys.refresh()
    else:  # nowhere to keep it: it is valid as long as this server runs
        secret = new_secret()
        keys = KeyRing(None, [Key(FIRST_KEY, key_digest(secret), frozenset(SCOPES), "server")])
    on_key(secret)
    return keys


class Access:
    """Lets a request pass or raises its problem."""

    def __init__(
        self,
        keys: KeyRing,
        *,
        is_local: bool,
        is_open: bool,
        cors_origins: Collection[str],
        allowed_hosts: Collection[str],
    ) -> None:
        self._keys = keys
        self._is_open = is_open
        """Whether anybody may predict as long as there is no key."""
        self._is_local = is_local
        """Whether only this machine reaches the server; then a page in its browser must not."""
        self._origins = frozenset(origin.rstrip("/").lower() for origin in cors_origins)
        self._hosts = frozenset(host.lower() for host in allowed_hosts)

    @property
    def has_keys(self) -> bool:
        return bool(self._keys.keys)

    def may_see_data(self, key: Key | None) -> bool:
        """Whether feature values may be shown to whoever brought this key, or none."""
        if key is not None:
            return "predict" in key.scopes
        return self._is_open and not self._keys.keys

    def check(self, scope: Connection) -> Key | None:
        """The key of the request, where it brought a valid one.

        Problem 401 for a key that is missing or unknown, 403 for one without the scope, and for a Host or
        Origin that no client of this server has.
        """
        path, method = scope["path"], scope["method"]
        if path.startswith(_HEALTH) or method == "OPTIONS":
            return None
        headers = {name: value.decode("latin-1") for name, value in scope["headers"] if name in _WANTED}
        key = self._key(headers, scope)
        if key is None:
            self._check_host(headers.get(b"host", ""))
            if method not in _SAFE_METHODS:
                self._check_origin(headers.get(b"origin"), headers.get(b"host", ""))
        wanted = scope_of(path, method)
        if wanted is None or (wanted != "admin" and self._is_open and not self._keys.keys):
            return key
        if key is None:
            hint = "" if self._keys.keys else "; make one with: workbench keys create NAME --scope admin"
            raise Problem(
                401,
                f"this needs an API key, as Authorization: Bearer KEY or X-API-Key: KEY{hint}",
                headers={"WWW-Authenticate": "Bearer"},
            )
        if wanted not in key.scopes:
            raise Problem(403, f"key {key.name!r} lacks the scope {wanted}", reason="scope")
        return key

    def _key(self, headers: dict[bytes, str], scope: Connection) -> Key | None:
        secret = headers.get(b"x-api-key", "").strip()
        kind, _, token = headers.get(b"authorization", "").partition(" ")
        if not secret and kind.lower() == "bearer":
            secret = token.strip()
        if not secret or not self._keys.keys:
            return None
        if len(secret) <= _LONGEST_KEY:
            key = self._keys.find(secret, is_from_here=is_from_here(scope))
        else:
            key = None
        if key is None:
            raise Problem(401, "the API key is not known here", headers={"WWW-Authenticate": "Bearer"})
        return key

    def _check_host(self, host: str) -> None:
        """Refuse names that a stranger's DNS may point at this machine (DNS rebinding)."""
        if not self._is_local:
            return
        name = _host_name(host)
        if not name or _is_of_this_machine(name) or name in self._hosts or "*" in self._hosts:
            return
        raise Problem(
            403,
            f"{shown(name)} is no host of this server; behind a proxy, name it in [serve] allowed_hosts",
            reason="host",
        )

    def _check_origin(self, origin: str | None, host: str) -> None:
        """Refuse what a page of another site sends: browsers let it, without asking, in plain requests."""
        if origin is None or "*" in self._origins or origin.rstrip("/").lower() in self._origins:
            return
        try:
            if urlsplit(origin).netloc.lower() == host.lower() != "":
                return
        except ValueError:
            pass
        raise Problem(
            403,
            f"pages of {shown(origin)} may not call this server; see [serve] cors_origins",
            reason="origin",
        )


_WANTED = frozenset({b"host", b"origin", b"x-api-key", b"authorization"})


def scope_of(path: str, method: str) -> Scope | None:
    """The scope a request needs; None for what is open to everybody who reaches the server."""
    if path == "/admin" or path.startswith("/admin/"):
        return "admin"
    if method in _SAFE_METHODS:
        return "predict" if _DATA.fullmatch(path) else None
    return "feedback" if path == "/feedback" else "predict"


def is_loopback(address: str) -> bool:
    """Whether a listening address is reached from this machine alone."""
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _host_name(host: str) -> str:
    """The name in a Host header, without its port and brackets."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return host.lower()


def _is_of_this_machine(name: str) -> bool:
    """Addresses, and names without a dot: no public DNS answers for those."""
    if "." not in name or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
