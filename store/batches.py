"""Lines of the spool gathered into columns that DuckDB takes in one piece."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from store.pending_rows import PendingRows
from store.records import Kind, decode, number

if TYPE_CHECKING:
    import pyarrow as pa

_MALFORMED = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError)
_BLOCK_ROWS = 8_192
"""Rows held as Python objects, which take five times the room, before they become an Arrow table."""
_LINES_AT_ONCE = 32
"""As many as are parsed in one piece: their objects then still are in the processor's cache."""


class Batch:
    """Predictions, labels and schemas from any number of lines, in the order they were added."""

    def __init__(self) -> None:
        self.schemas: dict[str, tuple[tuple[str, ...], tuple[Kind, ...]]] = {}
        self.models: set[tuple[str, int, str]] = set()
        self.n_predictions = 0
        self._pending = PendingRows()
        self._blocks: list[pa.Table] = []
        self._feedback: dict[str, list[Any]] = {name: [] for name in _FEEDBACK_TYPES}

    @property
    def n_feedback(self) -> int:
        return len(self._feedback["prediction_id"])

    def add_all(self, payloads: Iterable[bytes]) -> list[bytes]:
        """Take the records of these payloads; those that are none are returned."""
        payloads = list(payloads)
        damaged: list[bytes] = []
        for start in range(0, len(payloads), _LINES_AT_ONCE):
            damaged += self._add_some(payloads[start : start + _LINES_AT_ONCE])
        return damaged

    def _add_some(self, payloads: Sequence[bytes]) -> list[bytes]:
        damaged: list[bytes] = []
        heads, blocks = _split(payloads)
        try:
            records = orjson.loads(b"[" + b",".join(heads) + b"]")
        except orjson.JSONDecodeError:
            records = []
        if len(records) != len(payloads):
            return [payload for payload in payloads if not self.add(payload)]
        for first, last in _runs(heads, records):
            if last - first > 1:
                with contextlib.suppress(*_MALFORMED):
                    self._add_predictions(records[first:last], blocks[first:last])
                    continue
            damaged += [payload for payload in payloads[first:last] if not self.add(payload)]
        return damaged

    def add(self, payload: bytes) -> bool:
        """Take one record; False where the payload is none."""
        record = decode(payload)
        if record is None:
            return False
        try:
            if record["k"] == "p":
                self._add_predictions([record], [payload.partition(b"\n")[2]])
            elif record["k"] == "f":
                self._add_feedback(record)
            else:
                names, kinds = tuple(map(str, record["names"])), tuple(record["kinds"])
                if len(names) != len(kinds) or not set(kinds) <= {"numeric", "categorical"}:
                    return False
                self.schemas[record["s"]] = names, kinds
        except _MALFORMED:
            return False
        return True

    def predictions(self) -> pa.Table:
        """The predictions as an Arrow table with the columns of the table `predictions`."""
        import pyarrow as pa

        if self._pending.ids or not self._blocks:
            self._blocks.append(self._pending.table())
            self._pending = PendingRows()
        return pa.concat_tables(self._blocks)

    def feedback(self) -> pa.Table:
        """The labels as an Arrow table with the columns of the table `feedback`."""
        import pyarrow as pa

        types = {"string": pa.string(), "float64": pa.float64(), "timestamp": pa.timestamp("us")}
        return pa.table(
            {
                name: pa.array(values, type=types[_FEEDBACK_TYPES[name]])
                for name, values in self._feedback.items()
            }
        )

    def schema_rows(self) -> list[tuple[str, int, str, str, int]]:
        """Rows of the table `schemas`."""
        rows: list[tuple[str, int, str, str, int]] = []
        for schema_id, (names, kinds) in self.schemas.items():
            filled = {"numeric": 0, "categorical": 0}
            for position, (name, kind) in enumerate(zip(names, kinds, strict=True)):
                filled[kind] += 1
                rows.append((schema_id, position, name, kind, filled[kind]))
        return rows

    def _add_predictions(self, records: Sequence[Mapping[str, Any]], blocks: Sequence[bytes]) -> None:
        self.n_predictions += self._pending.add(records, blocks, self.models)
        if len(self._pending.ids) >= _BLOCK_ROWS:
            self._blocks.append(self._pending.table())
            self._pending = PendingRows()

    def _add_feedback(self, record: Mapping[str, Any]) -> None:
        received = int(record["t"])
        rows = [
            (
                str(prediction_id),
                str(label),
                number(actual),
                received,
                None if observed_at is None else int(observed_at),
            )
            for prediction_id, label, actual, observed_at in record["rows"]
        ]
        for row in rows:
            for name, value in zip(_FEEDBACK_TYPES, row, strict=True):
                self._feedback[name].append(value)


def _split(payloads: Sequence[bytes]) -> tuple[list[bytes], list[bytes]]:
    """The JSON of payloads, and the blocks that follow it."""
    parts = [payload.partition(b"\n") for payload in payloads]
    return [part[0] for part in parts], [part[2] for part in parts]


def _runs(payloads: Sequence[bytes], records: Sequence[Any]) -> Iterator[tuple[int, int]]:
    """Stretches of predictions that begin with the same bytes, their origin, and have the same keys."""
    first, origin, keys = 0, b"", ()
    for position, (payload, record) in enumerate(zip(payloads, records, strict=True)):
        its_keys = tuple(record) if type(record) is dict else ()
        if payload[: payload.find(b',"t":')] == origin and its_keys == keys:
            continue
        if position:
            yield first, position
        first, keys = position, its_keys
        # Only where all that the lines share comes before what they don't.
        begin = keys.index("t") if "t" in keys else 0
        is_ours = {"k", "m", "v", "s", "r"} <= {*keys[:begin]} and "o" not in keys[begin:]
        origin = payload[: payload.find(b',"t":')] if is_ours and record["k"] == "p" else b""
    if payloads:
        yield first, len(payloads)


_FEEDBACK_TYPES = {
    "prediction_id": "string",
    "label": "string",
    "actual": "float64",
    "received_at": "timestamp",
    "observed_at": "timestamp",
}
