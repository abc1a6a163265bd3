"""JSON lines: one object a line."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from store.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa


def parse(path: Path, content: bytes) -> pa.Table:
    """The whole table; DataError names the line that is no JSON object."""
    records = [record for _, record in _records(path, io.BytesIO(content))]
    if not records:
        raise DataError(f"{path} is empty", "Put one JSON object a line into it.")
    return _table(path, records)


def iterate(path: Path, rows: int) -> Iterator[pa.Table]:
    """Yield tables of at most `rows` rows."""
    from pipelines.delimited import open_bytes

    seen = False
    with open_bytes(path) as file:
        chunk: list[Mapping[str, Any]] = []
        for _, record in _records(path, file):
            chunk.append(record)
            seen = True
            if len(chunk) == rows:
                yield _table(path, chunk)
                chunk = []
        if chunk:
            yield _table(path, chunk)
    if not seen:
        raise DataError(f"{path} is empty", "Put one JSON object a line into it.")


def _records(path: Path, lines: Iterable[bytes]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    import orjson

    for number, line in enumerate(lines, 1):
        line = line.removeprefix(b"\xef\xbb\xbf").strip() if number == 1 else line.strip()
        if not line:
            continue
        if b"\0" in line:
            raise DataError(
                f"{path} is a binary file, not JSON lines", "Save it as CSV, Parquet or JSON lines."
            )
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise DataError(
                f"line {number} of {path} is not JSON: {error}", "Put one JSON object a line."
            ) from error
        if not isinstance(record, dict):
            raise DataError(f"line {number} of {path} is not a JSON object", "Put one JSON object a line.")
        yield number, record


def _table(path: Path, records: list[Mapping[str, Any]]) -> pa.Table:
    """Columns in order of first appearance; values of mixed types become text."""
    import pyarrow as pa

    names = list(dict.fromkeys(name for record in records for name in record))
    columns = {}
    for name in names:
        values = [record.get(name) for record in records]
        try:
            columns[name] = pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            columns[name] = _mixed(values)
    if not columns:
        raise DataError(
            f"{path} has objects without keys only", "Put the columns' names and values into them."
        )
    return pa.table(columns)


def _mixed(values: list[Any]) -> Any:
    import pyarrow as pa

    if all(
        value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values
    ):
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    return pa.array([None if value is None else str(value) for value in values], pa.string())
