"""Parquet files."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from store.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa


def parse(path: Path, content: bytes) -> pa.Table:
    """The whole table; DataError for a file that is cut off, broken or without rows."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.read_table(io.BytesIO(content), partitioning=None)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise _broken(path, error) from error
    if table.num_rows == 0:
        raise _no_rows(path)
    return _without_index(table)


def iterate(path: Path, rows: int) -> Iterator[pa.Table]:
    """Yield tables of at most `rows` rows."""
    import pyarrow as pa
    from pyarrow import parquet

    seen = False
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=rows):
                if batch.num_rows:
                    seen = True
                    yield _without_index(pa.Table.from_batches([batch]))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise _broken(path, error) from error
    if not seen:
        raise _no_rows(path)


def _without_index(table: pa.Table) -> pa.Table:
    """Without the index column that pandas writes, which is no data."""
    index = [name for name in table.column_names if name.startswith("__index_level_")]
    return table.drop_columns(index).replace_schema_metadata(None)


def _broken(path: Path, error: Exception) -> DataError:
    return DataError(f"{path} is not a whole Parquet file: {str(error).splitlines()[0]}", "Write it again.")


def _no_rows(path: Path) -> DataError:
    return DataError(f"{path} has columns but no rows", "Put rows into it.")
