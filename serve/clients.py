"""Where a request comes from, also behind proxies that are trusted to say so."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import Scope

    Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_FORWARDED = b"x-forwarded-for"
_OF_PROXIES = frozenset({_FORWARDED, b"forwarded", b"via"})
SOCKET_PROXY = "unix"
"""Whoever connects to the server's Unix socket."""


class Clients:
    """Finds the address of the client; `proxies` are addresses or networks, as in 10.0.0.0/8, or `unix`."""

    def __init__(self, proxies: Iterable[str] = ()) -> None:
        proxies = set(proxies)
        self._trusts_socket = SOCKET_PROXY in proxies
        self._networks = tuple(
            ipaddress.ip_network(proxy, strict=False) for proxy in proxies - {SOCKET_PROXY}
        )
        self._is_proxy = lru_cache(maxsize=1024)(self._belongs)

    def address(self, scope: Scope) -> str:
        """The peer's address, or the last one in X-Forwarded-For that is no trusted proxy's."""
        client = scope.get("client")
        peer: str = client[0] if client else ""
        is_trusted = self._trusts_socket if _is_by_socket(scope) else self._is_proxy(peer)
        if not is_trusted:
            return peer
        named = [value.decode("latin-1") for name, value in scope["headers"] if name == _FORWARDED]
        for part in reversed(",".join(named).split(",")):
            address = _plain(part)
            if address is None:
                break
            peer = address
            if not self._is_proxy(address):
                break
        return peer

    def _belongs(self, address: str) -> bool:
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self._networks)


def is_from_here(scope: Scope) -> bool:
    """Whether the request comes from this machine, and not for somebody else through a proxy on it."""
    client = scope.get("client")
    if any(name in _OF_PROXIES for name, _ in scope["headers"]):
        return False
    if _is_by_socket(scope):
        return True
    if not client:
        return False
    try:
        return ipaddress.ip_address(client[0]).is_loopback
    except ValueError:
        return False


def is_half_duplex(scope: Scope) -> bool:
    """Whether a proxy may be between that sends no more of a body once its answer has begun, as nginx does.

    One that says nothing of itself speaks HTTP/1.0 as a rule.
    """
    return scope.get("http_version") == "1.0" or any(name in _OF_PROXIES for name, _ in scope["headers"])


def _is_by_socket(scope: Scope) -> bool:
    """Whether the request came by a Unix socket: this has a path and no port."""
    server = scope.get("server")
    return server is not None and server[1] is None


def network_of(address: str) -> str:
    """What one client can't easily have many of: an IPv4 address, the first half of an IPv6 one."""
    if ":" not in address:
        return address
    try:
        found = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((int(found) >> 64 << 64, 64)))


def _plain(text: str) -> str | None:
    """An address as proxies write it, perhaps with a port; None for what is none."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None
