"""Watches the data of pipelines: a scan is the truth, events of the system only say when to look."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.data_files import scan, watch_base
from pipelines.settings import PipelineSettings
from pipelines.watch_hints import Hints
from pipelines.whole import is_being_written
from store.layout import Layout
from store.ledger import Stamp, ledger_path, note_gone, note_seen, stamp_of, stamps

log = logging.getLogger("workbench.watch")

SCAN_S = 30.0
"""Between two looks at folders whose changes come with events."""
_POLL_S = 2.0
"""Between two looks at folders without events, where a look takes less than a hundredth of that."""
_SECOND_LOOK_S = 0.3
"""Between two looks at a file that nobody has said to be whole, where the system tells who writes."""
_SLOW_SECOND_LOOK_S = 2.0
"""The same where nobody can tell whether it is being written."""
_RETRY_S = 30.0
"""Until a file that could not be read is tried again."""


@dataclass
class _Pending:
    stamp: Stamp
    since: float
    is_doubtful: bool = False


@dataclass
class WatchedPipeline:
    """One pipeline's files, and those that are not whole yet."""

    name: str
    settings: PipelineSettings
    base: Path
    is_recursive: bool
    pending: dict[str, _Pending] = field(default_factory=dict)
    retry_at: dict[str, float] = field(default_factory=dict)
    known: dict[str, Stamp] = field(default_factory=dict)
    """What lay there at the last look."""
    is_first: bool = True
    scan_s: float = 0.0
    scanned_at: float = 0.0


class Watch:
    """Looks for whole files whose content is not known and enters them into the ledger as new."""

    def __init__(self, layout: Layout, wake: Callable[[], None]) -> None:
        self._layout = layout
        self.hints = Hints(self._hinted)
        self._wake = wake
        self._is_hinted = True
        self._whole: set[str] = set()
        self.pipelines: dict[str, WatchedPipeline] = {}
        self.last_change = 0.0
        """When the last new file was noticed (time.monotonic)."""

    def configure(self, pipelines: Mapping[str, PipelineSettings]) -> None:
        """Watch the data of these pipelines, and of no others."""
        root = self._layout.root
        for name in set(self.pipelines) - set(pipelines):
            del self.pipelines[name]
        for name, settings in pipelines.items():
            present = self.pipelines.get(name)
            if present is not None and present.settings.data == settings.data:
                present.settings = settings
                continue
            base, is_recursive = watch_base(settings.data, root)
            self.pipelines[name] = WatchedPipeline(name, settings, base, is_recursive)
        self._is_hinted = True

    def due_in(self) -> float:
        """Seconds until the next look, 0 when something hinted at a change."""
        if self._is_hinted:
            return 0.0
        now = time.monotonic()
        return max(0.0, min([SCAN_S, *(self._due(watched) - now for watched in self.pipelines.values())]))

    def look(self) -> list[str]:
        """Scan what is due; returns the pipelines that have new files to examine."""
        is_hinted, self._is_hinted = self._is_hinted, False
        if is_hinted:
            self._follow()
        self._whole |= self.hints.take_whole()
        now = time.monotonic()
        for watched in self.pipelines.values():
            if is_hinted or self._due(watched) <= now:
                try:
                    self._scan(watched, is_hinted=is_hinted)
                except OSError as error:
                    log.warning("%s: %s can't be looked through: %s", watched.name, watched.base, error)
                    watched.scanned_at = time.monotonic()
        if not is_hinted:
            self._follow()
        present = {path for watched in self.pipelines.values() for path in watched.pending}
        self._whole &= present
        return [watched.name for watched in self.pipelines.values() if self._to_examine(watched)]

    def to_examine(self, pipeline: str) -> list[Path]:
        """New files of a pipeline, by path; those that could not be read wait for a while."""
        return [self._layout.root / path for path in self._to_examine(self.pipelines[pipeline])]

    def examined(self, pipeline: str, path: str, *, is_settled: bool) -> None:
        """What a file's examination came to: one that could not be read is tried again later."""
        watched = self.pipelines.get(pipeline)
        if watched is None:
            return
        if is_settled:
            watched.retry_at.pop(path, None)
        else:
            watched.retry_at[path] = time.monotonic() + _RETRY_S
            # Somebody is at it: its stamp is looked at again from the start.
            self._is_hinted = True

    def has_pending(self, pipeline: str) -> bool:
        return bool(self.pipelines[pipeline].pending)

    def close(self) -> None:
        self.hints.close()

    def _hinted(self) -> None:
        self._is_hinted = True
        self._wake()

    def _follow(self) -> None:
        bases: set[tuple[Path, bool]] = set()
        for watched in self.pipelines.values():
            # A base that holds the project's own state would tell of every run and prediction.
            holds_state = watched.is_recursive and self._layout.state.is_relative_to(watched.base)
            bases.add((watched.base, watched.is_recursive and not holds_state))
        self.hints.follow(bases)

    def _due(self, watched: WatchedPipeline) -> float:
        if watched.pending:
            is_slow = any(pending.is_doubtful for pending in watched.pending.values())
            return watched.scanned_at + (_SLOW_SECOND_LOOK_S if is_slow else _SECOND_LOOK_S)
        wait = SCAN_S
        if not self.hints.has_events(watched.base, watched.is_recursive):
            wait = min(SCAN_S, max(_POLL_S, watched.scan_s * 200))
        if watched.retry_at:
            wait = min(wait, max(0.0, min(watched.retry_at.values()) - watched.scanned_at))
        return watched.scanned_at + wait

    def _scan(self, watched: WatchedPipeline, *, is_hinted: bool) -> None:
        begun = time.monotonic()
        root = self._layout.root
        found = {
            ledger_path(Path(path), root): (path, stamp_of(status))
            for path, status in scan(watched.settings.data, root).items()
        }
        ledger = stamps(self._layout, watched.name)
        whole: dict[str, Stamp] = {}
        was_still = not watched.is_first and not is_hinted and not watched.pending
        for name, (path, stamp) in found.items():
            recorded = ledger.get(name)
            if recorded is not None and recorded[0] == stamp and not recorded[2]:
                watched.pending.pop(name, None)
                continue
            if was_still and name not in watched.known and not is_being_written(Path(path)):
                self.hints.note_missed(watched.base, watched.is_recursive)
                was_still = False
            if self._is_whole(watched, name, path, stamp, begun):
                whole[name] = stamp
                watched.pending.pop(name, None)
        for name in set(watched.pending) - set(found):
            del watched.pending[name]
        gone = [name for name, (_, _, is_gone) in ledger.items() if not is_gone and name not in found]
        note_seen(self._layout, watched.name, whole)
        note_gone(self._layout, watched.name, gone)
        for name in gone:
            watched.retry_at.pop(name, None)
        if whole or watched.pending:
            self.last_change = time.monotonic()
        watched.known = {name: stamp for name, (_, stamp) in found.items()}
        watched.is_first = False
        watched.scanned_at = time.monotonic()
        watched.scan_s = watched.scanned_at - begun

    def _is_whole(self, watched: WatchedPipeline, name: str, path: str, stamp: Stamp, now: float) -> bool:
        """Still over two looks while nobody writes it; soon after it was closed or renamed into place.

        A closed file too is looked at twice: some programs open and close it for every piece.
        """
        is_written = is_being_written(Path(path))
        is_doubtful = is_written is None and path not in self._whole
        pending = watched.pending.get(name)
        if is_written or pending is None or pending.stamp != stamp:
            watched.pending[name] = _Pending(stamp, now, is_doubtful)
            return False
        return now - pending.since >= (_SLOW_SECOND_LOOK_S if is_doubtful else _SECOND_LOOK_S) * 0.9

    def _to_examine(self, watched: WatchedPipeline) -> list[str]:
        now = time.monotonic()
        return sorted(
            name
            for name, (_, state, is_gone) in stamps(self._layout, watched.name).items()
            if state == "new" and not is_gone and watched.retry_at.get(name, 0.0) <= now
        )
