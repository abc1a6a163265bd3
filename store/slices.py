"""Rows of the prediction log counted as asked: the newest so many, or those of one segment.

Windows by time come from the counts by five minutes (store.series), which is far cheaper; this is for what
those don't know: windows that end after a number of rows, and segments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from store.bucket_tables import stored_features
from store.counts import Counts
from store.database import ATTACHED, arrow_batches, reading
from store.histograms import N_EXTRA, SeriesKind, Tally, bins_of, tally
from store.layout import Layout
from store.predictions import PredictionReader
from store.profile import Profile

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MAX_ROWS = 100_000
"""Rows of a slice at most, the newest."""
_COLUMNS = (
    "model, version, schema_id, predicted_at, prediction, label, probability, probabilities, numeric,"
    " categorical, role"
)
CountsByName = dict[tuple[SeriesKind, str], Counts]


@dataclass(frozen=True)
class Key:
    """Whose predictions."""

    model: str
    version: int
    role: str = "champion"


@dataclass(frozen=True)
class Segment:
    """Predictions of rows whose `column` has this value."""

    column: str
    value: str

    def __str__(self) -> str:
        return f"{self.column}={self.value}"


@dataclass(frozen=True)
class Volume:
    """How many predictions were made in five minutes."""

    key: Key
    start: datetime
    predictions: int


@dataclass(frozen=True)
class Slice:
    """Some consecutive predictions, counted."""

    start: datetime
    end: datetime
    """Of the last row, which is within."""
    rows: int
    counts: CountsByName


class SliceReader:
    """Counts rows of one project's prediction log; rows still in the spool are included."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._reader = PredictionReader(layout)

    @property
    def note(self) -> str | None:
        """What was missing from the last answer, where the DuckDB file can't be read."""
        return self._reader.note

    def volumes(self, since: datetime) -> list[Volume]:
        """Predictions by version, role and five minutes, oldest first; what isn't folded yet is not in it."""
        import duckdb

        with reading(self._layout) as (connection, missing):
            if missing is not None:
                return []
            try:
                rows = connection.execute(
                    "SELECT model, version, role, epoch_us(bucket), sum(predictions)::BIGINT"
                    f" FROM {ATTACHED}.volumes"
                    " WHERE bucket >= ? GROUP BY ALL ORDER BY 4",
                    [since.astimezone(UTC).replace(tzinfo=None)],
                ).fetchall()
            except duckdb.CatalogException:
                return []  # tables of an older version, that the next fold brings up to date
        return [
            Volume(Key(model, version, role), datetime.fromtimestamp(bucket / 1e6, UTC), predictions)
            for model, version, role, bucket, predictions in rows
        ]

    def moments(self, key: Key, since: datetime) -> list[tuple[datetime, int]]:
        """Times after `since` at which predictions were made, and how many at each, oldest first."""
        with self._reader.opened() as connection:
            rows = connection.execute(
                "SELECT epoch_us(predicted_at), count(*) FROM predictions WHERE model = ? AND version = ?"
                " AND role = ? AND predicted_at > ? GROUP BY 1 ORDER BY 1",
                [key.model, key.version, key.role, since.astimezone(UTC).replace(tzinfo=None)],
            ).fetchall()
        return [(datetime.fromtimestamp(at / 1e6, UTC), n) for at, n in rows]

    def newest(self, key: Key, profile: Profile, rows: int) -> Slice | None:
        """The newest `rows` predictions; None where there is none."""
        return self._slice(key, profile, "", [], min(rows, MAX_ROWS))

    def between(
        self, key: Key, profile: Profile, start: datetime, end: datetime, segment: Segment | None = None
    ) -> Slice | None:
        """Predictions from `start` up to and including `end`, of a segment where one is given."""
        condition = " AND predicted_at >= ? AND predicted_at <= ?"
        values = [moment.astimezone(UTC).replace(tzinfo=None) for moment in (start, end)]
        return self._slice(key, profile, condition, values, MAX_ROWS, segment)

    def segment_values(
        self, key: Key, column: str, start: datetime, end: datetime, limit: int = 20
    ) -> list[str]:
        """The most frequent values of a column among the predictions of that time."""
        with self._reader.opened() as connection:
            expression = _column(connection, key, column)
            if expression is None:
                return []
            rows = connection.execute(
                f"SELECT {expression} AS value, count(*) FROM predictions WHERE model = ? AND version = ?"
                " AND role = ? AND predicted_at >= ? AND predicted_at <= ? AND value IS NOT NULL"
                " GROUP BY value ORDER BY 2 DESC, 1 LIMIT ?",
                [
                    key.model,
                    key.version,
                    key.role,
                    *(moment.astimezone(UTC).replace(tzinfo=None) for moment in (start, end)),
                    limit,
                ],
            ).fetchall()
        return [value for value, _ in rows]

    def _slice(
        self,
        key: Key,
        profile: Profile,
        condition: str,
        values: Sequence[Any],
        limit: int,
        segment: Segment | None = None,
    ) -> Slice | None:
        with self._reader.opened() as connection:
            parameters = [key.model, key.version, key.role, *values]
            if segment is not None:
                expression = _column(connection, key, segment.column)
                if expression is None:
                    return None
                condition += f" AND {expression} = ?"
                parameters.append(segment.value)
            cut = _cut(connection, condition.removeprefix(" AND ") or "true", parameters, limit)
            if cut is not None:
                condition, parameters = f"{condition} AND predicted_at >= ?", [*parameters, cut]
            rows = arrow_batches(
                connection,
                f"SELECT {_COLUMNS} FROM predictions WHERE model = ? AND version = ? AND role = ?{condition}"
                " ORDER BY predicted_at DESC LIMIT ?",
                [*parameters, limit],
            ).read_all()
            schemas = stored_features(connection)
        if rows.num_rows == 0:
            return None
        import pyarrow.compute as pc

        bounds = pc.min_max(rows["predicted_at"]).as_py()
        counts: CountsByName = {}
        for one in tally(rows, {(key.model, key.version): bins_of(profile)}, schemas):
            place = (one.bins.kind, one.bins.feature)
            found = counts_of(one)
            counts[place] = counts[place] + found if place in counts else found
        start, end = (bounds[name].replace(tzinfo=UTC) for name in ("min", "max"))
        return Slice(start, end, rows.num_rows, counts)


def counts_of(one: Tally) -> Counts:
    """All buckets of a tally together."""
    row = one.counts.sum(axis=0).tolist()
    width, is_number = one.bins.width, one.bins.categories is None
    null, nan, positive, negative, unseen = row[width : width + N_EXTRA]
    total, squares = float(one.totals.sum()), float(one.squares.sum())
    return Counts(
        bins=tuple(row[:width]),
        null=null,
        nan=nan,
        positive_infinite=positive,
        negative_infinite=negative,
        unseen=unseen,
        center=one.bins.center,
        total=total if is_number and total == total else None,
        total_squares=squares if is_number and squares == squares else None,
    )


def just_before(moment: datetime) -> datetime:
    """The last moment before another."""
    return moment - timedelta(microseconds=1)


def start_of_newest(
    connection: DuckDBPyConnection, key: Key, start: datetime, end: datetime, rows: int
) -> datetime:
    """A moment from `start` on after which there are about so many predictions, at least, up to `end`.

    Found by the counts of five minutes, which is far cheaper than to order rows by time; where very many came
    within five minutes, by their times.
    """
    import duckdb

    whose = [key.model, key.version, key.role]
    first, last = (moment.astimezone(UTC).replace(tzinfo=None) for moment in (start, end))
    try:
        buckets = connection.execute(
            f"SELECT bucket, sum(predictions)::BIGINT FROM {ATTACHED}.volumes WHERE model = ? AND version = ?"
            " AND role = ? AND bucket > ? AND bucket <= ? GROUP BY bucket ORDER BY bucket DESC",
            [*whose, first, last],
        ).fetchall()
    except duckdb.CatalogException:
        return start  # nothing is folded yet
    n = 0
    for bucket, predictions in buckets:
        n += predictions
        if n >= rows:
            first = bucket
            break
    if n >= 2 * rows:
        within = "predicted_at >= ? AND predicted_at <= ?"
        first = _cut(connection, within, [*whose, first, last], rows) or first
    return first.replace(tzinfo=UTC)


def _cut(connection: DuckDBPyConnection, condition: str, values: Sequence[Any], rows: int) -> datetime | None:
    """The time of the last but so many of these rows; None where there are fewer.

    Found by times alone: to order whole rows takes a hundred times as long.
    """
    found = connection.execute(
        "SELECT predicted_at FROM predictions WHERE model = ? AND version = ? AND role = ?"
        f" AND {condition} ORDER BY predicted_at DESC LIMIT 1 OFFSET {rows - 1}",
        [*values],
    ).fetchall()
    return found[0][0] if found else None


def _column(connection: DuckDBPyConnection, key: Key, name: str) -> str | None:
    """The SQL of a feature's value as text, whichever schema a row has; None where none has it."""
    return expression_of(places_of(connection, key).get(name, []), is_text=True)


def places_of(connection: DuckDBPyConnection, key: Key) -> dict[str, list[tuple[str, str, int]]]:
    """Where each feature of a version is kept: schema, list and slot."""
    found: dict[str, list[tuple[str, str, int]]] = {}
    for name, schema, kind, slot in connection.execute(
        "SELECT s.name, s.schema_id, s.kind, s.slot FROM schemas s JOIN models m USING (schema_id)"
        " WHERE m.model = ? AND m.version = ?",
        [key.model, key.version],
    ).fetchall():
        found.setdefault(name, []).append((schema, kind, slot))
    return found


def expression_of(places: Sequence[tuple[str, str, int]], *, is_text: bool) -> str | None:
    """The SQL of a feature's value, whichever schema a row has; None where none has it so."""
    wanted = [(schema, kind, slot) for schema, kind, slot in places if is_text or kind == "numeric"]
    if not wanted:
        return None

    def value(kind: str, slot: int) -> str:
        text = f"{kind}[{slot}]"
        return f"{text}::VARCHAR" if is_text and kind == "numeric" else text

    if len({(kind, slot) for _, kind, slot in wanted}) == 1:
        return value(*wanted[0][1:])
    cases = " ".join(f"WHEN '{schema}' THEN {value(kind, slot)}" for schema, kind, slot in wanted)
    return f"CASE schema_id {cases} END"
