"""Whether somebody is still writing a file."""

from __future__ import annotations

import fcntl
import os
import signal
from pathlib import Path

_F_SETSIG = 10


def is_being_written(path: Path) -> bool | None:
    """Whether a process has the file open to write; None where the system doesn't tell.

    Linux grants a read lease only on a file that nobody writes, and only to the file's owner.
    """
    if not hasattr(fcntl, "F_SETLEASE"):
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        # Whoever opens the file in the instant of the lease makes the kernel send a signal; by default it is
        # SIGIO, which ends a process.
        fcntl.fcntl(descriptor, _F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    except OSError:
        return None
    else:
        return False
    finally:
        os.close(descriptor)
