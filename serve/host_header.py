"""The Host header as HTTP wants it: there once, and a host with or without a port (RFC 9112, section 3.2)."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

from serve.problems import Problem

if TYPE_CHECKING:
    from starlette.types import Scope

_LONGEST = 300
"""A DNS name has 253 characters at most."""
_NAME = rb"(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*"
_HOST = re.compile(rb"(?:\[([0-9A-Fa-f:.]+)(?:%25[A-Za-z0-9._~-]+)?\]|" + _NAME + rb")(?::[0-9]{0,5})?")
_WITHOUT_HOST = ("1.0", "0.9")


def is_host(value: bytes) -> bool:
    """Whether it is what a Host header may hold; an empty one says that the target has no host."""
    found = _HOST.fullmatch(value) if len(value) <= _LONGEST else None
    if found is None:
        return False
    if found[1] is not None:
        try:
            ipaddress.IPv6Address(found[1].decode())
        except ValueError:
            return False
    return True


def check_host_header(scope: Scope) -> None:
    """Problem 400 for a request whose Host is missing, there twice or none; HTTP/1.0 may be without."""
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    if len(hosts) == 1 and is_host(hosts[0]):
        return
    if not hosts:
        if scope["http_version"] in _WITHOUT_HOST:
            return
        detail = "the Host header is missing"
    elif len(hosts) > 1:
        detail = "there is more than one Host header"
    else:
        detail = "the Host header is not a host, or host:port"
    raise Problem(400, detail, reason="host_header")
