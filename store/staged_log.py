"""A prediction log whose rows nobody sees before they are published: all of them, or none.

Its segments lie in a folder within the spool, where the fold doesn't look; to publish one is to rename it.
"""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from pathlib import Path

from store.errors import StorageError
from store.layout import Layout
from store.log import PredictionLog
from store.segments import list_segments
from store.settings import StoreSettings

_LEFT_BEHIND_S = 86_400.0


class StagedLog:
    """Begins empty: what an earlier one of the same `name` left unpublished is dropped.

    Whoever stages under a name is alone with it.
    """

    def __init__(self, layout: Layout, settings: StoreSettings, name: str, writer: str = "batch") -> None:
        self._spool = layout.spool
        self._folder = layout.spool / "staged" / name
        # A layout whose state is this folder has its spool in it.
        self.log = PredictionLog(Layout(layout.root, self._folder), settings, writer)
        self.drop()

    def moves(self) -> list[tuple[Path, Path]]:
        """End what was appended so far; the renames that publish it."""
        self.log.close()
        segments = list_segments(Layout(self._folder, self._folder).spool)
        return [(segment, self._spool / segment.name) for segment in segments]

    def publish(self) -> None:
        """Let everybody see what was appended so far. Raises StorageError."""
        move_all(self.moves())

    def drop(self) -> None:
        """Forget what was appended and not published."""
        self.log.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    close = drop


def move_all(moves: list[tuple[Path, Path]]) -> None:
    """Rename files; those that are where they belong already stay. Raises StorageError."""
    for source, target in moves:
        try:
            source.replace(target)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise StorageError(
                f"cannot write {target}: {error.strerror}", "Free the disk or mend its permissions."
            ) from error


def drop_left_behind(layout: Layout, prefix: str) -> None:
    """Drop what commands that were killed more than a day ago have staged under names with this prefix."""
    for folder in (layout.spool / "staged").glob(f"{prefix}*"):
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime > _LEFT_BEHIND_S:
                shutil.rmtree(folder, ignore_errors=True)
