"""Whether somebody is still writing a file."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from pathlib import Path


def is_being_written(path: Path) -> bool | None:
    """Whether a process has the file open to write; None where the system doesn't tell.

    Linux grants a read lease only on a file that nobody writes.
    """
    if not hasattr(fcntl, "F_SETLEASE"):
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    # Whoever opens the file in the instant of the lease makes the kernel send SIGIO, which ends a process.
    before = None
    with contextlib.suppress(ValueError):  # in a thread: whoever started it has to ignore the signal
        before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    try:
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
        if before is not None:
            signal.signal(signal.SIGIO, before)
