"""The log as Parquet files by model and day, for DuckDB, pandas, Spark and whatever reads Parquet."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from store.errors import DataError, StorageError
from store.layout import Layout
from store.predictions import PredictionReader
from store.views import literal


def export(
    layout: Layout,
    folder: Path,
    *,
    model: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> int:
    """Write predictions with their latest labels to `folder/model=…/day=…/*.parquet`; returns how many.

    Spool included. Features stay lists, with `schemas.parquet` naming their places. Raises DataError where
    the folder has something in it.
    """
    import duckdb

    if folder.exists() and any(folder.iterdir()):
        raise DataError(f"{folder} is not empty", "Name another folder, or remove it first.")
    conditions = ["true"]
    if model is not None:
        conditions.append(f"model = {literal(model)}")
    if since is not None:
        conditions.append(f"predicted_at >= {literal(since.isoformat(sep=' '))}::TIMESTAMP")
    if until is not None:
        conditions.append(f"predicted_at < {literal(until.isoformat(sep=' '))}::TIMESTAMP")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with PredictionReader(layout).opened() as connection:
            (written,) = connection.execute(
                "COPY (SELECT p.*, l.actual, l.label AS actual_label, p.predicted_at::DATE AS day"
                " FROM predictions p LEFT JOIN labels l USING (prediction_id)"
                f" WHERE {' AND '.join(conditions)}) TO {literal(str(folder))}"
                " (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (model, day), OVERWRITE_OR_IGNORE)"
            ).fetchall()
            connection.execute(
                f"COPY (FROM schemas) TO {literal(str(folder / '_schemas.parquet'))} (FORMAT parquet)"
            )
    except (OSError, duckdb.IOException) as error:
        raise StorageError(
            f"cannot write {folder}: {error}", "Free the disk or name another folder."
        ) from error
    return int(written[0])
