"""Opens the port or socket to listen on, or says who has it and which port is free."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import resource
import socket
import stat
import struct
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from store.errors import BusyError, UsageError, WorkbenchError

BACKLOG = 2048
_LONGEST_SOCKET_PATH = 103
"""Linux takes four bytes more."""
_NEXT_PORTS = 100
_OTHER_FILES = 256
"""Files and pipes a process has open beside its clients' connections."""


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


def room_for_sockets(wanted: int) -> int:
    """How many connections this process may have open, up to `wanted`; lifts its own limit where it can."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        lifted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (lifted, hard))
            soft = lifted
        return max(min(wanted, soft - _OTHER_FILES), 1)
    return wanted


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


class Listeners:
    """The listening sockets of several workers: one for each by its slot, or one for all."""

    def __init__(self, listeners: Sequence[socket.socket]) -> None:
        self._listeners = list(listeners)
        self._address = listeners[0].family, listeners[0].getsockname()

    def open(self, slot: int) -> None:
        """Listen for a worker again whose socket was closed."""
        if len(self._listeners) > 1 and self._listeners[slot].fileno() < 0:
            with contextlib.suppress(OSError):
                self._listeners[slot] = listen_beside(*self._address)

    def close(self, slot: int) -> None:
        """Leave new connections to the other workers: one that waits here would wait long."""
        if len(self._listeners) > 1:
            self._listeners[slot].close()

    def close_all(self) -> None:
        for listener in self._listeners:
            listener.close()

    def only(self, slot: int) -> socket.socket:
        """A worker's own, the others closed."""
        own = self._listeners[slot % len(self._listeners)]
        for other in self._listeners:
            if other is not own:
                other.close()
        return own


def listen_on_socket(path: Path) -> socket.socket:
    """A listening Unix socket that its user and group may connect to; one left by a dead server is replaced.

    Raises BusyError where somebody listens there, UsageError for a path where nobody can.
    """
    if len(os.fsencode(path)) > _LONGEST_SOCKET_PATH:
        raise UsageError(
            f"the path of the socket is longer than {_LONGEST_SOCKET_PATH} bytes: {path}",
            "Use a shorter one: --socket /run/workbench.sock.",
        )
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _alone_in(path.parent):
            _make_way(path)
            before = os.umask(0o117)
            try:
                listener.bind(str(path))
            finally:
                os.umask(before)
            listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise UsageError(
            f"cannot listen on the socket {path}: {error.strerror or error}",
            "Its folder must exist, and you must be allowed to write in it.",
        ) from error
    except WorkbenchError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def identity(listener: socket.socket) -> tuple[int, int]:
    """What tells the file of a listening Unix socket from another one in its place."""
    status = os.lstat(listener.getsockname())
    return status.st_ino, status.st_mtime_ns


def remove_socket(path: Path, whose: tuple[int, int]) -> None:
    """Remove the file of a Unix socket, unless another one has taken its place."""
    with contextlib.suppress(OSError):
        status = path.lstat()
        if (status.st_ino, status.st_mtime_ns) == whose:
            path.unlink()


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Of two servers that find the same dead socket, one after the other."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _make_way(path: Path) -> None:
    """Remove a socket that nobody listens on."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise UsageError(f"{path} is no socket", "Choose another path: --socket PATH.")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except (BlockingIOError, TimeoutError):  # somebody has more to do than can wait there
            pass
        raise BusyError(
            f"the socket {path} is in use{_by(probe)}", "Stop it, or choose another path: --socket PATH."
        )


def _by(connected: socket.socket) -> str:
    """Who is at the other end, where the system tells."""
    if not hasattr(socket, "SO_PEERCRED"):
        return ""
    with contextlib.suppress(OSError):
        pid = struct.unpack("3i", connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
        return f" by pid {pid} ({command.decode('utf-8', 'replace').strip()[:100]})"
    return ""


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
