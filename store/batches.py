"""Lines of the spool gathered into columns that DuckDB takes in one piece."""

from __future__ import annotations

import contextlib
from array import array
from binascii import a2b_base64
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

import orjson

from store.records import BLOCK, Kind, class_numbers, class_text, decode, number, numbers

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
        self._pending = _Pending()
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
        try:
            records = orjson.loads(b"[" + b",".join(payloads) + b"]")
        except orjson.JSONDecodeError:
            records = []
        if len(records) != len(payloads):
            return [payload for payload in payloads if not self.add(payload)]
        for first, last in _runs(payloads, records):
            if last - first > 1:
                with contextlib.suppress(*_MALFORMED):
                    self._add_predictions(records[first:last])
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
                self._add_predictions([record])
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
            self._pending = _Pending()
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

    def _add_predictions(self, records: Sequence[Mapping[str, Any]]) -> None:
        self.n_predictions += self._pending.add(records, self.models)
        if len(self._pending.ids) >= _BLOCK_ROWS:
            self._blocks.append(self._pending.table())
            self._pending = _Pending()

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


class _Pending:
    """Rows as Python lists. What a line says once, its model and role, is kept once and referred to."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self._origins: dict[tuple[str, int, str, str], int] = {}
        self._origin: list[int] = []
        self._times: list[int] = []
        self._values: list[Any] = []
        self._labels: list[str | None] = []
        self._probability: list[float | None] = []
        self._latency: list[float] = []
        self._requests: list[str | None] = []
        self._probabilities = _Lists()
        self._numeric = _Lists()
        self._categorical = _Lists(packs=False)
        self._classes: dict[str, dict[Any, tuple[float | None, str]]] = {}

    def add(self, records: Sequence[Mapping[str, Any]], models: set[tuple[str, int, str]]) -> int:
        """Take lines of one origin that have the same keys, column by column: all of them or, raising, none.

        Returns how many rows they have.
        """
        first, counts = records[0], [len(record["i"]) for record in records]
        n_rows = sum(counts)
        # Everything that can fail comes before the first row is taken.
        ids = _column(records, "i", counts)
        if {*map(type, ids)} != {str}:
            ids = [*map(str, ids)]
        values, labels = self._results(_column(records, "y", counts), first.get("o"))
        probability = _column(records, "p", counts) if "p" in first else [None] * n_rows
        times = _repeated([int(record["t"]) for record in records], counts)
        latencies = [*map(float, _each(records, "l", counts))]
        requests = _each(records, "q", counts) if "q" in first else [None] * n_rows
        numeric, (block, width) = _rows(records, "x", counts), _block(records, counts)
        if "n" in first and numeric is not None:
            numeric = [row if row is None else numbers(row) for row in numeric]
        probabilities, categorical = _rows(records, "ps", counts), _rows(records, "c", counts)
        place = self._place(first, models)
        self.ids += ids
        self._values += values
        self._labels += labels
        self._probability += probability
        self._origin += [place] * n_rows
        self._times += times
        self._latency += latencies
        self._requests += requests
        if width:
            self._numeric.add_block(block, width, n_rows)
        else:
            self._numeric.add(numeric, n_rows)
        self._categorical.add(categorical, n_rows)
        self._probabilities.add(probabilities, n_rows)
        return n_rows

    def _place(self, record: Mapping[str, Any], models: set[tuple[str, int, str]]) -> int:
        """Where the line's origin is kept."""
        origin = (str(record["m"]), int(record["v"]), str(record["s"]), str(record["r"]))
        models.add(origin[:3])
        return self._origins.setdefault(origin, len(self._origins))

    def table(self) -> pa.Table:
        import numpy as np
        import pyarrow as pa

        origins, place = [*self._origins], np.asarray(self._origin, dtype=np.int32)

        def of_origin(part: int, kind: Any) -> Any:
            return pa.array([origin[part] for origin in origins], type=kind).take(place)

        text, double = pa.string(), pa.float64()
        return pa.table(
            {
                "prediction_id": pa.array(self.ids, type=text),
                "model": of_origin(0, text),
                "version": of_origin(1, pa.int32()),
                "schema_id": of_origin(2, text),
                "predicted_at": pa.array(self._times, type=pa.int64()).cast(pa.timestamp("us")),
                "prediction": _array(self._values, double, numbers),
                "label": pa.array(self._labels, type=text),
                "probability": _array(self._probability, double, numbers),
                "probabilities": self._probabilities.array(double, numbers),
                "numeric": self._numeric.array(double, numbers),
                "categorical": self._categorical.array(text, _texts),
                "latency_ms": pa.array(self._latency, type=double),
                "role": of_origin(3, text),
                "request_id": _array(self._requests, text, _texts),
            }
        )

    def _results(
        self, values: Sequence[Any], classes: Sequence[Any] | None
    ) -> tuple[Sequence[Any], Sequence[str | None]]:
        """`prediction` (value, numeric class or the class's position) and `label` of rows."""
        if classes is None:
            return numbers(values), [None] * len(values)
        key = repr(classes)
        known = self._classes.get(key)
        if known is None:
            known = self._classes[key] = {}
        pairs = []
        for value in values:
            # 1, 1.0 and true are one key of a dict, but true is not the class 1.
            own = value if type(value) is not bool else ("true" if value else "false",)
            pair = known.get(own)
            if pair is None:
                label = class_text(value)
                pair = known[own] = (class_numbers(classes).get(label), label)
            pairs.append(pair)
        return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def _column(records: Sequence[Mapping[str, Any]], key: str, counts: Sequence[int]) -> list[Any]:
    """What the lines have by row."""
    columns = [record[key] for record in records]
    if {*map(type, columns)} != {list} or [*map(len, columns)] != counts:
        raise ValueError("columns of different length")
    return columns[0] if len(columns) == 1 else [*chain.from_iterable(columns)]


def _rows(records: Sequence[Mapping[str, Any]], key: str, counts: Sequence[int]) -> list[Any] | None:
    """A column of lists; None where the lines have none."""
    if key not in records[0] or (len(records) == 1 and records[0][key] is None):
        return None
    rows = _column(records, key, counts)
    if not {*map(type, rows)} <= {list, type(None)}:
        raise ValueError("not a column of lists")
    return rows


def _each(records: Sequence[Mapping[str, Any]], key: str, counts: Sequence[int]) -> list[Any]:
    """What the lines have once, or by row where they are of several requests."""
    values = [record[key] for record in records]
    if list in {*map(type, values)}:
        return _column(records, key, counts)
    return _repeated(values, counts)


def _repeated(values: list[Any], counts: Sequence[int]) -> list[Any]:
    if len(values) == sum(counts):
        return values
    return [*chain.from_iterable(map(repeat, values, counts))]


def _block(records: Sequence[Mapping[str, Any]], counts: Sequence[int]) -> tuple[bytes, int]:
    """The numbers of lines that have them as their bytes, and how many a row has; 0 where they haven't."""
    if BLOCK not in records[0]:
        return b"", 0
    blocks = [a2b_base64(record[BLOCK]) for record in records]
    width = len(blocks[0]) // (8 * counts[0]) if counts[0] else 0
    if width == 0 or [*map(len, blocks)] != [8 * width * count for count in counts]:
        raise ValueError("columns of different length")
    return b"".join(blocks), width


class _Lists:
    """A column of lists: all their values one after the other, and how many each row has."""

    def __init__(self, *, packs: bool = True) -> None:
        # Packed as long as all of them are numbers: a quarter of the room, and an Arrow array at once.
        self._values: array[float] | list[Any] = array("d") if packs else []
        self._ends: list[int] = [0]
        self._nulls: list[bool] = []

    def add(self, rows: Sequence[Sequence[Any] | None] | None, n_rows: int) -> None:
        if rows is None:
            self._ends += [self._ends[-1]] * n_rows
            self._nulls += [True] * n_rows
            return
        end = self._ends[-1]
        self._extend(rows[0] or () if n_rows == 1 else [*chain.from_iterable(row or () for row in rows)])
        for row in rows:
            if row is not None:
                end += len(row)
            self._ends.append(end)
            self._nulls.append(row is None)

    def add_block(self, block: bytes, width: int, n_rows: int) -> None:
        """Rows of equal width, as the bytes of their numbers."""
        if isinstance(self._values, list):
            self._values += array("d", block)
        else:
            self._values.frombytes(block)
        end = self._ends[-1]
        self._ends += range(end + width, end + n_rows * width + 1, width)
        self._nulls += [False] * n_rows

    def _extend(self, values: Sequence[Any]) -> None:
        if isinstance(self._values, list):
            self._values += values
            return
        try:
            self._values.extend(array("d", values))
        except (TypeError, OverflowError):
            self._values = [*self._values, *values]

    def array(self, kind: Any, tidied: Callable[[Sequence[Any]], Sequence[Any]]) -> Any:
        import numpy as np
        import pyarrow as pa

        values = self._values
        return pa.ListArray.from_arrays(
            pa.array(self._ends, type=pa.int32()),
            pa.array(np.frombuffer(values), type=kind)
            if len(values) and not isinstance(values, list)
            else _array(values, kind, tidied),
            mask=pa.array(self._nulls, type=pa.bool_()),
        )


def _array(values: Sequence[Any], kind: Any, tidied: Callable[[Sequence[Any]], Sequence[Any]]) -> Any:
    import pyarrow as pa

    try:
        return pa.array(values, type=kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        # JSON tells 1 from 1.0 and true, and takes integers that no double holds.
        return pa.array(tidied(values), type=kind)


def _texts(values: Sequence[Any]) -> list[str | None]:
    return [None if value is None else str(value) for value in values]
