"""Hints that something changed in a folder, from the system's own events where a file system has them."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.data_files import is_supported

log = logging.getLogger("workbench.watch")

_SILENT_FILE_SYSTEMS = (
    "nfs", "cifs", "smb", "fuse", "9p", "afs", "ceph", "glusterfs", "lustre", "vboxsf", "prl_fs", "virtiofs",
    "drvfs", "ncpfs", "davfs", "gpfs", "beegfs", "osxfs", "grpcfuse", "hgfs",
)  # fmt: skip
"""File systems where others' changes come without an event."""


@dataclass
class _Folder:
    path: Path
    is_recursive: bool
    has_events: bool = False
    why_not: str | None = None
    watch: Any = None
    missed: int = 0


@dataclass
class Hints:
    """Watches folders; `wake` is called for everything that may matter, from another thread."""

    wake: Callable[[], None]
    _folders: dict[tuple[str, bool], _Folder] = field(default_factory=dict)
    _observer: Any = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _whole: set[str] = field(default_factory=set)

    def follow(self, wanted: set[tuple[Path, bool]]) -> None:
        """Watch exactly these folders (and whether what is below them counts); one that isn't there yet is
        waited for by the scan."""
        keys = {(str(path), is_recursive) for path, is_recursive in wanted}
        for key in list(self._folders):
            folder = self._folders[key]
            is_gone = folder.has_events and not folder.path.is_dir()
            if key not in keys or is_gone:
                self._unschedule(folder)
                del self._folders[key]
        for path, is_recursive in wanted:
            folder = self._folders.setdefault((str(path), is_recursive), _Folder(path, is_recursive))
            if not folder.has_events and folder.missed == 0 and path.is_dir():
                self._schedule(folder)

    def take_whole(self) -> set[str]:
        """Paths that were closed after writing or renamed into place since the last call."""
        with self._lock:
            taken, self._whole = self._whole, set()
        return taken

    def has_events(self, path: Path, is_recursive: bool) -> bool:
        folder = self._folders.get((str(path), is_recursive))
        return folder is not None and folder.has_events

    def note_missed(self, path: Path, is_recursive: bool) -> None:
        """A scan found what no event had told: after the second time the folder is polled."""
        folder = self._folders.get((str(path), is_recursive))
        if folder is None or not folder.has_events:
            return
        folder.missed += 1
        if folder.missed > 1:
            self._unschedule(folder)
            folder.why_not = "changes came without events"
            log.warning("%s: %s, so it is looked through every few seconds", folder.path, folder.why_not)

    def folders(self) -> list[dict[str, Any]]:
        """What is watched, and how, for people."""
        return [
            {
                "path": str(folder.path),
                "events": folder.has_events,
                "why_not": None if folder.has_events else folder.why_not or "there is no such folder yet",
            }
            for folder in self._folders.values()
        ]

    def close(self) -> None:
        if self._observer is not None:
            self._observer.stop()
            self._observer.join(5)
            self._observer = None
        self._folders.clear()

    def _schedule(self, folder: _Folder) -> None:
        kind = file_system(folder.path)
        if kind.startswith(_SILENT_FILE_SYSTEMS):
            folder.why_not = f"a {kind} file system tells nothing of others' changes"
            return
        try:
            folder.watch = self._start().schedule(
                self._handler(), str(folder.path), recursive=folder.is_recursive, event_filter=_kinds()
            )
        except (OSError, RuntimeError) as error:
            folder.why_not = f"the system gives no events: {error}"
            log.warning("%s: %s", folder.path, folder.why_not)
            return
        folder.has_events, folder.why_not = True, None

    def _unschedule(self, folder: _Folder) -> None:
        if folder.watch is not None and self._observer is not None:
            with contextlib.suppress(KeyError, OSError):
                self._observer.unschedule(folder.watch)
        folder.watch, folder.has_events = None, False

    def _start(self) -> Any:
        if self._observer is None:
            from watchdog.observers import Observer

            self._observer = Observer()
            self._observer.daemon = True
            self._observer.start()
        return self._observer

    def _handler(self) -> Any:
        from watchdog.events import FileSystemEvent, FileSystemEventHandler

        hints = self

        class Handler(FileSystemEventHandler):
            def on_any_event(self, event: FileSystemEvent) -> None:
                hints._hear(event)

        return Handler()

    def _hear(self, event: Any) -> None:
        if event.event_type == "modified":
            return  # it is being written: its end will tell
        path = os.fsdecode(event.dest_path if event.event_type == "moved" else event.src_path)
        if not event.is_directory:
            is_data = is_supported(Path(path)) if path else False
            was_data = is_supported(Path(os.fsdecode(event.src_path)))
            if not (is_data or was_data):
                return
            if is_data and event.event_type in ("closed", "moved"):
                with self._lock:
                    self._whole.add(path)
        self.wake()


def _kinds() -> list[Any]:
    from watchdog import events

    return [
        events.FileClosedEvent,
        events.FileMovedEvent,
        events.FileCreatedEvent,
        events.FileDeletedEvent,
        events.DirCreatedEvent,
        events.DirMovedEvent,
        events.DirDeletedEvent,
    ]


def file_system(path: Path, mounts: Path = Path("/proc/mounts")) -> str:
    """The type of the file system that holds a folder, such as `ext4` or `nfs4`; empty where nobody tells."""
    try:
        lines = mounts.read_text("utf-8", errors="replace").splitlines()
        resolved = path.resolve()
    except OSError:
        return ""
    best, kind = -1, ""
    for line in lines:
        parts = line.split()
        if len(parts) < 3:
            continue
        mount = parts[1].encode().decode("unicode_escape")
        if resolved.is_relative_to(mount) and len(mount) >= best:
            best, kind = len(mount), parts[2].lower()
    return kind
