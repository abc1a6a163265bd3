"""Tables by five minutes in the DuckDB file: volumes, histograms and performance, kept as rows come in.

All of it happens within a transaction of the fold, so they always agree with the rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from store.histograms import N_EXTRA, Bins, Tally

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection

    from store.views import Feature

VOLUME_COLUMNS = {
    "model": "VARCHAR",
    "version": "INTEGER",
    "role": "VARCHAR",
    "bucket": "TIMESTAMP",
    "predictions": "BIGINT",
}
REFERENCE_COLUMNS = {"model": "VARCHAR", "version": "INTEGER", "digest": "VARCHAR"}
BIN_COLUMNS = {
    "model": "VARCHAR",
    "version": "INTEGER",
    "kind": "VARCHAR",
    "feature": "VARCHAR",
    "edges": "DOUBLE[]",  # of numbers; bin k holds what lies above the edge before it and up to its own
    "categories": "VARCHAR[]",
    "center": "DOUBLE",  # what `total` and `squares` of a histogram are about
}
HISTOGRAM_COLUMNS = {
    "model": "VARCHAR",
    "version": "INTEGER",
    "role": "VARCHAR",
    "kind": "VARCHAR",
    "feature": "VARCHAR",
    "bucket": "TIMESTAMP",
    "bins": "INTEGER[]",
    "nulls": "INTEGER",
    "nans": "INTEGER",
    "positive_infinite": "INTEGER",
    "negative_infinite": "INTEGER",
    "unseen": "INTEGER",
    "total": "DOUBLE",
    "squares": "DOUBLE",
}
# Hours of a version that are counted again from the rows; until then nothing new is added to them.
RECOUNT_COLUMNS = {"model": "VARCHAR", "version": "INTEGER", "hour": "TIMESTAMP"}
PERFORMANCE_COLUMNS = {
    "model": "VARCHAR",
    "version": "INTEGER",
    "role": "VARCHAR",
    "bucket": "TIMESTAMP",  # of the prediction, not of the label
    "predicted": "VARCHAR",  # the classes; null for regressions
    "actual": "VARCHAR",
    "labelled": "BIGINT",
    "error": "DOUBLE",  # sums over the labelled regressions
    "absolute_error": "DOUBLE",
    "squared_error": "DOUBLE",
    "actual_total": "DOUBLE",
    "actual_squares": "DOUBLE",
}
TABLES = {
    "volumes": VOLUME_COLUMNS,
    "reference_digests": REFERENCE_COLUMNS,
    "reference_bins": BIN_COLUMNS,
    "histograms": HISTOGRAM_COLUMNS,
    "recounts": RECOUNT_COLUMNS,
    "performance": PERFORMANCE_COLUMNS,
}

ORDERS = {
    "histograms": "kind, feature, model, version, role, bucket",
    "volumes": "bucket",
    "performance": "bucket",
}
"""How rows are best laid out, where that is not the order they came in."""

_BUCKET = "time_bucket(INTERVAL 5 minutes, predicted_at)"
_COUNTERS = ("nulls", "nans", "positive_infinite", "negative_infinite", "unseen")
_HISTOGRAM_KEY = "model, version, role, kind, feature, bucket"
_PERFORMANCE_KEY = "model, version, role, bucket, predicted, actual"
_SUMS = ("labelled", "error", "absolute_error", "squared_error", "actual_total", "actual_squares")


def matched_label(given: str, predicted: str) -> str:
    """SQL for a label as the classes of its model are written: 1 and "True" are the class true, 1.0 is 1."""
    number = f"TRY_CAST({given} AS DOUBLE)"
    as_truth = (
        f"CASE WHEN lower({given}) = 'true' OR {number} = 1 THEN 'true'"
        f" WHEN lower({given}) = 'false' OR {number} = 0 THEN 'false' ELSE {given} END"
    )
    as_integer = (
        f"CASE lower({given}) WHEN 'true' THEN '1' WHEN 'false' THEN '0' ELSE"
        f" CASE WHEN {number} = TRY_CAST({number} AS BIGINT) THEN TRY_CAST({number} AS BIGINT)::VARCHAR"
        f" ELSE {given} END END"
    )
    return (
        f"CASE WHEN {predicted} IN ('true', 'false') THEN {as_truth}"
        f" WHEN TRY_CAST({predicted} AS BIGINT)::VARCHAR = {predicted} THEN {as_integer} ELSE {given} END"
    )


def add_volumes(connection: DuckDBPyConnection, rows: str) -> None:
    """Count the predictions in the relation `rows`."""
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE added AS"
        f" SELECT model, version, role, {_BUCKET} AS bucket, count(*) AS predictions FROM {rows} GROUP BY ALL"
    )
    key = "model, version, role, bucket"
    _take_out(connection, "volumes", key)
    connection.execute(
        f"INSERT INTO volumes SELECT {key}, sum(predictions)"
        f" FROM (FROM added UNION ALL FROM taken_out) GROUP BY {key}"
    )


def add_histograms(connection: DuckDBPyConnection, tallies: Iterable[Tally]) -> None:
    """Add counts to those that are there."""
    import pyarrow as pa

    tables = [_arrow(tally) for tally in tallies]
    if not tables:
        return
    connection.register("arrived", pa.concat_tables(tables))
    connection.execute("CREATE OR REPLACE TEMP TABLE added AS FROM arrived")
    connection.unregister("arrived")
    if connection.execute(
        f"SELECT count(*) <> (SELECT count(*) FROM (SELECT DISTINCT {_HISTOGRAM_KEY} FROM added)) FROM added"
    ).fetchall() == [(True,)]:
        # Two feature schemas of one version.
        connection.execute(f"CREATE OR REPLACE TEMP TABLE added AS {_merged('added')}")
    _take_out(connection, "histograms", _HISTOGRAM_KEY)
    source = "(FROM added UNION ALL BY NAME FROM taken_out)"
    has_old = connection.execute("FROM taken_out LIMIT 1").fetchall()
    connection.execute(f"INSERT INTO histograms BY NAME {_merged(source) if has_old else 'FROM added'}")


def add_performance(connection: DuckDBPyConnection, new_labels: str) -> None:
    """Count labels of known predictions, from the relation `new_labels`, not yet in `feedback`.

    A label that replaces an earlier one takes that one's contribution out again, in the bucket of its
    prediction however old that is.
    """
    latest = (
        "SELECT prediction_id, arg_max({{'label': label, 'actual': actual}}, received_at) AS latest,"
        " max(received_at) AS received_at FROM {} GROUP BY prediction_id"
    )
    connection.execute(f"CREATE OR REPLACE TEMP TABLE incoming AS {latest.format(new_labels)}")
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE replaced AS "
        + latest.format("(SELECT f.* FROM feedback f SEMI JOIN incoming USING (prediction_id))")
    )
    connection.execute("""
        CREATE OR REPLACE TEMP TABLE judged AS
        SELECT p.model, p.version, p.role, time_bucket(INTERVAL 5 minutes, p.predicted_at) AS bucket,
            p.prediction, p.label, i.latest AS now, r.latest AS before
        FROM predictions p JOIN incoming i USING (prediction_id)
        LEFT JOIN replaced r USING (prediction_id)
        WHERE r.received_at IS NULL OR i.received_at > r.received_at""")
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE added AS SELECT {_PERFORMANCE_KEY},"
        f" {', '.join(f'sum({name}) AS {name}' for name in _SUMS)}"
        f" FROM ({_contributions('now', 1)} UNION ALL BY NAME {_contributions('before', -1)}) GROUP BY ALL"
    )
    _take_out(connection, "performance", _PERFORMANCE_KEY)
    connection.execute(
        f"INSERT INTO performance SELECT {_PERFORMANCE_KEY},"
        f" {', '.join(f'sum({name}) AS {name}' for name in _SUMS)}"
        f" FROM (FROM added UNION ALL BY NAME FROM taken_out) GROUP BY {_PERFORMANCE_KEY}"
        " HAVING sum(labelled) <> 0"
    )


def recount_all(connection: DuckDBPyConnection) -> None:
    """Make volumes and performance anew from the rows, and have the histograms counted again."""
    connection.execute("DELETE FROM volumes")
    connection.execute("DELETE FROM performance")
    add_volumes(connection, "predictions")
    connection.execute("CREATE OR REPLACE TEMP TABLE known_labels AS FROM feedback")
    connection.execute("DELETE FROM feedback")
    add_performance(connection, "known_labels")
    connection.execute("INSERT INTO feedback FROM known_labels")
    connection.execute("DROP TABLE known_labels")
    for model, version in connection.execute("SELECT model, version FROM reference_digests").fetchall():
        start_recount(connection, model, version)


def set_reference(
    connection: DuckDBPyConnection, model: str, version: int, digest: str, bins: Sequence[Bins]
) -> None:
    """Count a version over these bins from here on, and again what was logged before."""
    drop_reference(connection, model, version)
    connection.execute("INSERT INTO reference_digests VALUES (?, ?, ?)", [model, version, digest])
    connection.executemany(
        "INSERT INTO reference_bins VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (
                model,
                version,
                one.kind,
                one.feature,
                None if one.edges is None else list(one.edges),
                None if one.categories is None else list(one.categories),
                one.center,
            )
            for one in bins
        ],
    )
    start_recount(connection, model, version)


def drop_reference(connection: DuckDBPyConnection, model: str, version: int) -> None:
    """Forget a version's reference and its histograms."""
    for table in ("reference_digests", "reference_bins", "histograms", "recounts"):
        connection.execute(f"DELETE FROM {table} WHERE model = ? AND version = ?", [model, version])


def start_recount(connection: DuckDBPyConnection, model: str, version: int) -> None:
    connection.execute("DELETE FROM recounts WHERE model = ? AND version = ?", [model, version])
    connection.execute(
        "INSERT INTO recounts SELECT DISTINCT model, version, date_trunc('hour', bucket) FROM volumes"
        " WHERE model = ? AND version = ?",
        [model, version],
    )


def stored_bins(
    connection: DuckDBPyConnection, prefix: str = "", condition: str = "true", values: Sequence[Any] = ()
) -> dict[tuple[str, int], list[Bins]]:
    """What is counted of each model version, where `condition` (on reference_bins) holds."""
    found: dict[tuple[str, int], list[Bins]] = {}
    for model, version, kind, feature, edges, categories, center in connection.execute(
        f"SELECT model, version, kind, feature, edges, categories, center FROM {prefix}reference_bins"
        f" WHERE {condition}",
        [*values],
    ).fetchall():
        one = Bins(
            kind,
            feature,
            None if edges is None else tuple(edges),
            None if categories is None else tuple(categories),
            center,
        )
        found.setdefault((model, version), []).append(one)
    return found


def stored_features(connection: DuckDBPyConnection, prefix: str = "") -> dict[str, list[Feature]]:
    """Features (name, kind, slot) of each schema."""
    found: dict[str, list[Feature]] = {}
    for schema_id, name, kind, slot in connection.execute(
        f"SELECT schema_id, name, kind, slot FROM {prefix}schemas ORDER BY schema_id, position"
    ).fetchall():
        found.setdefault(schema_id, []).append((name, kind, slot))
    return found


def without_recounts(rows: pa.Table, recounts: Mapping[tuple[str, int], set[int]]) -> pa.Table:
    """The rows outside the hours (microseconds since 1970) that are to be counted again anyhow."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for (model, version), hours in recounts.items():
        whose = pc.and_(pc.equal(rows["model"], model), pc.equal(rows["version"], version))
        times = rows["predicted_at"].cast(pa.timestamp("us"))
        hour = pc.floor_temporal(times, unit="hour").cast(pa.int64())
        rows = rows.filter(pc.invert(pc.and_(whose, pc.is_in(hour, value_set=pa.array(hours, pa.int64())))))
    return rows


def _take_out(connection: DuckDBPyConnection, table: str, key: str) -> None:
    """Move the rows that `added` has news for into `taken_out`."""
    # Of an old file only the last buckets are touched: DuckDB passes over the others by their bounds.
    same = " AND ".join(f"t.{name} IS NOT DISTINCT FROM a.{name}" for name in key.split(", "))
    bounds = "t.bucket BETWEEN (SELECT min(bucket) FROM added) AND (SELECT max(bucket) FROM added)"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE taken_out AS SELECT t.*, t.rowid AS place FROM {table} t"
        f" SEMI JOIN added a ON {same} WHERE {bounds}"
    )
    connection.execute(f"DELETE FROM {table} WHERE rowid IN (SELECT place FROM taken_out)")
    connection.execute("ALTER TABLE taken_out DROP COLUMN place")


def _merged(source: str) -> str:
    """Histograms of one key added up. A sum that was too large once stays unknown."""
    counters = ", ".join(f"sum({name})::INTEGER AS {name}" for name in _COUNTERS)
    sums = ", ".join(
        f"CASE WHEN count({name}) = count(*) THEN sum({name}) END AS {name}" for name in ("total", "squares")
    )
    added_up = "lambda a, b: list_transform(list_zip(a, b), lambda pair: (pair[1] + pair[2])::INTEGER)"
    return (
        f"SELECT {_HISTOGRAM_KEY}, list_reduce(list(bins), {added_up}) AS bins, {counters}, {sums}"
        f" FROM {source} GROUP BY {_HISTOGRAM_KEY}"
    )


def _contributions(labels: str, sign: int) -> str:
    error = f"(prediction - {labels}.actual)"
    values = {
        "error": error,
        "absolute_error": f"abs{error}",
        "squared_error": f"{error} * {error}",
        "actual_total": f"{labels}.actual",
        "actual_squares": f"{labels}.actual * {labels}.actual",
    }
    # Of a class that is a number the error means nothing, and one infinite value would be there for ever.
    sums = ", ".join(
        f"CASE WHEN label IS NULL AND isfinite({value}) THEN {sign} * {value} ELSE 0 END AS {name}"
        for name, value in values.items()
    )
    return (
        "SELECT model, version, role, bucket, label AS predicted,"
        f" CASE WHEN label IS NOT NULL THEN {labels}.label END AS actual, {sign} AS labelled, {sums}"
        f" FROM judged WHERE {labels} IS NOT NULL AND (label IS NOT NULL OR {labels}.actual IS NOT NULL)"
    )


def _arrow(tally: Tally) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    used = tally.counts.any(axis=1)
    counts, n = tally.counts[used], int(used.sum())
    width = tally.bins.width

    def same(value: Any, kind: Any) -> Any:
        return pa.array([value], type=kind).take(pa.array(np.zeros(n, dtype=np.int32)))

    def sums(values: Any) -> Any:
        return pa.array(values[used], type=pa.float64(), from_pandas=True)

    bins = np.ascontiguousarray(counts[:, :width], dtype=np.int32).reshape(-1)
    extra = counts[:, width : width + N_EXTRA].astype(np.int32)
    return pa.table(
        {
            "model": same(tally.model, pa.string()),
            "version": same(tally.version, pa.int32()),
            "role": same(tally.role, pa.string()),
            "kind": same(tally.bins.kind, pa.string()),
            "feature": same(tally.bins.feature, pa.string()),
            "bucket": pa.array(tally.buckets[used], type=pa.int64()).cast(pa.timestamp("us")),
            "bins": pa.ListArray.from_arrays(
                pa.array(np.arange(n + 1, dtype=np.int32) * width), pa.array(bins)
            ),
            **{name: pa.array(extra[:, i]) for i, name in enumerate(_COUNTERS)},
            "total": sums(tally.totals),
            "squares": sums(tally.squares),
        }
    )
