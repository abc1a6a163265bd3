"""The fold: moves what processes appended to the spool into DuckDB, exactly once.

One transaction inserts rows and records up to which byte each segment was taken; only then is a complete
segment deleted. So wherever it is killed, the next fold continues where the recorded one ended.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from store.archive import ArchivedRows, archive_segment, keep_archive
from store.batches import Batch
from store.bucket_tables import (
    add_histograms,
    add_performance,
    add_volumes,
    matched_label,
    stored_bins,
    stored_features,
    without_recounts,
)
from store.database import DamagedError, HeldError, reading, writing
from store.errors import BusyError, StorageError
from store.files import write_atomically
from store.histograms import Tally, tally
from store.layout import Layout
from store.locks import locked
from store.rebuild import Rebuilt, drop_old, file_is_gone, rebuild
from store.recounting import needs_recount, recount_some
from store.segments import list_segments, lock_if_complete, read_chunks
from store.settings import StoreSettings
from store.sql_words import quoted
from store.views import LABELS, model_view, view_names

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection

MAX_BATCH_ROWS = 122_880
"""Rows in one transaction, about: one row group of DuckDB, which less would have it write again and again."""
_CHUNK_BYTES = 1 << 20
# What was predicted for each id of another table; an application may have logged one twice.
_LABELS_OF = (
    "SELECT prediction_id, any_value(label) AS label FROM {} SEMI JOIN {} USING (prediction_id)"
    " GROUP BY prediction_id"
)


@dataclass(frozen=True)
class FoldReport:
    """What a fold did; `skipped` says why it left rows in the spool: who folds, or who holds the file."""

    segments: int = 0
    predictions: int = 0
    feedback: int = 0
    torn: list[str] = field(default_factory=list)
    skipped: str | None = None
    pending: bool = False
    """Histograms are still to be counted again, by the next folds."""


def fold(layout: Layout, settings: StoreSettings | None = None) -> FoldReport:
    """Move all complete lines of the spool into the DuckDB file, and delete the segments that ended.

    Does nothing where another process folds or holds the file; raises StorageError where the file is damaged
    or the disk full, and then everything is still in the spool. Costs almost nothing when there is no news.
    """
    is_gone = file_is_gone(layout)
    if not is_gone and not _has_news(list_segments(layout.spool)) and not needs_recount(layout):
        return FoldReport()
    try:
        with locked(layout.run / "fold.lock", what="folding the prediction log", timeout_s=0):
            settings = settings or StoreSettings()
            if is_gone and file_is_gone(layout):
                rebuild(layout, "there was none, but an archive")
            try:
                report = _Fold(layout, settings).run()
            except DamagedError as error:
                if not settings.archive_days:
                    raise
                rebuild(layout, error.message)
                report = _Fold(layout, settings).run()
            if report.predictions < MAX_BATCH_ROWS:  # with more to catch up, the next time will do
                _keep_house(layout, settings)
            return report
    except BusyError as error:
        return FoldReport(skipped=error.message)


def rebuild_now(layout: Layout) -> Rebuilt:
    """Make the DuckDB file again from the archive, whatever it is like. Raises HeldError while it is held."""
    with locked(layout.run / "fold.lock", what="making the prediction log again"):
        with suppress(StorageError), reading(layout, own=True) as (_, held):
            if held:
                raise HeldError(held, "Close it there.")
        return rebuild(layout, "asked for")


HOUSEKEEPING_SECONDS = 3_600.0
_housekept: dict[Path, float] = {}


def _keep_house(layout: Layout, settings: StoreSettings) -> None:
    """Once an hour, and when a process begins to fold: pack the archive and drop what is too old."""
    if time.monotonic() - _housekept.get(layout.state, float("-inf")) < HOUSEKEEPING_SECONDS:
        return
    _housekept[layout.state] = time.monotonic()
    kept_days = min(settings.archive_days, settings.retention_days or settings.archive_days)
    keep_archive(layout, kept_days)
    drop_old(layout, settings)


# Sizes of segments that are in DuckDB as far as they go: what spares an idle process opening it.
_folded_sizes: dict[Path, int] = {}


def _has_news(segments: list[Path]) -> bool:
    for segment in segments:
        try:
            if segment.stat().st_size != _folded_sizes.get(segment):
                return True
        except FileNotFoundError:
            continue
        descriptor = lock_if_complete(segment)
        if descriptor is not None:
            os.close(descriptor)
            return True
    return False


@dataclass
class _Plan:
    """What one transaction takes: rows, how far it reads each segment, and which segments end with it."""

    batch: Batch = field(default_factory=Batch)
    taken_to: dict[str, int] = field(default_factory=dict)
    read_to: dict[Path, int] = field(default_factory=dict)
    ended: list[Path] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)

    @property
    def is_full(self) -> bool:
        return self.batch.n_predictions + self.batch.n_feedback >= MAX_BATCH_ROWS


class _Fold:
    """One run of the fold, under its lock."""

    def __init__(self, layout: Layout, settings: StoreSettings) -> None:
        self._layout = layout
        self._archives = settings.archive_days > 0
        self._taken_to: dict[str, int] = {}
        self._torn: list[str] = []
        self._predictions = self._feedback = self._segments = 0

    def run(self) -> FoldReport:
        skipped = None
        try:
            self._taken_to = self._recorded()
            while self._step():
                pass
            pending = recount_some(self._layout)
        except HeldError as error:
            skipped, pending = error.message, False
        return FoldReport(self._segments, self._predictions, self._feedback, self._torn, skipped, pending)

    def _recorded(self) -> dict[str, int]:
        with reading(self._layout) as (connection, held):
            if held:
                raise HeldError(held)
            if held == "":
                return {}
            return dict(connection.execute("SELECT name, taken_to FROM log.segments").fetchall())

    def _step(self) -> bool:
        """One transaction; False when there was nothing left to do."""
        with ExitStack() as locks:
            plan = self._plan(locks)
            if plan.taken_to:
                with writing(self._layout) as connection:
                    _commit(connection, plan, {path.name for path in list_segments(self._layout.spool)})
            # Only once it is in the file: after a failure the same rows are news again.
            _folded_sizes.update(plan.read_to)
            if not plan.taken_to and not plan.ended:
                return False
            self._taken_to.update(plan.taken_to)
            for segment in plan.ended:
                if self._archives:
                    archive_segment(self._layout, segment)
                else:
                    segment.unlink(missing_ok=True)
                _folded_sizes.pop(segment, None)
        self._predictions += plan.batch.n_predictions
        self._feedback += plan.batch.n_feedback
        self._segments += len(plan.ended)
        self._torn += plan.torn
        return plan.is_full

    def _plan(self, locks: ExitStack) -> _Plan:
        plan = _Plan()
        for segment in list_segments(self._layout.spool):
            if plan.is_full:
                break
            # First the lock, then the reading: nothing is appended to a locked segment any more.
            descriptor = lock_if_complete(segment)
            if descriptor is not None:
                locks.callback(os.close, descriptor)
            self._read(segment, plan, is_complete=descriptor is not None)
        return plan

    def _read(self, segment: Path, plan: _Plan, *, is_complete: bool) -> None:
        start = end = self._taken_to.get(segment.name, 0)
        damaged: list[bytes] = []
        for chunk in read_chunks(segment, start, chunk_bytes=_CHUNK_BYTES, whole=is_complete):
            damaged += chunk.damaged
            damaged += plan.batch.add_all(chunk.payloads)
            end = chunk.end
            if plan.is_full:
                break
        if damaged:
            plan.torn.append(self._keep(segment, start, damaged))
        if end > start:
            plan.taken_to[segment.name] = end
        try:
            size = segment.stat().st_size
        except FileNotFoundError:
            return
        if is_complete and end >= size:
            plan.ended.append(segment)
        plan.read_to[segment] = end

    def _keep(self, segment: Path, start: int, damaged: list[bytes]) -> str:
        """Put damaged lines aside before their segment goes."""
        folder = self._layout.spool / "torn"
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise StorageError(f"cannot make {folder}: {error.strerror}", "Free the disk.") from error
        path = folder / f"{segment.stem}.{start}"
        write_atomically(path, b"\n".join(damaged) + b"\n")
        lines = "1 damaged line" if len(damaged) == 1 else f"{len(damaged)} damaged lines"
        return f"{lines} in {segment.name}, kept in {path}"


def _commit(connection: DuckDBPyConnection, plan: _Plan, existing: set[str]) -> None:
    connection.execute("BEGIN")
    insert(connection, plan.batch)
    recorded = dict(connection.execute("SELECT name, taken_to FROM segments").fetchall())
    recorded = {name: end for name, end in recorded.items() if name in existing} | plan.taken_to
    connection.execute("DELETE FROM segments")
    connection.executemany("INSERT INTO segments VALUES (?, ?)", [*recorded.items()])
    connection.execute("COMMIT")


def insert(connection: DuckDBPyConnection, batch: Batch | ArchivedRows) -> None:
    """Add rows to all tables that they concern, within the caller's transaction."""
    _add_schemas(connection, batch)
    if batch.n_predictions:
        rows = batch.predictions()
        connection.register("new_predictions", rows)
        connection.execute("INSERT INTO predictions BY NAME SELECT * FROM new_predictions")
        add_volumes(connection, "new_predictions")
        add_histograms(connection, _tallies(connection, rows))
        _adopt_feedback(connection)
    if batch.n_feedback:
        connection.register("new_feedback", batch.feedback())
        connection.execute(
            "CREATE OR REPLACE TEMP TABLE known AS"
            f" SELECT n.* REPLACE ({matched_label('n.label', 'p.label')} AS label)"
            f" FROM new_feedback n JOIN ({_LABELS_OF.format('predictions', 'new_feedback')}) p"
            " USING (prediction_id)"
        )
        add_performance(connection, "known")
        connection.execute("INSERT INTO feedback BY NAME FROM known")
        connection.execute(
            "INSERT INTO feedback_aside BY NAME FROM new_feedback ANTI JOIN known USING (prediction_id)"
        )


def _tallies(connection: DuckDBPyConnection, rows: pa.Table) -> Iterator[Tally]:
    bins = stored_bins(connection)
    if not bins:
        return iter(())
    recounts: dict[tuple[str, int], set[int]] = {}
    for model, version, hour in connection.execute(
        "SELECT model, version, epoch_us(hour) FROM recounts"
    ).fetchall():
        recounts.setdefault((model, version), set()).add(hour)
    return tally(without_recounts(rows, recounts), bins, stored_features(connection))


def _adopt_feedback(connection: DuckDBPyConnection) -> None:
    """Labels that came before their predictions join the others."""
    if not connection.execute("FROM feedback_aside LIMIT 1").fetchall():
        return
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE arrived_labels AS"
        f" SELECT a.* REPLACE ({matched_label('a.label', 'n.label')} AS label)"
        f" FROM feedback_aside a JOIN ({_LABELS_OF.format('new_predictions', 'feedback_aside')}) n"
        " USING (prediction_id)"
    )
    add_performance(connection, "arrived_labels")
    connection.execute("INSERT INTO feedback BY NAME FROM arrived_labels")
    connection.execute(
        "DELETE FROM feedback_aside WHERE prediction_id IN (SELECT prediction_id FROM arrived_labels)"
    )


def _add_schemas(connection: DuckDBPyConnection, batch: Batch | ArchivedRows) -> None:
    """Record new schemas and models, and bring the views up to date with them."""
    schemas = {row[0] for row in connection.execute("SELECT DISTINCT schema_id FROM schemas").fetchall()}
    rows = [row for row in batch.schema_rows() if row[0] not in schemas]
    if rows:
        connection.executemany("INSERT INTO schemas VALUES (?, ?, ?, ?, ?)", rows)
    models = {*connection.execute("SELECT model, version, schema_id FROM models").fetchall()}
    new = sorted(batch.models - models)
    if new:
        connection.executemany("INSERT INTO models VALUES (?, ?, ?)", new)
    changed = {row[0] for row in rows}
    pairs = {(model, schema_id) for model, _, schema_id in models}
    if changed or any((model, schema_id) not in pairs for model, _, schema_id in new):
        make_views(connection)


def make_views(connection: DuckDBPyConnection) -> None:
    """(Re)make `labels` and the view of every model, in the file itself, for any DuckDB client."""
    connection.execute(f"CREATE OR REPLACE VIEW labels AS {LABELS.format(feedback='feedback')}")
    schemas = stored_schemas(connection, "")
    for model, name in view_names(schemas).items():
        connection.execute(f"CREATE OR REPLACE VIEW {quoted(name)} AS {model_view(model, schemas[model])}")


def stored_schemas(
    connection: DuckDBPyConnection, prefix: str
) -> dict[str, dict[str, list[tuple[str, str, int]]]]:
    """Features (name, kind, slot) of each schema of each model, newest schema last."""
    found: dict[str, dict[str, list[tuple[str, str, int]]]] = {}
    for model, schema_id, name, kind, slot in connection.execute(
        "SELECT m.model, m.schema_id, s.name, s.kind, s.slot"
        f" FROM (SELECT model, schema_id, max(version) AS newest FROM {prefix}models GROUP BY ALL) m"
        f" LEFT JOIN {prefix}schemas s USING (schema_id) ORDER BY m.model, newest, m.schema_id, s.position"
    ).fetchall():
        features = found.setdefault(model, {}).setdefault(schema_id, [])
        if name is not None:
            features.append((name, kind, slot))
    return found
