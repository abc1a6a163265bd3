"""Tells systemd how the server is, where systemd asks: READY=1, STOPPING=1 and the watchdog's heartbeat."""

from __future__ import annotations

import contextlib
import os
import socket


def notify(*assignments: str) -> None:
    """Send states such as `READY=1` to the service manager; nothing happens without one."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):
        address = "\0" + address[1:]  # an abstract socket
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(address)
        sender.sendall("\n".join(assignments).encode())


def watchdog_interval_s() -> float | None:
    """How often the watchdog wants to hear `WATCHDOG=1`; None where there is none for this process.

    Half of the time after which it would restart the service, as sd_watchdog_enabled(3) advises.
    """
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    return int(microseconds) / 2_000_000 if microseconds.isdigit() and int(microseconds) > 0 else None
