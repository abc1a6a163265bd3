"""Charts and drift from the counts by five minutes: a series of one feature or of all, without the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from store.bucket_tables import stored_bins
from store.counts import Counts
from store.database import ATTACHED, arrow_batches, explained, reading
from store.histograms import BUCKET_US, N_EXTRA, Bins, SeriesKind, tally
from store.layout import Layout
from store.records import microseconds

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from numpy.typing import NDArray

_COUNTERS = ("nulls", "nans", "positive_infinite", "negative_infinite", "unseen")


@dataclass(frozen=True)
class Series:
    """Counts of a feature, the prediction or the score, in consecutive stretches of time of one length."""

    bins: Bins
    starts: tuple[datetime, ...]
    counts: tuple[Counts, ...]
    """One of each stretch, empty ones too."""

    @property
    def total(self) -> Counts:
        """Counts of all stretches together."""
        whole = self.counts[0]
        for counts in self.counts[1:]:
            whole += counts
        return whole


@dataclass(frozen=True)
class PerformancePoint:
    """What is known of the predictions of one stretch of time."""

    start: datetime
    predictions: int
    labelled: int
    confusion: dict[tuple[str, str], int]
    """How often (predicted, actual), of classes."""
    error: float
    absolute_error: float
    squared_error: float
    actual_total: float
    actual_squares: float
    """Sums over the labelled regressions."""

    @property
    def coverage(self) -> float:
        """Share of the predictions that have a label."""
        return self.labelled / self.predictions if self.predictions else 0.0


class SeriesReader:
    """Reads the counts of one project's prediction log, from any thread; rows not folded yet are included.

    Where somebody else keeps the DuckDB file open, `note` names the holder and a question answered before
    is answered with what was found then.
    """

    def __init__(self, layout: Layout, *, timeout_s: float = 2.0) -> None:
        self._layout = layout
        self._timeout_s = timeout_s
        self._answers: dict[Any, Any] = {}
        self.note: str | None = None

    def series(
        self,
        model: str,
        version: int,
        *,
        start: datetime,
        end: datetime,
        points: int = 60,
        features: Sequence[str] | None = None,
        kinds: Sequence[SeriesKind] = ("feature",),
        role: str | None = None,
    ) -> dict[tuple[SeriesKind, str], Series]:
        """Series by kind and name: of these features (all unless given), from `start` to before `end`.

        A stretch is a whole number of five minutes, so that there are `points` of them or a few less.
        Empty where the version has no reference.
        """
        question = (model, version, start, end, points, features and (*features,), (*kinds,), role)
        with reading(self._layout, timeout_s=self._timeout_s) as (connection, missing):
            self.note = missing or None
            if missing is not None:
                remembered: dict[tuple[SeriesKind, str], Series] = self._answers.get(question, {})
                return remembered
            import duckdb

            try:
                found = self._series(
                    connection, model, version, Grid.of(start, end, points), features, kinds, role
                )
            except duckdb.CatalogException:
                return {}  # tables of an older version, that the next fold brings up to date
            except duckdb.Error as error:
                raise explained(error, self._layout.predictions) from error
        if len(self._answers) > 100:
            self._answers.clear()
        self._answers[question] = found
        return found

    def _series(
        self,
        connection: DuckDBPyConnection,
        model: str,
        version: int,
        grid: Grid,
        features: Sequence[str] | None,
        kinds: Sequence[SeriesKind],
        role: str | None,
    ) -> dict[tuple[SeriesKind, str], Series]:
        # A value for each mark rather than a list to unnest: DuckDB passes over what lies outside of them.
        conditions = ["model = ?", "version = ?", f"kind IN ({_marks(kinds)})"]
        values: list[Any] = [model, version, *kinds]
        if features is not None:
            conditions.append(f"feature IN ({_marks(features)})")
            values += features
        bins = stored_bins(connection, f"{ATTACHED}.", " AND ".join(conditions), values).get(
            (model, version), []
        )
        if not bins:
            return {}
        sums = {(one.kind, one.feature): _Sums(one, grid.points) for one in bins}
        conditions += ["bucket >= make_timestamp(?)", "bucket < make_timestamp(?)"]
        values += [grid.start_us, grid.end_us]
        if role is not None:
            conditions.append("role = ?")
            values.append(role)
        rows = arrow_batches(
            connection,
            "SELECT kind, feature, epoch_us(bucket) AS bucket, bins, total, squares,"
            f" {', '.join(_COUNTERS)} FROM {ATTACHED}.histograms WHERE {' AND '.join(conditions)}",
            values,
        ).read_all()
        _add_stored(rows, sums, grid)
        self._add_spooled(connection, model, version, bins, sums, grid, role)
        starts = grid.starts
        return {key: Series(one.bins, starts, one.counts()) for key, one in sums.items()}

    def _add_spooled(
        self,
        connection: DuckDBPyConnection,
        model: str,
        version: int,
        bins: Sequence[Bins],
        sums: dict[tuple[SeriesKind, str], _Sums],
        grid: Grid,
        role: str | None,
    ) -> None:
        from store.bucket_tables import stored_features
        from store.predictions import read_spool

        taken_to = dict(connection.execute(f"SELECT name, taken_to FROM {ATTACHED}.segments").fetchall())
        batch, _ = read_spool(self._layout.spool, taken_to)
        if not batch.n_predictions:
            return
        schemas = stored_features(connection, f"{ATTACHED}.")
        for schema_id, _, name, kind, slot in batch.schema_rows():
            features = schemas.setdefault(schema_id, [])
            if (name, kind, slot) not in features:
                features.append((name, kind, slot))
        for one in tally(batch.predictions(), {(model, version): bins}, schemas):
            if role is None or one.role == role:
                places = grid.places(one.buckets)
                inside = (places >= 0) & (places < grid.points)
                sums[one.bins.kind, one.bins.feature].add(
                    places[inside], one.counts[inside], one.totals[inside], one.squares[inside]
                )

    def performance(
        self,
        model: str,
        version: int,
        *,
        start: datetime,
        end: datetime,
        points: int = 60,
        role: str | None = None,
    ) -> list[PerformancePoint]:
        """Labelled predictions by the time of the prediction; labels still in the spool are not in it."""
        grid = Grid.of(start, end, points)
        condition = "model = ? AND version = ? AND bucket >= make_timestamp(?) AND bucket < make_timestamp(?)"
        values: list[Any] = [model, version, grid.start_us, grid.end_us]
        if role is not None:
            condition += " AND role = ?"
            values.append(role)
        place = f"((epoch_us(bucket) - {grid.start_us}) // {grid.step_us})::INTEGER AS place"
        with reading(self._layout, timeout_s=self._timeout_s) as (connection, missing):
            self.note = missing or None
            question = ("performance", model, version, start, end, points, role)
            if missing is not None:
                remembered: list[PerformancePoint] = self._answers.get(question, [])
                return remembered
            import duckdb

            try:
                volumes = dict(
                    connection.execute(
                        f"SELECT {place}, sum(predictions)::BIGINT FROM {ATTACHED}.volumes"
                        f" WHERE {condition} GROUP BY place",
                        values,
                    ).fetchall()
                )
                rows = connection.execute(
                    f"SELECT {place}, predicted, actual, sum(labelled)::BIGINT, sum(error),"
                    " sum(absolute_error), sum(squared_error), sum(actual_total), sum(actual_squares)"
                    f" FROM {ATTACHED}.performance WHERE {condition} GROUP BY ALL",
                    values,
                ).fetchall()
            except duckdb.CatalogException:
                return []
        confusion: dict[int, dict[tuple[str, str], int]] = {}
        sums: dict[int, list[float]] = {}
        labelled: dict[int, int] = {}
        for at, predicted, actual, n, *five in rows:
            labelled[at] = labelled.get(at, 0) + n
            sums[at] = [a + b for a, b in zip(sums.get(at, [0.0] * 5), five, strict=True)]
            if predicted is not None:
                confusion.setdefault(at, {})[predicted, actual] = n
        found = [
            PerformancePoint(
                at,
                volumes.get(place, 0),
                labelled.get(place, 0),
                confusion.get(place, {}),
                *sums.get(place, [0.0] * 5),
            )
            for place, at in enumerate(grid.starts)
        ]
        self._answers[question] = found
        return found


@dataclass(frozen=True)
class Grid:
    """Stretches of time of one length, a whole number of buckets."""

    start_us: int
    step_us: int
    points: int

    @classmethod
    def of(cls, start: datetime, end: datetime, points: int) -> Grid:
        first = microseconds(start) // BUCKET_US
        buckets = max(1, -(-microseconds(end) // BUCKET_US) - first)
        step = -(-buckets // max(1, points))
        return cls(first * BUCKET_US, step * BUCKET_US, -(-buckets // step))

    @property
    def end_us(self) -> int:
        return self.start_us + self.step_us * self.points

    @property
    def starts(self) -> tuple[datetime, ...]:
        first = datetime.fromtimestamp(self.start_us / 1e6, UTC)
        return tuple(first + timedelta(microseconds=self.step_us * place) for place in range(self.points))

    def places(self, buckets: NDArray[Any]) -> NDArray[Any]:
        """Which stretch each bucket lies in; outside of 0 to points where in none."""
        return (buckets - self.start_us) // self.step_us


class _Sums:
    """What is added up of one series."""

    def __init__(self, bins: Bins, points: int) -> None:
        import numpy as np

        self.bins = bins
        self._counts = np.zeros((points, bins.width + N_EXTRA), dtype=np.int64)
        self._sums = np.zeros((points, 2))

    def add(
        self, places: NDArray[Any], counts: NDArray[Any], totals: NDArray[Any], squares: NDArray[Any]
    ) -> None:
        """Counts (n, width + N_EXTRA) and sums (n,) of five minutes each, at these places."""
        width = self.bins.width
        self.add_parts(places, counts[:, :width], counts[:, width:], totals, squares)

    def add_parts(
        self,
        places: NDArray[Any],
        bins: NDArray[Any],
        extra: NDArray[Any],
        totals: NDArray[Any],
        squares: NDArray[Any],
    ) -> None:
        """The same where the counters after the bins are by themselves."""
        import numpy as np

        if len(places) == 0:
            return
        n, width = len(self._sums), self.bins.width
        is_ordered = bool(np.all(places[1:] >= places[:-1]))
        starts = np.flatnonzero(np.diff(places, prepend=-1))
        for sums, some in ((self._counts[:, :width], bins), (self._counts[:, width:], extra)):
            if n == 1:
                sums += some.sum(axis=0)
            elif is_ordered:
                sums[places[starts]] += np.add.reduceat(some, starts, axis=0)
            else:
                np.add.at(sums, places, some)
        self._sums[:, 0] += np.bincount(places, totals, minlength=n)
        self._sums[:, 1] += np.bincount(places, squares, minlength=n)

    def counts(self) -> tuple[Counts, ...]:
        width, is_number = self.bins.width, self.bins.categories is None
        found = []
        for row, (total, squares) in zip(self._counts.tolist(), self._sums.tolist(), strict=True):
            null, nan, positive, negative, unseen = row[width:]
            found.append(
                Counts(
                    bins=tuple(row[:width]),
                    null=null,
                    nan=nan,
                    positive_infinite=positive,
                    negative_infinite=negative,
                    unseen=unseen,
                    center=self.bins.center,
                    total=total if is_number and total == total else None,
                    total_squares=squares if is_number and squares == squares else None,
                )
            )
        return tuple(found)


def _marks(values: Sequence[str]) -> str:
    return ", ".join("?" * len(values)) or "NULL"


def _add_stored(rows: Any, sums: dict[tuple[SeriesKind, str], _Sums], grid: Grid) -> None:
    """Add rows of the table `histograms`, in any order."""
    import numpy as np

    if rows.num_rows == 0:
        return
    kinds, kind = _codes(rows["kind"])
    names, name = _codes(rows["feature"])
    series = kind * len(names) + name
    places = grid.places(rows["bucket"].to_numpy())
    order = np.lexsort((places, series))
    if not bool((order[1:] > order[:-1]).all()):
        rows, series, places = rows.take(order), series[order], places[order]
    column = {name: rows[name].combine_chunks() for name in ("bins", "total", "squares", *_COUNTERS)}
    totals, squares = (column[name].to_numpy(zero_copy_only=False) for name in ("total", "squares"))
    values = column["bins"].flatten().to_numpy()
    ends = column["bins"].offsets.to_numpy() - column["bins"].offsets[0].as_py()
    extra = np.column_stack([column[name].to_numpy() for name in _COUNTERS])
    firsts = [*np.flatnonzero(np.diff(series, prepend=-1)).tolist(), len(series)]
    for first, last in pairwise(firsts):
        one = sums[kinds[series[first] // len(names)], names[series[first] % len(names)]]
        some = slice(first, last)
        matrix = values[ends[first] : ends[last]].reshape(last - first, one.bins.width)
        one.add_parts(places[some], matrix, extra[some], totals[some], squares[some])


def _codes(column: Any) -> tuple[list[Any], NDArray[Any]]:
    """The distinct values of a column of text, and which of them each row has."""
    encoded = column.combine_chunks().dictionary_encode()
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy()
