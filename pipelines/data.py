"""Reading data files: which files a pipeline means, their rows, and the content hash that names a dataset."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pipelines.data_files import SUPPORTED, file_format, find_files, is_supported
from store.errors import DataError
from store.ledger import ledger_path

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = [
    "SUPPORTED",
    "DataFile",
    "LoadedData",
    "file_format",
    "find_files",
    "gunzip",
    "is_supported",
    "kind_of",
    "load_data",
    "read_chunks",
    "read_table",
    "to_frame",
    "unreadable",
]

_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True)
class DataFile:
    """One file as it was read: `path` is relative to the project where it lies within it."""

    path: str
    sha256: str
    rows: int
    bytes: int
    md5: str = ""
    """What DVC and the kept data know the content by."""


@dataclass(frozen=True)
class LoadedData:
    """The rows of all files, one below the other, and the dataset version: a hash of their content."""

    frame: pd.DataFrame
    files: tuple[DataFile, ...]
    digest: str

    def manifest(self) -> dict[str, Any]:
        """What was read, without the rows."""
        return {
            "digest": self.digest,
            "rows": len(self.frame),
            "schema": {str(name): str(dtype) for name, dtype in self.frame.dtypes.items()},
            "files": [asdict(file) for file in self.files],
        }


def read_table(path: Path, *, limit: int | None = None) -> pd.DataFrame:
    """The rows of one file, at most `limit`.

    Raises DataError for a file that is empty, has a header only, is ragged (with the line's number),
    binary or unreadable.
    """
    if limit is not None:
        for chunk in read_chunks(path, limit):
            return chunk
    return to_frame(_parse(path, _read_bytes(path)), path)


def read_chunks(path: Path, rows: int) -> Iterator[pd.DataFrame]:
    """Yield the rows of one file in frames of at most `rows`; memory stays bounded.

    A column's type is that of its values in each chunk. Raises DataError as read_table does.
    """
    from pipelines import delimited, json_lines, parquet

    kind = kind_of(path)
    module = {"parquet": parquet, "json": json_lines}.get(kind, delimited)
    for table in module.iterate(path, rows):
        yield to_frame(table, path)


def load_data(files: Sequence[Path], root: Path) -> LoadedData:
    """Read all files below each other; the digest depends on their contents and order alone.

    Raises DataError where a file lacks a column of the first or has one more.
    """
    tables: list[pa.Table] = []
    loaded: list[DataFile] = []
    for path in files:
        content = _read_bytes(path)
        table = _parse(path, content)
        if tables:
            _check_columns(path, table.column_names, files[0], tables[0].column_names)
            table = table.select(tables[0].column_names)
        tables.append(table)
        name = ledger_path(path, root.resolve())
        sha256 = hashlib.sha256(content).hexdigest()
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        loaded.append(DataFile(name, sha256, table.num_rows, len(content), md5))
    digest = hashlib.sha256("\n".join(file.sha256 for file in loaded).encode()).hexdigest()
    return LoadedData(to_frame(_stack(tables), files[0]), tuple(loaded), digest)


def to_frame(table: pa.Table, path: Path) -> pd.DataFrame:
    """A data frame with plain types: numbers, booleans, strings and dates without a zone (UTC)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = []
    for field, column in zip(table.schema, table.columns, strict=True):
        kind = field.type
        if pa.types.is_dictionary(kind):
            column = column.cast(kind.value_type)
            kind = column.type
        if pa.types.is_nested(kind):
            raise DataError(
                f"column {field.name!r} of {path} holds lists or objects",
                "Spread them over columns of their own, or drop the column.",
            )
        if pa.types.is_decimal(kind) or pa.types.is_float16(kind):
            column = column.cast(pa.float64())
        elif pa.types.is_date(kind):
            column = column.cast(pa.timestamp("us"))
        elif pa.types.is_timestamp(kind) and kind.tz is not None:
            column = pc.cast(column, pa.timestamp(kind.unit, "UTC")).cast(pa.timestamp(kind.unit))
        elif pa.types.is_time(kind) or pa.types.is_duration(kind) or pa.types.is_large_string(kind):
            column = column.cast(pa.string())
        elif pa.types.is_null(kind):
            column = column.cast(pa.float64())
        columns.append(column)
    plain = pa.table(dict(zip(table.column_names, columns, strict=True)))
    return cast("pd.DataFrame", plain.to_pandas())


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> DataError:
    """The error for a file that the system refuses to read."""
    return DataError(
        f"cannot read {path}: {error.strerror or error}", "Check that it exists and may be read by you."
    )


def kind_of(path: Path) -> str:
    """`parquet`, `json` or `text`, by the first bytes where they tell, else by the name."""
    try:
        with path.open("rb") as file:
            head = file.read(4)
    except OSError as error:
        raise unreadable(path, error) from error
    return _kind(path, head)


def _kind(path: Path, head: bytes) -> str:
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith(b"PK"):
        raise DataError(f"{path} is a spreadsheet or archive", "Save it as CSV, Parquet or JSON lines.")
    ending = file_format(path)
    if ending in ("parquet", "pq"):
        if not head:
            raise DataError(f"{path} is empty", "Write the data again.")
        raise DataError(f"{path} is not a Parquet file, whatever its name", "Check how it was written.")
    return "json" if ending in ("jsonl", "ndjson", "json") else "text"


def _parse(path: Path, content: bytes) -> pa.Table:
    from pipelines import delimited, json_lines, parquet

    kind = _kind(path, content[:4])
    if kind == "parquet":
        return parquet.parse(path, content)
    if content.startswith(_GZIP_MAGIC):
        content = gunzip(path, content)
    return json_lines.parse(path, content) if kind == "json" else delimited.parse(path, content)


def gunzip(path: Path, content: bytes) -> bytes:
    """The decompressed content; DataError where it is cut off or broken."""
    import gzip
    import zlib

    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be decompressed: {error}", "Copy or compress it again.") from error


def _check_columns(path: Path, names: Sequence[str], first: Path, expected: Sequence[str]) -> None:
    missing = [name for name in expected if name not in names]
    extra = [name for name in names if name not in expected]
    if missing or extra:
        parts = [f"lacks {', '.join(map(repr, missing))}"] if missing else []
        if extra:
            parts.append(f"has {', '.join(map(repr, extra))} besides")
        raise DataError(
            f"{path} does not have the columns of {first}: it {' and '.join(parts)}",
            "Give all files of a pipeline the same columns, or narrow `data`.",
        )


def _stack(tables: Sequence[pa.Table]) -> pa.Table:
    """All rows; a column that is text in one file and a number in another becomes text."""
    import pyarrow as pa

    if len(tables) == 1:
        return tables[0]
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        pass
    names = tables[0].column_names
    mixed = {name for name in names if len({str(table.schema.field(name).type) for table in tables}) > 1}
    texts = {
        name for name in mixed if any(pa.types.is_string(table.schema.field(name).type) for table in tables)
    } or mixed
    cast = [
        table.cast(
            pa.schema([pa.field(f.name, pa.string() if f.name in texts else f.type) for f in table.schema])
        )
        for table in tables
    ]
    return pa.concat_tables(cast, promote_options="permissive")
