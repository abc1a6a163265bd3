"""Opens the port to listen on, or says who has it and which one is free."""

from __future__ import annotations

import contextlib
import errno
import socket
import sys
from pathlib import Path
from typing import Any

from store.errors import BusyError, UsageError

BACKLOG = 2048
_NEXT_PORTS = 100


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; raises BusyError naming the holder of the port and a free one, UsageError for a
    host or port that can't be listened on."""
    family = _family(host, port)
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            holder = port_holder(port)
            by = f" by {holder}" if holder else ""
            free = free_port(host, port + 1)
            raise BusyError(
                f"port {port} is taken{by}",
                f"Stop it, or listen elsewhere: --port {free}."
                if free
                else "Stop it, or choose another port.",
            ) from error
        if error.errno == errno.EACCES:
            raise UsageError(
                f"port {port} is for the system's administrator", "Use a port from 1024: --port 8000."
            ) from error
        raise UsageError(
            f"cannot listen on {host} port {port}: {error.strerror or error}",
            "Use 127.0.0.1 (this machine) or 0.0.0.0 (its network too).",
        ) from error
    listener.setblocking(False)
    return listener


def listen_together(host: str, port: int, count: int) -> list[socket.socket]:
    """Listening sockets of one address, among which the system shares connections out; one where it doesn't.

    Raises as `listen` does: that nobody else has the port is made sure of first, as sockets that share an
    address would join those of another server without a word.
    """
    first = listen(host, port)
    if not sys.platform.startswith("linux"):
        return [first]
    address = first.getsockname()
    first.close()
    together: list[socket.socket] = []
    try:
        for _ in range(count):
            together.append(listen_beside(first.family, address))
    except OSError:
        for listener in together:
            listener.close()
        return [listen(host, address[1])]
    return together


def listen_beside(family: int, address: Any) -> socket.socket:
    """One more listening socket of an address that others listen on in the same way. Raises OSError."""
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def free_port(host: str, start: int) -> int | None:
    """The first port from `start` on that can be listened on."""
    for port in range(max(start, 1024), min(start + _NEXT_PORTS, 65536)):
        with contextlib.suppress(OSError), socket.socket(_family(host, port), socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            return port
    return None


def port_holder(port: int) -> str | None:
    """`pid 123 (command line)` of the process that listens on a port, where this user may know."""
    inodes = _listening_inodes(port)
    if not inodes:
        return None
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            for descriptor in (process / "fd").iterdir():
                with contextlib.suppress(OSError):
                    if str(descriptor.readlink()) in inodes:
                        command = (process / "cmdline").read_bytes().replace(b"\0", b" ")
                        return f"pid {process.name} ({command.decode('utf-8', 'replace').strip()[:100]})"
    return None


def _listening_inodes(port: int) -> set[str]:
    """Names of the sockets listening on a port, as links in /proc/PID/fd show them; empty off Linux."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text("ascii").splitlines()[1:]:
                columns = line.split()
                if columns[3] == "0A" and int(columns[1].rpartition(":")[2], 16) == port:
                    found.add(f"socket:[{columns[9]}]")
    return found


def _family(host: str, port: int) -> socket.AddressFamily:
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
    except OSError as error:
        raise UsageError(
            f"host {host!r} is no address of this machine: {error.strerror or error}",
            "Use 127.0.0.1 (this machine) or 0.0.0.0 (its network too).",
        ) from error
