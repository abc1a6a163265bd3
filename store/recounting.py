"""Bringing the histograms in line with the published references, a part at a time.

A reference that appears or changes empties its version's histograms and lists every hour that has rows.
Each fold counts some of the hours again from the rows; what comes in for an hour still listed is not
counted when it is stored, because that recount will find it. So each row is counted exactly once.
"""

from __future__ import annotations

import time
from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING

from store.bucket_tables import add_histograms, drop_reference, set_reference, stored_bins, stored_features
from store.database import arrow_batches, writing
from store.errors import DataError
from store.histograms import bins_of, tally
from store.layout import Layout
from store.profile import Profile
from store.references import digest, fingerprint, published_references

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MAX_ROWS = 200_000
"""Rows counted again in one transaction, about."""
MAX_SECONDS = 2.0
"""How long one fold goes on with it, so that new rows are not kept waiting."""

# Which state of the published references the histograms of each project follow, and are done with.
_done: dict[Path, Hashable] = {}


def needs_recount(layout: Layout) -> bool:
    """Whether a reference changed, or hours may be left to count; costs a stat a reference."""
    return layout.predictions.exists() and _done.get(layout.state) != fingerprint(layout)


def recount_some(layout: Layout) -> bool:
    """Follow changed references and recount for a while; True while there is more to do.

    To be called under the fold's lock.
    """
    if not needs_recount(layout):
        return False
    seen = fingerprint(layout)
    until = time.monotonic() + MAX_SECONDS
    with writing(layout) as connection:
        connection.execute("BEGIN")
        _follow_references(connection, layout)
        connection.execute("COMMIT")
    while True:
        with writing(layout) as connection:
            if not _recount_part(connection):
                _done[layout.state] = seen
                return False
        if time.monotonic() > until:
            return True


def _follow_references(connection: DuckDBPyConnection, layout: Layout) -> None:
    stored = {
        (model, version): value
        for model, version, value in connection.execute("FROM reference_digests").fetchall()
    }
    published = published_references(layout)
    for (model, version), path in published.items():
        try:
            content = path.read_bytes()
            if stored.get((model, version)) != digest(content):
                bins = bins_of(Profile.from_json(content))
                set_reference(connection, model, version, digest(content), bins)
        except (DataError, FileNotFoundError):
            continue  # `store check` names it; the histograms stay over the bins they have
    for model, version in stored.keys() - published.keys():
        drop_reference(connection, model, version)


def _recount_part(connection: DuckDBPyConnection) -> bool:
    """Count some hours of one version again; False when none is left."""
    listed = connection.execute(
        "SELECT r.model, r.version, r.hour, sum(v.predictions) FROM recounts r LEFT JOIN volumes v"
        " ON r.model = v.model AND r.version = v.version AND date_trunc('hour', v.bucket) = r.hour"
        " GROUP BY ALL ORDER BY r.model, r.version, r.hour"
    ).fetchall()
    if not listed:
        return False
    model, version, first, rows = listed[0]
    hours, rows = [first], rows or 0
    for other_model, other_version, hour, more in listed[1:]:
        rows += more or 0
        if (other_model, other_version) != (model, version) or rows > MAX_ROWS:
            break
        hours.append(hour)

    import pyarrow as pa

    bins, schemas = stored_bins(connection), stored_features(connection)
    counted = arrow_batches(
        connection,
        "SELECT model, version, role, schema_id, predicted_at, prediction, label, probability, probabilities,"
        " numeric, categorical FROM predictions WHERE model = ? AND version = ?"
        " AND predicted_at >= ? AND predicted_at < ?::TIMESTAMP + INTERVAL 1 hour"
        " AND date_trunc('hour', predicted_at) IN (SELECT unnest(?::TIMESTAMP[]))",
        [model, version, hours[0], hours[-1], hours],
    )

    tallies = [one for batch in counted for one in tally(pa.Table.from_batches([batch]), bins, schemas)]
    connection.execute("BEGIN")
    add_histograms(connection, tallies)
    connection.execute(
        "DELETE FROM recounts WHERE model = ? AND version = ? AND hour IN (SELECT unnest(?::TIMESTAMP[]))",
        [model, version, hours],
    )
    connection.execute("COMMIT")
    return True
