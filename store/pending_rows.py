"""Rows of the prediction log as Python lists and packed numbers, until they become an Arrow table."""

from __future__ import annotations

from array import array
from binascii import a2b_base64
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

from store.records import BASE64, BLOCK, OF_DOUBLES, OWN_ID, VERSIONS, class_numbers, class_text, numbers

if TYPE_CHECKING:
    import pyarrow as pa


class PendingRows:
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
        self._probabilities = _Lists(nan_is_null=True)
        self._numeric = _Lists()
        self._categorical = _Lists(packs=False)
        self._classes: dict[str, dict[Any, tuple[float | None, str]]] = {}

    def add(
        self, records: Sequence[Mapping[str, Any]], blocks: Sequence[bytes], models: set[tuple[str, int, str]]
    ) -> int:
        """Take lines of one origin that have the same keys, column by column: all of them or, raising, none.

        Returns how many rows they have.
        """
        first, counts = records[0], [len(record["i"]) for record in records]
        n_rows = sum(counts)
        # Everything that can fail comes before the first row is taken.
        ids = _column(records, "i", counts)
        if {*map(type, ids)} != {str}:
            ids = [*map(str, ids)]
        packed = _unpacked(records, blocks, counts)
        values, labels = self._results(
            _single(packed["y"]) if "y" in packed else _column(records, "y", counts), first.get("o")
        )
        probability: Sequence[float | None] = [None] * n_rows
        if "p" in packed:
            probability = _single(packed["p"])
        elif "p" in first:
            probability = _column(records, "p", counts)
        times = _repeated([int(record["t"]) for record in records], counts)
        latencies = [*map(float, _each(records, "l", counts))]
        requests = _request_ids(records, ids, counts) if "q" in first else [None] * n_rows
        numeric = None if "x" in packed else _rows(records, "x", counts)
        if "n" in first and numeric is not None:
            numeric = [row if row is None else numbers(row) for row in numeric]
        probabilities = None if "ps" in packed else _rows(records, "ps", counts)
        categorical = _rows(records, "c", counts)
        place = self._place(first, models)
        self.ids += ids
        self._values += values
        self._labels += labels
        self._probability += probability
        self._origin += [place] * n_rows
        self._times += times
        self._latency += latencies
        self._requests += requests
        for lists, key, rows in ((self._numeric, "x", numeric), (self._probabilities, "ps", probabilities)):
            if key in packed:
                lists.add_block(*packed[key], n_rows)
            else:
                lists.add(rows, n_rows)
        self._categorical.add(categorical, n_rows)
        return n_rows

    def _place(self, record: Mapping[str, Any], models: set[tuple[str, int, str]]) -> int:
        """Where the line's origin is kept."""
        origin = (str(record["m"]), int(record["v"]), str(record["s"]), str(record["r"]))
        if origin[1] not in VERSIONS:
            raise ValueError("a version of more than 32 bits")
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
                "probability": _array(self._probability, double, numbers, nan_is_null=True),
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
        if bool in {*map(type, values)}:
            # 1, 1.0 and true are one key of a dict, but true is not the class 1.
            values = [(class_text(value),) if type(value) is bool else value for value in values]
        for value in {*values}.difference(known):
            label = value[0] if type(value) is tuple else class_text(value)
            known[value] = class_numbers(classes).get(label), label
        pairs = [*map(known.__getitem__, values)]
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


def _request_ids(
    records: Sequence[Mapping[str, Any]], ids: list[str], counts: Sequence[int]
) -> Sequence[str | None]:
    """The requests' ids: their predictions' own, one for a line, or by row."""
    given = [record["q"] for record in records]
    kinds = {*map(type, given)}
    if kinds == {int} and {*given} == {OWN_ID}:
        return ids
    if len(kinds) > 1:
        records = [
            {"q": record["i"] if value == OWN_ID else value if type(value) is list else [value] * count}
            for record, value, count in zip(records, given, counts, strict=True)
        ]
    return _each(records, "q", counts)


def _repeated(values: list[Any], counts: Sequence[int]) -> list[Any]:
    if len(values) == sum(counts):
        return values
    return [*chain.from_iterable(map(repeat, values, counts))]


def _unpacked(
    records: Sequence[Mapping[str, Any]], blocks: Sequence[bytes], counts: Sequence[int]
) -> dict[str, tuple[bytes, int]]:
    """The columns in the lines' blocks: the bytes of their numbers, and how many a row has, 0 for no list."""
    named = records[0].get(BLOCK, [])
    if BASE64 in records[0]:
        blocks = [a2b_base64(record[BASE64]) for record in records]
        named = [("x", len(blocks[0]) // (8 * counts[0]))] if counts[0] else []
    elif any(record.get(BLOCK, []) != named for record in records):
        raise ValueError("columns of different width")
    if any((width > 0) != (OF_DOUBLES[key] == 2) for key, width in named):
        raise ValueError("a list of no numbers, or a number that is a list")
    row_bytes = 8 * sum(width or 1 for _, width in named)
    if [*map(len, blocks)] != [row_bytes * count for count in counts]:
        raise ValueError("columns of different length")
    if len(named) == 1:
        return {named[0][0]: (b"".join(blocks), named[0][1])}
    found = {}
    begins = [0] * len(blocks)
    for key, width in named:
        ends = [begin + 8 * (width or 1) * count for begin, count in zip(begins, counts, strict=True)]
        pieces = [block[begin:end] for block, begin, end in zip(blocks, begins, ends, strict=True)]
        found[key] = b"".join(pieces), width
        begins = ends
    return found


def _single(column: tuple[bytes, int]) -> list[float]:
    """A column with one number a row."""
    return array("d", column[0]).tolist()


class _Lists:
    """A column of lists: all their values one after the other, and how many each row has."""

    def __init__(self, *, packs: bool = True, nan_is_null: bool = False) -> None:
        self._nan_is_null = nan_is_null
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
            pa.array(np.frombuffer(values), type=kind, from_pandas=self._nan_is_null)
            if len(values) and not isinstance(values, list)
            else _array(values, kind, tidied, nan_is_null=self._nan_is_null),
            mask=pa.array(self._nulls, type=pa.bool_()),
        )


def _array(
    values: Sequence[Any],
    kind: Any,
    tidied: Callable[[Sequence[Any]], Sequence[Any]],
    *,
    nan_is_null: bool = False,
) -> Any:
    import pyarrow as pa

    try:
        return pa.array(values, type=kind, from_pandas=nan_is_null)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        # JSON tells 1 from 1.0 and true, and takes integers that no double holds.
        return pa.array(tidied(values), type=kind, from_pandas=nan_is_null)


def _texts(values: Sequence[Any]) -> list[str | None]:
    return [None if value is None else str(value) for value in values]
