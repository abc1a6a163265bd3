"""Giving way to other processes."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_OF_SESSION = Path("/proc/self/autogroup")


def give_way(niceness: int) -> None:
    """Add to the niceness of this process, and give its session the same.

    Linux shares the processor between sessions first and looks at niceness only within one (sched(7),
    "The autogroup feature"): in a session of its own, a process is as important as all others together.
    So call it only where the session is this process's own.
    """
    mine = os.nice(niceness)
    if os.getsid(0) == os.getpid():
        with contextlib.suppress(OSError):
            _OF_SESSION.write_text(f"{mine}\n", encoding="ascii")
