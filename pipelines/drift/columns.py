"""Columns of plain data files, one at a time, as the counts that drift is judged by: without data frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from store.counts import Counts, as_numbers, count_numbers
from store.errors import DataError
from store.profile import (
    FeatureKind,
    FeatureProfile,
    profile_categories,
    profile_feature,
    profile_numbers,
)
from store.records import class_text

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray


MANY_ROWS = 200_000
"""Rows from which on several threads are worth their memory."""


class TableFile:
    """A Parquet, CSV or JSON lines file. Of Parquet only the column asked for is in memory.

    Raises DataError for a file that is missing, broken or of another format.
    """

    def __init__(self, path: Path) -> None:
        import pyarrow as pa

        from pipelines.data import kind_of, unreadable

        self.path = path
        self._table: pa.Table | None = None
        self._parquet: Any = None
        kind = kind_of(path)
        if kind == "parquet":
            from pyarrow import parquet

            try:
                # Neither mapped nor read ahead: of a file of any size one column is in memory.
                self._parquet = parquet.ParquetFile(path, pre_buffer=False)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
                first = str(error).splitlines()[0]
                raise DataError(f"{path} is not a whole Parquet file: {first}", "Write it again.") from error
            schema = self._parquet.schema_arrow
            self.rows: int = self._parquet.metadata.num_rows
        else:
            from pipelines import delimited, json_lines
            from pipelines.data import gunzip

            try:
                content = path.read_bytes()
            except OSError as error:
                raise unreadable(path, error) from error
            if content.startswith(b"\x1f\x8b"):
                content = gunzip(path, content)
            parse = json_lines.parse if kind == "json" else delimited.parse
            self._table = parse(path, content)
            schema, self.rows = self._table.schema, self._table.num_rows
        self.names: list[str] = [
            field.name
            for field in schema
            if not pa.types.is_nested(field.type) and not field.name.startswith("__index_level_")
        ]
        self._types = {field.name: field.type for field in schema}

    def kind(self, name: str) -> FeatureKind:
        """What a column is, by its type."""
        import pyarrow as pa

        kind = self._types[name]
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        if pa.types.is_boolean(kind):
            return "boolean"
        if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
            return "datetime"
        if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            return "numeric"
        # A column without a single value has no type to speak of.
        return "numeric" if pa.types.is_null(kind) else "categorical"

    def read(self, name: str) -> pa.ChunkedArray:
        """One column, dictionaries decoded; raises DataError where the file is broken there."""
        import pyarrow as pa

        if self._table is not None:
            column = self._table[name]
        else:
            try:
                column = self._parquet.read(columns=[name], use_threads=self.rows > MANY_ROWS)[name]
            except (pa.ArrowException, OSError) as error:
                raise DataError(
                    f"column {name!r} of {self.path} cannot be read: {str(error).splitlines()[0]}",
                    "Write the file again.",
                ) from error
        return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def numbers_of(column: pa.ChunkedArray) -> tuple[NDArray[Any], int]:
    """Numbers (n,) of a column, NaN and infinities kept, and how many more were not given.

    Booleans are 0 and 1, times epoch seconds, text is read as a number or is NaN.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    null = column.null_count
    if pa.types.is_null(kind):
        import numpy as np

        return np.empty(0), len(column)
    if null:
        column = column.drop_null()
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        seconds = pc.cast(column, pa.timestamp("us"), safe=False).cast(pa.int64())
        return array_of(seconds) / 1e6, null
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        encoded = column.combine_chunks().dictionary_encode()
        known, _ = as_numbers(encoded.dictionary.to_pylist())
        return known[plain_array(encoded.indices)], null
    if not pa.types.is_floating(kind):
        column = column.cast(pa.float64())
    return array_of(column).astype("float64", copy=False), null


def categories_of(column: pa.ChunkedArray) -> tuple[dict[str, int], int]:
    """How often each value of a column occurs, as text, and how many are missing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found: dict[str, int] = {}
    missing = 0
    if pa.types.is_null(column.type):
        return found, len(column)
    counted = pc.value_counts(column)
    for value, count in zip(counted.field(0).to_pylist(), counted.field(1).to_pylist(), strict=True):
        if value is None or value != value:
            missing += count
            continue
        text = class_text(value)
        found[text] = found.get(text, 0) + count
    return found, missing


def profile_column(
    name: str, kind: FeatureKind, column: pa.ChunkedArray, *, ordered: bool = False
) -> FeatureProfile:
    """The column of a reference, binned; `ordered` says that its rows are in order of time."""

    if ordered:
        from dataclasses import replace

        from pipelines.drift.own_reference import own_windows

        values: Any = column.to_pylist() if kind == "categorical" else numbers_in_place(column)
        feature = profile_feature(name, kind, values)
        return replace(feature, own_windows=own_windows(feature, values))
    if kind == "categorical":
        return profile_categories(name, *categories_of(column))
    # Of very many values those spread over the column tell the quantiles as well; all are counted.
    return profile_numbers(name, kind, *numbers_of(column), most=MANY_ROWS)


def count_column(feature: FeatureProfile, column: pa.ChunkedArray) -> Counts:
    """Counts of a column over the bins of a reference's feature."""
    if feature.is_categorical:
        found, missing = categories_of(column)
        bins = tuple(found.pop(text, 0) for text in feature.categories)
        return Counts(bins=bins, null=missing, unseen=sum(found.values()))
    numbers, null = numbers_of(column)
    return count_numbers(numbers, null, feature.edges, feature.counts.center)


def row_codes(column: pa.ChunkedArray, places: NDArray[Any]) -> NDArray[Any]:
    """A number (n,) for the value at each place (int64); equal values have equal ones."""
    import pyarrow as pa

    if (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)) and not column.null_count:
        values = array_of(column)
        return (values[places].astype("float64") + 0.0).view("int64") if len(values) else values
    # Not pa.array: it imports pandas to see whether that is what it was given.
    chosen = pa.Array.from_buffers(pa.int64(), len(places), [None, pa.py_buffer(places)])
    taken = column.take(chosen).combine_chunks()
    return plain_array(taken.dictionary_encode(null_encoding="encode").indices)


def numbers_in_place(column: pa.ChunkedArray) -> Any:
    """Numbers at their rows, NaN where there is none."""
    import numpy as np

    numbers, null = numbers_of(column)
    if not null:
        return numbers
    placed = np.full(len(column), np.nan)
    if null < len(column):
        placed[array_of(column.is_valid())] = numbers
    return placed


def array_of(column: pa.ChunkedArray) -> NDArray[Any]:
    """Values without gaps, as numpy has them. A chunked array's own way imports pandas."""
    import numpy as np

    parts = [plain_array(chunk) for chunk in column.chunks if len(chunk)]
    return parts[0] if len(parts) == 1 else np.concatenate(parts) if parts else np.empty(0)


def plain_array(chunk: pa.Array) -> NDArray[Any]:
    import numpy as np
    import pyarrow as pa

    if pa.types.is_boolean(chunk.type):
        return np.from_dlpack(chunk.cast(pa.uint8())).astype(bool)
    values: NDArray[Any] = np.from_dlpack(chunk)
    return values


def shown(names: Sequence[str], limit: int = 5) -> str:
    """Some of the names, for a message."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
