"""What is wrong with rows as such: values beyond their limits, and copies of other rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from store.bucket_tables import stored_features
from store.database import arrow_batches
from store.histograms import ListColumn
from store.predictions import PredictionReader
from store.slices import Key, start_of_newest

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from store.views import Feature

Limits = Mapping[str, tuple[float | None, float | None]]

MAX_ROWS = 20_000
"""Rows that are looked at, the newest; some more where they came within the same five minutes."""
_FACTOR = 0x9E3779B97F4A7C15


@dataclass(frozen=True)
class RowFaults:
    """What was found among some rows of one model version."""

    rows: int
    outside: dict[str, int]
    """Values beyond limits, by column with limits."""
    present: dict[str, int]
    """How many rows have a value, by column with limits."""
    duplicates: int
    """Rows with the same features as an earlier one of them."""


def row_faults(
    reader: PredictionReader,
    key: Key,
    limits: Limits,
    start: datetime,
    end: datetime,
    *,
    rows: int = MAX_ROWS,
) -> RowFaults | None:
    """Look at the newest `rows` rows from `start` to `end` one by one; None where none has features."""
    with reader.opened() as connection:
        start = start_of_newest(connection, key, start, end, rows)
        bounds = [moment.astimezone(UTC).replace(tzinfo=None) for moment in (start, end)]
        found = arrow_batches(
            connection,
            "SELECT schema_id, numeric, categorical FROM predictions WHERE model = ? AND version = ?"
            " AND role = ? AND predicted_at >= ? AND predicted_at <= ?"
            " AND (numeric IS NOT NULL OR categorical IS NOT NULL)",
            [key.model, key.version, key.role, *bounds],
        ).read_all()
        schemas = stored_features(connection)
    if not found.num_rows:
        return None
    outside: dict[str, int] = {}
    present: dict[str, int] = {}
    hashes = []
    for place, (part, features) in enumerate(_by_schema(found, schemas)):
        columns = {kind: ListColumn(part[kind]) for kind in ("numeric", "categorical")}
        mixed = np.full(part.num_rows, place, dtype=np.uint64)
        for name, kind, slot in features:
            values = columns[kind].values(slot)
            if values is None:
                continue
            chosen = columns[kind].chosen
            if kind == "numeric":
                numbers = values.to_numpy(zero_copy_only=False)
                _count_outside(name, numbers, limits, outside, present)
                codes = (numbers + 0.0).view(np.int64)
            else:
                codes = _plain_codes(values)
            mixed = _mixed(mixed, codes if chosen is None else _placed(codes, chosen))
        hashes.append(mixed)
    ordered = np.sort(np.concatenate(hashes))
    return RowFaults(found.num_rows, outside, present, int((ordered[1:] == ordered[:-1]).sum()))


def _by_schema(
    rows: pa.Table, schemas: Mapping[str, Sequence[Feature]]
) -> Iterator[tuple[pa.Table, Sequence[Feature]]]:
    """The rows of each schema with its features; usually that is one."""
    import pyarrow.compute as pc

    names = pc.unique(rows["schema_id"]).to_pylist()
    for name in names:
        part = rows if len(names) == 1 else rows.filter(pc.equal(rows["schema_id"], name))
        yield part, schemas.get(name, ())


def _count_outside(
    name: str, numbers: NDArray[Any], limits: Limits, outside: dict[str, int], present: dict[str, int]
) -> None:
    low, high = limits.get(name, (None, None))
    if low is None and high is None:
        return
    finite = numbers[np.isfinite(numbers)]
    beyond = 0 if low is None else int((finite < low).sum())
    beyond += 0 if high is None else int((finite > high).sum())
    outside[name] = outside.get(name, 0) + beyond
    present[name] = present.get(name, 0) + len(finite)


def _mixed(hashes: NDArray[Any], codes: NDArray[Any]) -> NDArray[Any]:
    """Hashes (n,) of rows with one more value each."""
    found = hashes * np.uint64(_FACTOR) + codes.view(np.uint64)
    return np.asarray(found ^ (found >> np.uint64(29)))


def _plain_codes(texts: Any) -> NDArray[Any]:
    """A number for each text of an Arrow array, the same for equal ones; missing ones are -1."""
    encoded = texts.dictionary_encode()
    return np.asarray(encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int64)


def _placed(codes: NDArray[Any], chosen: NDArray[Any]) -> NDArray[Any]:
    placed = np.zeros(len(chosen), dtype=np.int64)
    placed[chosen] = codes
    return placed
