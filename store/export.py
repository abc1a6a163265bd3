"""The log as Parquet files by model and day, for DuckDB, pandas, Spark and whatever reads Parquet."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from store.beside import drop_abandoned, folder_within
from store.errors import BusyError, DataError, NotFoundError, StorageError, UsageError
from store.interruptible import interruptible
from store.layout import Layout
from store.predictions import PredictionReader
from store.sql_words import literal

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_WORK = ".export-"
_NAMES = "_schemas.parquet"


def export(
    layout: Layout,
    folder: Path,
    *,
    model: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> int:
    """Write predictions with their latest labels to `folder/model=…/day=…/*.parquet`; returns how many.

    Spool included. Features stay lists, with `_schemas.parquet` naming their places. All of it appears at the
    end, or nothing. Raises DataError where the folder has something in it, BusyError where somebody holds
    the DuckDB file, as a part would look like the whole, NotFoundError for a model that nobody logged.
    """
    import duckdb

    if since is not None and until is not None and since >= until:
        raise UsageError(f"--since {since} is not before --until {until}", "Give them the other way round.")
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        drop_abandoned(folder, _WORK)
        if any(not path.name.startswith(_WORK) for path in folder.iterdir()):
            raise DataError(f"{folder} is not empty", "Name another folder, or remove it first.")
        with folder_within(folder, _WORK) as work:
            reader = PredictionReader(layout)
            with reader.opened() as connection:
                if reader.note:
                    raise BusyError(
                        f"not all can be exported: {reader.note}", "Export again when that is over."
                    )
                written = interruptible(connection, lambda: _copy(connection, work, model, since, until))
            if any(not path.name.startswith(_WORK) for path in folder.iterdir()):
                raise DataError(f"{folder} is no longer empty", "Name another folder.")
            for path in sorted(work.iterdir(), key=lambda path: path.name == _NAMES):
                path.rename(folder / path.name)
    except (OSError, duckdb.Error) as error:
        text = str(error).split("\n")[0]
        if "no space left" in text.lower():
            text = "no space left on its disk"
        raise StorageError(
            f"cannot write {folder}: {text}", "Free the disk or name another folder."
        ) from error
    finally:
        if is_new:
            with suppress(OSError):  # there is something in it, as there should be
                folder.rmdir()
    return written


def _copy(
    connection: DuckDBPyConnection,
    folder: Path,
    model: str | None,
    since: datetime | None,
    until: datetime | None,
) -> int:
    conditions = ["true"]
    if model is not None:
        models = [
            row[0] for row in connection.execute("SELECT DISTINCT model FROM models ORDER BY 1").fetchall()
        ]
        if model not in models:
            known = f"There are: {', '.join(models)[:200]}." if models else "Nothing is logged yet."
            raise NotFoundError(f"no predictions of a model {model!r}", known)
        conditions.append(f"model = {literal(model)}")
    if since is not None:
        conditions.append(f"predicted_at >= {literal(since.isoformat(sep=' '))}::TIMESTAMP")
    if until is not None:
        conditions.append(f"predicted_at < {literal(until.isoformat(sep=' '))}::TIMESTAMP")
    (written,) = connection.execute(
        "COPY (SELECT p.*, l.actual, l.label AS actual_label, p.predicted_at::DATE AS day"
        " FROM predictions p LEFT JOIN labels l USING (prediction_id)"
        f" WHERE {' AND '.join(conditions)}) TO {literal(str(folder))}"
        " (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (model, day), OVERWRITE_OR_IGNORE)"
    ).fetchall()
    connection.execute(f"COPY (FROM schemas) TO {literal(str(folder / _NAMES))} (FORMAT parquet)")
    return int(written[0])
