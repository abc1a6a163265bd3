"""The audit trail and the logs of a project's processes, as rows, at the cost of what was added since."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from store.journal import INTERNAL, Event, JournalTail
from workbench.desk.words import change, what_happened

if TYPE_CHECKING:
    from store.layout import Layout

Source = Literal["trail", "log"]
_MOST_LINES = 5_000
_MOST_BYTES = 1 << 20
"""Of a log only its end is read."""


@dataclass(frozen=True)
class EventRow:
    """One event, in the words in which it is shown."""

    number: int
    """Its place in the journal."""
    at: datetime
    what: str
    model: str | None
    change: str
    who: str
    reason: str | None
    event: Event

    @property
    def details(self) -> Mapping[str, Any]:
        return self.event.details


@dataclass(frozen=True)
class LogLine:
    """One line that a process of the project wrote."""

    number: int
    source: str
    text: str

    @property
    def tone(self) -> str | None:
        """How bad it sounds."""
        words = self.text[:200].upper()
        if any(word in words for word in ("ERROR", "CRITICAL", "TRACEBACK")):
            return "error"
        return "warning" if "WARN" in words else None


class EventsDesk:
    """What the Events screen asks, from any thread; an answer is the same object until something is new."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._tail = JournalTail(layout.journal)
        self._lock = threading.Lock()
        self._rows: tuple[EventRow, ...] = ()
        self._first: Event | None = None
        self._lines: tuple[LogLine, ...] = ()
        self._seen: Mapping[str, tuple[int, int, int]] = {}

    def trail(self) -> tuple[EventRow, ...]:
        """Every event that means something to a person, oldest first. Raises StorageError."""
        with self._lock:
            events = self._tail.read()
            first = events[0] if events else None
            known = self._rows[-1].number + 1 if self._rows and first is self._first else 0
            before = self._rows if known else ()
            added = tuple(
                _row(number, event)
                for number, event in enumerate(events[known:], known)
                if event.what not in INTERNAL
            )
            if added or len(before) != len(self._rows):
                self._rows = before + added
            self._first = first
            return self._rows

    def log(self) -> tuple[LogLine, ...]:
        """The ends of the logs of server, watcher and the latest jobs, one after the other."""
        files = self._log_files()
        seen = {}
        for name, path in files:
            try:
                status = path.stat()
            except OSError:
                continue
            seen[name] = (status.st_ino, status.st_size, status.st_mtime_ns)
        with self._lock:
            if seen != self._seen:
                lines = [(name, line) for name, path in files if name in seen for line in _last_lines(path)]
                self._lines = tuple(
                    LogLine(number, name, line) for number, (name, line) in enumerate(lines[-_MOST_LINES:])
                )
                self._seen = seen
            return self._lines

    def _log_files(self) -> Sequence[tuple[str, Path]]:
        """The logs there may be, those written last at the end."""
        files = [(path.stem, path) for path in self._layout.run.glob("*.log")]
        jobs = sorted(self._layout.jobs.glob("*/log"))[-3:]
        files += [(f"job {path.parent.name[-6:]}", path) for path in jobs]

        def written(entry: tuple[str, Path]) -> float:
            try:
                return entry[1].stat().st_mtime
            except OSError:
                return 0.0

        return sorted(files, key=written)


def _row(number: int, event: Event) -> EventRow:
    return EventRow(
        number,
        event.at,
        what_happened(event),
        event.model,
        change(event.from_, event.to),
        event.who,
        event.reason,
        event,
    )


def _last_lines(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            start = max(0, size - _MOST_BYTES)
            file.seek(start)
            content = file.read(_MOST_BYTES)
    except OSError:
        return []
    lines = content.decode("utf-8", "replace").splitlines()
    return [line for line in (lines[1:] if start else lines) if line.strip()]
