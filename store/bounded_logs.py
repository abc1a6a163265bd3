"""Logs that processes write for as long as they live, kept from filling the disk."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path

from store.layout import Layout

MOST_BYTES = 5_000_000
"""Of the log of a process in the background; it is renamed then, and the one before it dropped."""
JOB_LOG_BYTES = 20_000_000
"""Of the log of one job; the middle is cut out then."""
_KEPT_BYTES = 1_000_000
KEPT_JOBS = 200
"""Finished jobs of a kind whose folders, with their logs, are kept; their rows are kept for ever."""


def rotate(path: Path, most_bytes: int = MOST_BYTES) -> bool:
    """Rename a log that is full to `NAME.1`; True where it was.

    What this process prints to it goes to the new one from here on; processes that it started may go on
    writing to the renamed one until they end.
    """
    try:
        if path.stat().st_size < most_bytes:
            return False
        prints_there = [number for number in (1, 2) if os.path.samestat(os.fstat(number), path.stat())]
        path.replace(path.with_name(f"{path.name}.1"))
        if prints_there:
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            sys.stdout.flush()
            sys.stderr.flush()
            for number in prints_there:
                os.dup2(descriptor, number)
            os.close(descriptor)
    except OSError:
        return False
    return True


def empty_when_full(path: Path, most_bytes: int = MOST_BYTES) -> bool:
    """Copy a log that is full to `NAME.1` and empty it; True where it was.

    For a log that several processes write for as long as they live: each must append. What is written at
    this very moment may be lost.
    """
    try:
        if path.stat().st_size < most_bytes:
            return False
        copy = path.with_name(f"{path.name}.1")
        with path.open("rb") as full, copy.open("wb") as kept:
            shutil.copyfileobj(full, kept, 1 << 20)
        os.truncate(path, 0)
    except OSError:
        return False
    return True


def cut_middle(path: Path, most_bytes: int = JOB_LOG_BYTES) -> bool:
    """Leave of a log that is too long its beginning and its end; True where it was.

    Whoever writes it must append. What is written at this very moment may be lost.
    """
    try:
        with path.open("r+b") as file:
            size = file.seek(0, os.SEEK_END)
            if size < most_bytes:
                return False
            file.seek(0)
            head = file.read(_KEPT_BYTES).rpartition(b"\n")[0]
            file.seek(size - _KEPT_BYTES)
            tail = file.read(_KEPT_BYTES).partition(b"\n")[2]
            note = f"\n… {size - len(head) - len(tail):,} bytes were cut out here …\n".encode()
            file.truncate(0)
        with path.open("ab") as file:
            file.write(head + note + tail)
    except OSError:
        return False
    return True


def prune_jobs(layout: Layout, kept: int = KEPT_JOBS) -> int:
    """Drop the folders of finished jobs beyond the newest `kept` of each kind; returns how many."""
    from store.jobs import FINAL_STATES, KINDS, list_jobs

    try:
        folders = {entry.name for entry in os.scandir(layout.jobs) if entry.is_dir()}
    except OSError:
        return 0
    if len(folders) <= kept:
        return 0
    old: set[str] = set()
    for kind in KINDS:
        old.update(job.id for job in list_jobs(layout, states=FINAL_STATES, kind=kind)[kept:])
    dropped = 0
    for name in folders & old:
        with suppress(OSError):
            shutil.rmtree(layout.jobs / name)
            dropped += 1
    return dropped
