"""Lines of the spool gathered into columns that DuckDB takes in one piece."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from store.records import Kind, class_numbers, class_text, decode, number, numbers

if TYPE_CHECKING:
    import pyarrow as pa

_MALFORMED = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError)
_BLOCK_ROWS = 8_192
"""Rows held as Python objects, which take five times the room, before they become an Arrow table."""


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
        return [payload for payload in payloads if not self.add(payload)]

    def add(self, payload: bytes) -> bool:
        """Take one record; False where the payload is none."""
        record = decode(payload)
        if record is None:
            return False
        try:
            if record["k"] == "p":
                self._add_predictions(record)
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

    def _add_predictions(self, record: Mapping[str, Any]) -> None:
        self.n_predictions += self._pending.add(record, self.models)
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
        self._categorical = _Lists()
        self._classes: dict[str, dict[Any, tuple[float | None, str]]] = {}

    def add(self, record: Mapping[str, Any], models: set[tuple[str, int, str]]) -> int:
        """Take one line's rows, all or, raising, none; returns how many."""
        ids = record["i"]
        n_rows = len(ids)
        # Everything that can fail comes before the first row is taken.
        origin = (str(record["m"]), int(record["v"]), str(record["s"]), str(record["r"]))
        moment, latency = int(record["t"]), float(record["l"])
        values, labels = self._results(record)
        numeric, probability = record.get("x"), record.get("p")
        probabilities, categorical = record.get("ps"), record.get("c")
        if len(values) != n_rows or (probability is not None and len(probability) != n_rows):
            raise ValueError("columns of different length")
        if record.get("n") and numeric is not None:
            numeric = [row if row is None else numbers(row) for row in numeric]
        for rows in (numeric, probabilities, categorical):
            if rows is not None and (
                len(rows) != n_rows or not all(type(row) in _LIST_OR_NONE for row in rows)
            ):
                raise ValueError("columns of different length")
        self.ids += ids if n_rows == 1 and type(ids[0]) is str else map(str, ids)
        place = self._origins.get(origin)
        if place is None:
            place = self._origins[origin] = len(self._origins)
        models.add(origin[:3])
        self._values += values
        self._labels += labels
        self._probability += [None] * n_rows if probability is None else probability
        self._origin += [place] * n_rows
        self._times += [moment] * n_rows
        self._latency += [latency] * n_rows
        self._requests += [record.get("q")] * n_rows
        self._numeric.add(numeric, n_rows)
        self._categorical.add(categorical, n_rows)
        self._probabilities.add(probabilities, n_rows)
        return n_rows

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

    def _results(self, record: Mapping[str, Any]) -> tuple[Sequence[Any], Sequence[str | None]]:
        """`prediction` (value, numeric class or the class's position) and `label` of a line's rows."""
        values, classes = record["y"], record.get("o")
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


_LIST_OR_NONE = (list, type(None))


class _Lists:
    """A column of lists: all their values one after the other, and how many each row has."""

    def __init__(self) -> None:
        self._values: list[Any] = []
        self._ends: list[int] = [0]
        self._nulls: list[bool] = []

    def add(self, rows: Sequence[Sequence[Any] | None] | None, n_rows: int) -> None:
        if rows is None:
            self._ends += [self._ends[-1]] * n_rows
            self._nulls += [True] * n_rows
            return
        for row in rows:
            if row is not None:
                self._values += row
            self._ends.append(len(self._values))
            self._nulls.append(row is None)

    def array(self, kind: Any, tidied: Callable[[Sequence[Any]], Sequence[Any]]) -> Any:
        import pyarrow as pa

        return pa.ListArray.from_arrays(
            pa.array(self._ends, type=pa.int32()),
            _array(self._values, kind, tidied),
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
