"""Making the DuckDB file again from the archive, and dropping what is older than it shall be kept."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from store.archive import has_archive, read_archive
from store.database import alone_in_process, create_aside, move_into_place, wal_of, writing
from store.errors import StorageError
from store.journal import append_event
from store.layout import Layout
from store.salvage import Salvaged, salvage

if TYPE_CHECKING:
    from store.settings import StoreSettings


@dataclass(frozen=True)
class Rebuilt:
    """What came out of the archive and the old file, where that is kept, and what is lost."""

    predictions: int
    feedback: int
    kept: Path | None
    saved: int
    """Predictions that only the old file had."""
    losses: tuple[str, ...]
    """In words; empty where nothing is."""


def file_is_gone(layout: Layout) -> bool:
    """Whether there is no DuckDB file though rows were folded into one."""
    return not layout.predictions.exists() and has_archive(layout)


def rebuild(layout: Layout, reason: str) -> Rebuilt:
    """Fill a new file from the archive and what can be read of the old one, and put that aside.

    To be called under the fold's lock; the spool follows with the next fold. The new file takes the old one's
    place only when it is whole, and wherever this is cut off, the next fold begins it again.
    """
    from store.fold import insert

    predictions = feedback = 0
    unreadable: list[Path] = []
    saved: Salvaged | None = None
    with create_aside(layout) as connection:
        for rows in read_archive(layout, unreadable):
            connection.execute("BEGIN")
            insert(connection, rows)
            connection.execute("COMMIT")
            predictions += rows.n_predictions
            feedback += rows.n_feedback
        if layout.predictions.exists():
            with alone_in_process(timeout_s=10.0):
                saved = salvage(connection, layout.predictions, layout, insert)
        ((oldest,),) = connection.execute("SELECT min(predicted_at) FROM predictions").fetchall()
    kept = _keep(layout)
    move_into_place(layout, replace=True)
    losses = _losses(unreadable, kept, saved, oldest)
    details = {
        "predictions": predictions,
        "feedback": feedback,
        "saved": saved.predictions if saved else 0,
        "kept": str(kept) if kept else None,
        "lost": list(losses),
    }
    append_event(layout, "log_rebuilt", reason="; ".join([reason, *losses]), details=details)
    return Rebuilt(predictions, feedback, kept, saved.predictions if saved else 0, losses)


def _losses(
    unreadable: list[Path], kept: Path | None, saved: Salvaged | None, oldest: datetime | None
) -> tuple[str, ...]:
    losses = [f"{path} of the archive can't be read" for path in unreadable]
    if saved is None:
        since = f"before {oldest:%Y-%m-%d %H:%M} UTC" if oldest else "at all"
        of_old = "nothing in the old file can be read" if kept else "the old file is gone"
        losses.append(f"{of_old}: what was logged {since} is lost unless a backup has it")
    elif saved.unreadable:
        losses.append(
            f"{saved.unreadable:,} rows of the old file can't be read; those in the archive are here"
        )
    return tuple(losses)


def _keep(layout: Layout) -> Path | None:
    """Give the old file a second name, so that at no moment there is none under the first."""
    old = layout.predictions
    if not old.exists():
        return None
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
    kept = old.with_name(f"predictions.damaged-{stamp}.duckdb")
    try:
        try:
            os.link(old, kept)
        except PermissionError:  # a file system without links
            old.replace(kept)
        # Rows that are in the log alone are in the spool still: a fold closes the file before segments go.
        if wal_of(old).exists():
            wal_of(old).replace(wal_of(kept))
    except OSError as error:
        raise StorageError(
            f"cannot put {old} aside: {error.strerror}", "Make its folder writable."
        ) from error
    return kept


def drop_old(layout: Layout, settings: StoreSettings) -> int:
    """Delete rows older than `retention_days`; their counts by five minutes stay. Returns how many."""
    if not settings.retention_days or not layout.predictions.exists():
        return 0
    before = (datetime.now(UTC) - timedelta(days=settings.retention_days)).replace(tzinfo=None)
    with writing(layout) as connection:
        connection.execute("BEGIN")
        (found,) = connection.execute("DELETE FROM predictions WHERE predicted_at < ?", [before]).fetchall()
        if found[0]:
            connection.execute(
                "DELETE FROM feedback WHERE prediction_id NOT IN (SELECT prediction_id FROM predictions)"
            )
        connection.execute("DELETE FROM feedback_aside WHERE received_at < ?", [before])
        connection.execute("COMMIT")
    return int(found[0])
