"""The audit trail: who did what, when and why, as JSON lines that each carry the hash of the one before.

The chain shows accidents (a line lost, cut or edited), not malice: whoever may write the file may also
write a new chain.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from store.errors import StorageError
from store.layout import Layout
from store.locks import locked

FIRST_HASH = "0" * 64
INTERNAL = frozenset({"intent", "intent_dropped"})
"""Steps of a change that is not done yet: in the chain, but no event for people."""

_FIELDS = ("at", "who", "what", "model", "from", "to", "reason")
_CHAIN = ("prev", "hash")


@dataclass(frozen=True)
class Event:
    """One line of the audit trail. `at` is UTC; `details` differ by `what`."""

    at: datetime
    who: str
    what: str
    model: str | None = None
    from_: str | None = None
    to: str | None = None
    reason: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The event as a flat mapping; a detail never hides one of the seven fields."""
        own = (
            format_time(self.at), self.who, self.what, self.model, self.from_, self.to, self.reason
        )  # fmt: skip
        return {**self.details, **dict(zip(_FIELDS, own, strict=True))}

    @classmethod
    def from_json(cls, line: Mapping[str, Any]) -> Event:
        """The event of a parsed line; raises KeyError, TypeError or ValueError for what isn't one."""
        details = {key: value for key, value in line.items() if key not in _FIELDS and key not in _CHAIN}
        return cls(
            at=datetime.fromisoformat(line["at"]),
            who=line["who"],
            what=line["what"],
            model=line.get("model"),
            from_=line.get("from"),
            to=line.get("to"),
            reason=line.get("reason"),
            details=details,
        )


def format_time(at: datetime) -> str:
    """UTC, ISO 8601, milliseconds: `2026-01-31T12:00:00.000Z`."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@cache
def current_user() -> str:
    """`user@host`, as events name who did something."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a passwd entry
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def append_event(
    layout: Layout,
    what: str,
    *,
    who: str | None = None,
    model: str | None = None,
    from_: str | None = None,
    to: str | None = None,
    reason: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> Event:
    """Append one event, on the disk when this returns; `who` is the current user unless named.

    Any number of processes may append. A torn last line (a crash, a full disk) is cut first.
    Raises StorageError where the journal can't be written, BusyError after 10 s of waiting.
    """
    layout.ensure()
    with locked(layout.run / "journal.lock", what="writing the journal"):
        at = datetime.now(UTC)
        at = at.replace(microsecond=at.microsecond // 1000 * 1000)
        event = Event(at, who or current_user(), what, model, from_, to, reason, dict(details or {}))
        _append_line(layout.journal, event.as_json())
    return event


def read_events(
    layout: Layout, *, model: str | None = None, what: str | None = None, limit: int | None = None
) -> list[Event]:
    """Events in the order they happened, the last `limit` of them; unreadable lines are left out.

    Internal steps (`intent`) are left out unless asked for by `what`.
    """
    events = [
        event
        for event in _events(layout.journal)
        if (event.what == what if what else event.what not in INTERNAL)
        and (model is None or event.model == model)
    ]
    return events if limit is None else events[max(0, len(events) - limit) :]


class JournalTail:
    """Reads a journal again and again at the cost of what was added since."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._seen: tuple[int, int] = (0, 0)
        self._events: list[Event] = []
        self._lock = threading.Lock()

    def read(self) -> Sequence[Event]:
        """Every event so far, internal ones too; the same list, longer, until the file is replaced."""
        with self._lock:
            try:
                with self._journal.open("rb") as file:
                    status = os.fstat(file.fileno())
                    inode, offset = self._seen
                    if inode != status.st_ino or status.st_size < offset:
                        self._events, offset = [], 0
                    file.seek(offset)
                    added = file.read()
            except FileNotFoundError:
                self._seen, self._events = (0, 0), []
                return self._events
            except OSError as error:
                raise _unreadable(self._journal, error) from error
            whole = added.rfind(b"\n") + 1
            events = (_event(raw) for raw in added[:whole].split(b"\n"))
            self._events.extend(event for event in events if event is not None)
            self._seen = (status.st_ino, offset + whole)
            return self._events


def check_journal(layout: Layout) -> list[str]:
    """What is wrong with the chain, in words; empty when every line is whole and in its place."""
    problems: list[str] = []
    expected: str | None = FIRST_HASH
    for number, raw, torn in _raw_lines(layout.journal):
        where = f"{layout.journal} line {number}"
        if torn:
            problems.append(f"{where} is torn; the next event mends it")
            break
        line = _parse(raw)
        if line is None:
            problems.append(f"{where} is no event")
            expected = None
            continue
        if line.get("hash") != _hash(line):
            problems.append(f"{where} was changed after it was written")
        if expected is not None and line.get("prev") != expected:
            problems.append(f"{where} doesn't follow the line before: lines were lost, added or moved")
        expected = line.get("hash")
    return problems


def _append_line(journal: Path, body: dict[str, Any]) -> None:
    try:
        descriptor = os.open(journal, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    except OSError as error:
        raise _refused(journal, error) from error
    try:
        whole, last = _mend_tail(descriptor)
        # Through JSON once, so that the hash is of what a reader will see.
        text = json.dumps({"prev": last, **body}, ensure_ascii=False, default=str)
        line = json.loads(text.encode(errors="replace"))
        line["hash"] = _hash(line)
        data = json.dumps(line, ensure_ascii=False).encode() + b"\n"
        try:
            if os.write(descriptor, data) != len(data):
                raise OSError(28, "No space left on device")
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, whole)
            raise
    except OSError as error:
        raise _refused(journal, error) from error
    finally:
        os.close(descriptor)


def _mend_tail(descriptor: int) -> tuple[int, str]:
    """Cut what follows the last newline; returns the size that is whole and the last line's hash."""
    size = os.fstat(descriptor).st_size
    tail, start = b"", size
    while start > 0 and tail.rstrip(b"\n").count(b"\n") < 2:  # the last whole line and a torn one
        step = min(65536, start)
        start -= step
        tail = os.pread(descriptor, step, start) + tail
    whole = tail.rfind(b"\n") + 1
    if whole < len(tail):
        os.ftruncate(descriptor, start + whole)
    last = tail[:whole].rstrip(b"\n").rpartition(b"\n")[2]
    line = _parse(last)
    if line is not None and isinstance(line.get("hash"), str):
        return start + whole, line["hash"]
    return start + whole, hashlib.sha256(last).hexdigest() if last else FIRST_HASH


def _events(journal: Path) -> Iterator[Event]:
    for _, raw, torn in _raw_lines(journal):
        event = None if torn else _event(raw)
        if event is not None:
            yield event


def _event(raw: bytes) -> Event | None:
    line = _parse(raw)
    try:
        return Event.from_json(line) if line is not None else None
    except (KeyError, TypeError, ValueError):
        return None


def _raw_lines(journal: Path) -> Iterator[tuple[int, bytes, bool]]:
    """(line number, bytes, whether its newline is missing) of each line."""
    try:
        content = journal.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unreadable(journal, error) from error
    *lines, tail = content.split(b"\n")
    for number, raw in enumerate(lines, 1):
        yield number, raw, False
    if tail:
        yield len(lines) + 1, tail, True


def _parse(raw: bytes) -> dict[str, Any] | None:
    try:
        line = json.loads(raw)
    except ValueError:
        return None
    return line if isinstance(line, dict) else None


def _hash(line: Mapping[str, Any]) -> str:
    body = {key: value for key, value in line.items() if key != "hash"}
    text = json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _unreadable(journal: Path, error: OSError) -> StorageError:
    return StorageError(f"cannot read {journal}: {error.strerror}", "Mend its permissions.")


def _refused(journal: Path, error: OSError) -> StorageError:
    return StorageError(
        f"cannot write {journal}: {error.strerror}", "Free the disk or make the folder writable."
    )
