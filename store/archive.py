"""The archive: what was folded, as compressed Parquet by day, from which a damaged DuckDB file is made again.

A segment that is folded moves into `archive/segments`. From time to time those become one Parquet file,
which names them; only then are they deleted. So wherever that is cut off, each segment counts once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from store.batches import Batch
from store.beside import flush
from store.errors import StorageError
from store.ids import new_prediction_ids
from store.layout import Layout
from store.segments import list_segments, read_chunks

if TYPE_CHECKING:
    import pyarrow as pa

PACK_BYTES = 64 << 20
"""Segments of so many bytes together become a Parquet file; fewer when their day is over."""
PREDICTIONS, FEEDBACK = "predictions", "feedback"
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, RuntimeError)
"""What damaged Parquet files raise: pyarrow's exceptions are among these."""


@dataclass(frozen=True)
class ArchivedRows:
    """A part of the archive, in the form the fold takes its batches."""

    models: set[tuple[str, int, str]]
    _schemas: list[tuple[str, int, str, str, int]]
    _predictions: pa.Table
    _feedback: pa.Table

    @property
    def n_predictions(self) -> int:
        return int(self._predictions.num_rows)

    @property
    def n_feedback(self) -> int:
        return int(self._feedback.num_rows)

    def predictions(self) -> pa.Table:
        return self._predictions

    def feedback(self) -> pa.Table:
        return self._feedback

    def schema_rows(self) -> list[tuple[str, int, str, str, int]]:
        return self._schemas


def archive_segment(layout: Layout, segment: Path) -> None:
    """Move a folded segment into the archive."""
    folder = layout.archive / "segments"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        segment.replace(folder / segment.name)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError(
            f"cannot move {segment} to {folder}: {error.strerror}", "Free the disk."
        ) from error


def keep_archive(layout: Layout, days: int, *, now: datetime | None = None) -> None:
    """Pack the archived segments where they are many or of an earlier day, and drop what is too old."""
    today = (now or datetime.now(UTC)).date()
    segments = list_segments(layout.archive / "segments")
    packed = _packed_names(layout, {_day_of(segment) for segment in segments})
    for segment in segments:
        if segment.name in packed:
            segment.unlink(missing_ok=True)
    segments = [segment for segment in segments if segment.name not in packed]
    of_day: dict[date, list[Path]] = {}
    for segment in segments:
        of_day.setdefault(_day_of(segment), []).append(segment)
    for day, some in of_day.items():
        part: list[Path] = []
        for segment in some:
            part.append(segment)
            if sum(path.stat().st_size for path in part) >= PACK_BYTES:
                _pack(layout, day, part)
                part = []
        if part and day < today:
            _pack(layout, day, part)
    for folder in day_folders(layout):
        if date.fromisoformat(folder.name) < today - timedelta(days=days):
            # Predictions first: without their labels they would be taken for damaged.
            for path in sorted(folder.iterdir(), reverse=True):
                path.unlink()
            folder.rmdir()


def has_archive(layout: Layout) -> bool:
    """Whether anything that was folded is kept."""
    return bool(list_segments(layout.archive / "segments")) or any(
        any(folder.glob(f"*.{PREDICTIONS}.parquet")) for folder in day_folders(layout)
    )


def read_archive(layout: Layout, unreadable: list[Path] | None = None) -> Iterator[ArchivedRows | Batch]:
    """Everything in the archive, a part at a time, oldest first; damaged files are left out, and named."""

    packed: set[str] = set()
    for folder in day_folders(layout):
        for path in sorted(folder.glob(f"*.{PREDICTIONS}.parquet")):
            try:
                yield from _read_packed(path, packed)
            except _UNREADABLE:
                if unreadable is not None:
                    unreadable.append(path)
    for segment in list_segments(layout.archive / "segments"):
        if segment.name not in packed:
            yield _batch([segment])


def _read_packed(path: Path, packed: set[str]) -> Iterator[ArchivedRows]:
    """The rows of one Parquet file; the segments it was made from are added to `packed`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        said = _said(file)
        packed.update(said["segments"])
        schemas = [tuple(row) for row in said["schemas"]]
        models = {tuple(row) for row in said["models"]}
        nothing = file.schema_arrow.empty_table()
        # Labels and features first: each group of rows is then complete when it is added.
        feedback = pq.read_table(path.with_name(path.name.replace(PREDICTIONS, FEEDBACK)))
        yield ArchivedRows(models, schemas, nothing, feedback)
        for group in file.iter_batches(batch_size=100_000):
            rows = pa.Table.from_batches([group])
            yield ArchivedRows(models, schemas, rows, feedback.slice(0, 0))


def day_folders(layout: Layout) -> list[Path]:
    """The folders of the archive, a day each."""
    found = []
    for path in layout.archive.glob("????-??-??"):
        with suppress(ValueError):
            date.fromisoformat(path.name)
            if path.is_dir():
                found.append(path)
    return sorted(found)


def _day_of(segment: Path) -> date:
    return datetime.fromtimestamp(segment.stat().st_mtime, UTC).date()


def _pack(layout: Layout, day: date, segments: Sequence[Path]) -> None:
    import pyarrow.parquet as pq

    folder = layout.archive / day.isoformat()
    name = new_prediction_ids(1)[0]
    feedback, predictions = (folder / f"{name}.{kind}.parquet" for kind in (FEEDBACK, PREDICTIONS))
    partial = predictions.with_name(predictions.name + ".new")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        batch = _batch(segments)
        said = {
            "segments": [segment.name for segment in segments],
            "schemas": batch.schema_rows(),
            "models": sorted(batch.models),
        }
        pq.write_table(batch.feedback(), feedback, compression="zstd")
        rows = batch.predictions().replace_schema_metadata({"workbench": json.dumps(said)})
        pq.write_table(rows, partial, compression="zstd")
        flush(feedback)
        flush(partial)
        partial.replace(predictions)
        flush(folder)
        for segment in segments:
            segment.unlink(missing_ok=True)
    except OSError as error:
        for path in (partial, feedback):
            path.unlink(missing_ok=True)
        raise StorageError(f"cannot write the archive {folder}: {error}", "Free the disk.") from error


def _batch(segments: Sequence[Path]) -> Batch:
    batch = Batch()
    for segment in segments:
        for chunk in read_chunks(segment, whole=True):
            batch.add_all(chunk.payloads)
    return batch


def _packed_names(layout: Layout, days: set[date]) -> set[str]:
    """The segments that are in a Parquet file; each is packed in the folder of its own day."""
    import pyarrow.parquet as pq

    names: set[str] = set()
    for day in days:
        for path in (layout.archive / day.isoformat()).glob(f"*.{PREDICTIONS}.parquet"):
            with suppress(*_UNREADABLE), pq.ParquetFile(path) as file:
                names.update(_said(file)["segments"])
    return names


def _said(file: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.schema_arrow.metadata[b"workbench"])
    return found
