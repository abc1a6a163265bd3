"""Lines of the spool gathered into columns that DuckDB takes in one piece."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from store.records import Kind, decode, number, numbers, prediction_columns

if TYPE_CHECKING:
    import pyarrow as pa

_MALFORMED = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError)


class Batch:
    """Predictions, labels and schemas from any number of lines, in the order they were added."""

    def __init__(self) -> None:
        self.schemas: dict[str, tuple[tuple[str, ...], tuple[Kind, ...]]] = {}
        self.models: set[tuple[str, int, str]] = set()
        self._predictions: dict[str, list[Any]] = {name: [] for name in _PREDICTION_TYPES}
        self._feedback: dict[str, list[Any]] = {name: [] for name in _FEEDBACK_TYPES}

    @property
    def n_predictions(self) -> int:
        return len(self._predictions["prediction_id"])

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
        return _table(self._predictions, _PREDICTION_TYPES)

    def feedback(self) -> pa.Table:
        """The labels as an Arrow table with the columns of the table `feedback`."""
        return _table(self._feedback, _FEEDBACK_TYPES)

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
        ids = record["i"]
        n_rows = len(ids)
        values, labels = prediction_columns(record)
        moment = _datetime(record["t"])
        nothing = [None] * n_rows
        numeric = record.get("x", nothing)
        if record.get("n"):
            numeric = [row if row is None else numbers(row) for row in numeric]
        rows = {
            "prediction_id": [str(value) for value in ids],
            "model": [str(record["m"])] * n_rows,
            "version": [int(record["v"])] * n_rows,
            "schema_id": [str(record["s"])] * n_rows,
            "predicted_at": [moment] * n_rows,
            "prediction": values,
            "label": labels,
            "probability": record.get("p", nothing),
            "probabilities": record.get("ps", nothing),
            "numeric": numeric,
            "categorical": record.get("c", nothing),
            "latency_ms": [float(record["l"])] * n_rows,
            "role": [str(record["r"])] * n_rows,
            "request_id": [record.get("q")] * n_rows,
        }
        if any(len(column) != n_rows for column in rows.values()):
            raise ValueError("columns of different length")
        for name, column in rows.items():
            self._predictions[name].extend(column)
        self.models.add((str(record["m"]), int(record["v"]), str(record["s"])))

    def _add_feedback(self, record: Mapping[str, Any]) -> None:
        received = _datetime(record["t"])
        rows = [
            (str(prediction_id), str(label), number(actual), received, None if at is None else _datetime(at))
            for prediction_id, label, actual, at in record["rows"]
        ]
        for row in rows:
            for name, value in zip(_FEEDBACK_TYPES, row, strict=True):
                self._feedback[name].append(value)


_PREDICTION_TYPES = {
    "prediction_id": "string",
    "model": "string",
    "version": "int32",
    "schema_id": "string",
    "predicted_at": "timestamp",
    "prediction": "float64",
    "label": "string",
    "probability": "float64",
    "probabilities": "numbers",
    "numeric": "numbers",
    "categorical": "texts",
    "latency_ms": "float64",
    "role": "string",
    "request_id": "string",
}
_FEEDBACK_TYPES = {
    "prediction_id": "string",
    "label": "string",
    "actual": "float64",
    "received_at": "timestamp",
    "observed_at": "timestamp",
}


def _table(columns: Mapping[str, Sequence[Any]], types: Mapping[str, str]) -> pa.Table:
    import pyarrow as pa

    arrow = {
        "string": pa.string(),
        "int32": pa.int32(),
        "float64": pa.float64(),
        "timestamp": pa.timestamp("us"),
        "numbers": pa.list_(pa.float64()),
        "texts": pa.list_(pa.string()),
    }
    arrays = {}
    for name, values in columns.items():
        kind = types[name]
        try:
            arrays[name] = pa.array(values, type=arrow[kind])
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            # JSON tells 1 from 1.0 and true, and takes integers that no double holds.
            arrays[name] = pa.array(_tidied(values, kind), type=arrow[kind])
    return pa.table(arrays)


def _tidied(values: Sequence[Any], kind: str) -> Sequence[Any]:
    if kind == "float64":
        return numbers(values)
    if kind == "numbers":
        return [None if row is None else numbers(row) for row in values]
    if kind == "texts":
        return [None if row is None else [None if v is None else str(v) for v in row] for row in values]
    if kind == "string":
        return [None if value is None else str(value) for value in values]
    return values


def _datetime(microseconds: int) -> datetime:
    """A UTC time without zone, as the tables hold it."""
    return datetime.fromtimestamp(microseconds // 1_000_000, UTC).replace(
        microsecond=microseconds % 1_000_000, tzinfo=None
    )
