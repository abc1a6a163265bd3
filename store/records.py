"""What the spool's lines say: predictions, the features they name, and feedback, as JSON and bytes.

A prediction line is one request, a batch of more than MAX_ROWS rows several lines, and requests of one row
that were answered in the same moment share one: then `l` and `q` are theirs, row by row, or `q` is 1 where
each has its prediction's id. Columns of doubles that come as arrays (numeric features, predictions,
probabilities) follow the JSON as a block of their bytes, little-endian: digits would take ten times as long
to write and to read. `b` names them in their order, with how many numbers a row has, 0 for one that is no
list.

Else they are numbers, and as JSON has no NaN or infinity, and a feature that was not given differs from one
that is not a number, in a line marked `"n": 1` the three are the strings "nan", "inf" and "-inf" among the
numbers, null is "not given".
"""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import orjson

Kind = Literal["numeric", "categorical"]

MAX_ROWS = 1_000
VERSIONS = range(-(2**31), 2**31)
"""The versions that the log can hold."""
BLOCK = "b"
"""The key that names the columns whose numbers are bytes."""
BASE64 = "x64"
"""The key of the numeric features as bytes in base64, in lines of earlier versions."""
OWN_ID: Literal[1] = 1
"""Stands where a request's id would: it is that of its prediction."""
OF_DOUBLES = {"x": 2, "y": 1, "p": 1, "ps": 2}
"""The columns that can be bytes, and how many dimensions each has."""
_BY_ROW = {
    "y": "predictions",
    "x": "numeric",
    "p": "probability",
    "ps": "probabilities",
    "c": "categorical",
}
IS_LITTLE = sys.byteorder == "little"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class FeatureSchema:
    """Names and kinds of a model's features, in its order.

    Of a row, `numeric` holds the values of the numeric features (numbers, booleans as 0 and 1, datetimes as
    epoch seconds) and `categorical` those of the categorical ones (text), each in this order.
    """

    names: tuple[str, ...]
    kinds: tuple[Kind, ...]
    numeric_names: tuple[str, ...] = field(init=False, repr=False, compare=False)
    categorical_names: tuple[str, ...] = field(init=False, repr=False, compare=False)
    _schema_id: str | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.names) != len(self.kinds):
            raise ValueError(f"{len(self.names)} feature names but {len(self.kinds)} kinds")
        for kind in ("numeric", "categorical"):
            names = tuple(n for n, k in zip(self.names, self.kinds, strict=True) if k == kind)
            object.__setattr__(self, f"{kind}_names", names)

    @property
    def schema_id(self) -> str:
        """The same for the same names and kinds everywhere and always."""
        # No cached property: in Python 3.11 that has a lock, which a forked child could wait for forever.
        found = self._schema_id
        if found is None:
            text = orjson.dumps([list(self.names), list(self.kinds)])
            found = hashlib.blake2b(text, digest_size=8).hexdigest()
            object.__setattr__(self, "_schema_id", found)
        return found


def encode_schema(schema: FeatureSchema) -> bytes:
    """The declaration of a schema, written once in each segment that uses it."""
    return orjson.dumps({"k": "s", "s": schema.schema_id, "names": schema.names, "kinds": schema.kinds})


def encode_origin(
    *, model: str, version: int, schema_id: str, role: str, classes: Sequence[Any] | None
) -> bytes:
    """The beginning of a payload, which is the same for all requests to a model version.

    Raises ValueError for a version that the log can't hold.
    """
    if int(version) not in VERSIONS:
        raise ValueError(f"version {version} is no integer of 32 bits")
    record: dict[str, Any] = {"k": "p", "m": model, "v": version, "s": schema_id, "r": role}
    if classes is not None:
        record["o"] = classes
    return _dump(record)[:-1] + b","


def encode_predictions(
    origin: bytes,
    *,
    prediction_ids: Sequence[str],
    predicted_at: datetime | int,
    predictions: Sequence[Any],
    probability: Sequence[float] | None,
    probabilities: Sequence[Sequence[float]] | None,
    numeric: Sequence[Sequence[float | None]] | None,
    categorical: Sequence[Sequence[str | None]] | None,
    latency_ms: float | list[float],
    request_id: str | list[str] | Literal[1],
) -> list[list[Any]]:
    """The payloads of one request, or of several of one row each, whose latencies and ids are lists.

    OWN_ID in place of the ids says that each has its prediction's.

    Each is in pieces that follow each other, bytes or arrays of them: long ones are costly to copy. The time
    may be in microseconds since 1970; arrays may be numpy's. Raises TypeError or ValueError.
    """
    n_rows = len(prediction_ids)
    record: dict[str, Any] = {
        "t": predicted_at if isinstance(predicted_at, int) else microseconds(predicted_at),
        "l": latency_ms if isinstance(latency_ms, list) else round(float(latency_ms), 3),
        "i": prediction_ids,
        "y": predictions,
    }
    fits = len(predictions) == n_rows
    if numeric is not None:
        record["x"] = numeric
        fits = fits and len(numeric) == n_rows
    if probability is not None:
        record["p"] = probability
        fits = fits and len(probability) == n_rows
    if probabilities is not None:
        record["ps"] = probabilities
        fits = fits and len(probabilities) == n_rows
    if categorical is not None:
        record["c"] = categorical
        fits = fits and len(categorical) == n_rows
    if not fits:
        wrong = next(key for key in _BY_ROW if key in record and len(record[key]) != n_rows)
        raise ValueError(f"{n_rows} prediction ids but {len(record[wrong])} rows of {_BY_ROW[wrong]}")
    if request_id:
        record["q"] = request_id
    if n_rows <= MAX_ROWS:
        return [_payload(origin, record)]
    payloads = []
    for start in range(0, n_rows, MAX_ROWS):
        rows = slice(start, start + MAX_ROWS)
        part = {
            key: value[rows] if key in _BY_ROW or (key in "lq" and isinstance(value, list)) else value
            for key, value in record.items()
        }
        part["i"] = prediction_ids[rows]
        payloads.append(_payload(origin, part))
    return payloads


def encode_feedback(items: Sequence[tuple[str, Any, datetime | None]], received_us: int) -> Iterator[bytes]:
    """Yield the payloads of labels: (prediction id, label, when it was observed)."""
    for start in range(0, len(items), MAX_ROWS):
        rows = [
            [prediction_id, class_text(label), number(label), None if at is None else microseconds(at)]
            for prediction_id, label, at in items[start : start + MAX_ROWS]
        ]
        yield _dump({"k": "f", "t": received_us, "rows": rows})


def decode(payload: bytes) -> dict[str, Any] | None:
    """The record in a payload, without what is in its block; None where it is none of ours."""
    try:
        record = orjson.loads(payload.partition(b"\n")[0])
    except orjson.JSONDecodeError:
        return None
    return record if isinstance(record, dict) and record.get("k") in ("p", "s", "f") else None


def numbers(row: Sequence[Any]) -> list[float | None]:
    """A row of a marked line, or of any that holds more than floats and nulls, as floats and None."""
    return [None if value is None else _float(value) for value in row]


def class_text(label: Any) -> str:
    """A class or label as text: the same for 1, 1.0, True's number aside, and numpy's forms of them."""
    label = getattr(label, "item", lambda: label)()
    if isinstance(label, bool):
        return "true" if label else "false"
    if isinstance(label, float) and label.is_integer() and abs(label) < 2**63:
        return str(int(label))
    return str(label)


def spellings(label: Any) -> set[str]:
    """The classes, as `class_text` writes them, that a label given by somebody can mean."""
    text = class_text(label)
    found = {text}
    if text.lower() in ("true", "false"):
        found |= {text.lower(), "1" if text.lower() == "true" else "0"}
    value = number(text)
    if value is not None:
        found.add(class_text(value))
        if value in (0, 1):
            found.add("true" if value else "false")
    return found


def number(label: Any) -> float | None:
    """A label as a number; None for text that is none."""
    label = getattr(label, "item", lambda: label)()
    try:
        value = float(label)
    except (TypeError, ValueError, OverflowError):
        return {"true": 1.0, "false": 0.0}.get(label.lower()) if isinstance(label, str) else None
    return value if math.isfinite(value) else None


def class_numbers(classes: Sequence[Any]) -> dict[str, float]:
    """The number of each class, by its text: its own where all are numbers, else its position."""
    texts = [class_text(value) for value in classes]
    if all(isinstance(value, (int, float)) for value in classes):
        return {text: float(value) for text, value in zip(texts, classes, strict=True)}
    return {text: float(position) for position, text in enumerate(texts)}


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970; a time without a zone is UTC."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MICROSECOND


def _payload(origin: bytes, record: dict[str, Any]) -> list[Any]:
    """A record as JSON and its block; what isn't finite among JSON's numbers would be null and is marked."""
    block = _take_block(record) if IS_LITTLE else []
    try:
        text = orjson.dumps(record, _plain, orjson.OPT_SERIALIZE_NUMPY)
        is_marked = b"null" in text
    except TypeError:  # an integer beyond 64 bits
        is_marked = True
    if is_marked:
        for key in ("y", "x"):
            if key in record:
                _put_numbers(record, key, record[key])
        text = _dump(record)
    return [origin, text[1:], b"\n", *block] if block else [origin, text[1:]]


def _take_block(record: dict[str, Any]) -> list[Any]:
    """Take the arrays of doubles out of a record."""
    names: list[tuple[str, int]] = []
    block: list[Any] = []
    for key, n_dimensions in OF_DOUBLES.items():
        value = record.get(key)
        if value is None or type(value) is list:
            continue
        kind = getattr(value, "dtype", None)
        if kind is None or kind.char not in "df":
            continue
        shape = value.shape
        if len(shape) != n_dimensions or 0 in shape:
            continue
        if kind.char == "f" or not kind.isnative:
            value = value.astype("<f8")
        if n_dimensions == 2:
            names.append((key, shape[1]))
            block.append(value if value.flags.c_contiguous else value.copy())
        else:
            names.append((key, 0))
            block.append(value.tobytes())  # small, and often every other number of something else
        del record[key]
    if block:
        record[BLOCK] = names
    return block


def _put_numbers(record: dict[str, Any], key: str, values: Any) -> None:
    """Store numbers as they are, unless JSON would turn one that isn't finite into null."""
    try:
        text = _dump(values)
    except TypeError:  # an integer beyond 64 bits
        text = b"null"
    if b"null" not in text:
        record[key] = orjson.Fragment(text)
        return
    rows = values.tolist() if hasattr(values, "tolist") else values
    record[key] = [[*map(_marked, row)] if _is_row(row) else _marked(row) for row in rows]
    record["n"] = 1


def _is_row(value: Any) -> bool:
    return hasattr(value, "__len__") and not isinstance(value, (str, bytes))


def _marked(value: Any) -> Any:
    value = getattr(value, "item", lambda: value)()
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        value = _float(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _dump(value: Any) -> bytes:
    return orjson.dumps(value, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY)


def _plain(value: Any) -> Any:
    """What orjson doesn't take: arrays that aren't contiguous, numpy text, huge integers, decimals."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, (tuple, set, frozenset)):
        return list(value)
    if hasattr(value, "__float__"):
        return float(value)
    return str(value)


def _float(value: Any) -> float | None:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
    except (TypeError, ValueError):
        return None
