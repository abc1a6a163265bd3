"""Making the DuckDB file again from the archive, and dropping what is older than it shall be kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from store.archive import read_archive
from store.database import create_aside, move_into_place, writing
from store.errors import StorageError
from store.journal import append_event
from store.layout import Layout

if TYPE_CHECKING:
    from store.settings import StoreSettings


@dataclass(frozen=True)
class Rebuilt:
    """What came out of the archive, and where the damaged file is kept."""

    predictions: int
    feedback: int
    kept: Path | None


def rebuild(layout: Layout, reason: str) -> Rebuilt:
    """Put the file aside and fill a new one from the archive; the spool follows with the next fold.

    To be called under the fold's lock. The new file takes the old one's place only when it is whole.
    """
    from store.fold import insert

    predictions = feedback = 0
    with create_aside(layout) as connection:
        for rows in read_archive(layout):
            connection.execute("BEGIN")
            insert(connection, rows)
            connection.execute("COMMIT")
            predictions += rows.n_predictions
            feedback += rows.n_feedback
    kept: Path | None = None
    if layout.predictions.exists():
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        kept = layout.predictions.with_name(f"predictions.damaged-{stamp}.duckdb")
        try:
            layout.predictions.replace(kept)
            wal = layout.predictions.with_name(layout.predictions.name + ".wal")
            if wal.exists():
                wal.replace(kept.with_name(kept.name + ".wal"))
        except OSError as error:
            raise StorageError(f"cannot put {layout.predictions} aside: {error.strerror}") from error
    move_into_place(layout)
    append_event(
        layout,
        "log_rebuilt",
        reason=reason,
        details={"predictions": predictions, "feedback": feedback, "kept": str(kept) if kept else None},
    )
    return Rebuilt(predictions, feedback, kept)


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
