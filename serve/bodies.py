"""Request bodies: their formats, and the records that a JSON document means, in all its shapes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from serve.problems import Problem, shown

Format = Literal["json", "csv", "jsonl"]
_CSV_TYPES = frozenset({"text/csv", "application/csv", "text/tab-separated-values"})
_LINES_TYPES = frozenset(
    {
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl",
        "application/x-jsonlines",
        "application/jsonlines",
    }
)
# curl sends a form's type unless told otherwise, and many a client plain text or nothing: JSON all the same.
_JSON_TYPES = frozenset(
    {
        "",
        "application/json",
        "text/json",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/octet-stream",
    }
)
BOM = b"\xef\xbb\xbf"
_SHAPES = (
    '{"features": {…}}, {"features": […]}, {"records": [{…}, …]}, the record itself or a list of records'
)


@dataclass(frozen=True)
class Rows:
    """Records as they came: objects or lists. `is_single` asks for one answer, not a list of them."""

    rows: list[Any]
    is_single: bool = False
    columns: tuple[str, ...] | None = None
    """The columns of a CSV file, whose rows are lists of texts."""
    may_hold_booleans: bool = True
    """Whether `true` or `false` may be among the values, which Python takes for numbers."""


def body_format(content_type: str) -> Format:
    """The format a Content-Type names; Problem 415 for one that can't hold records."""
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type in _CSV_TYPES:
        return "csv"
    if media_type in _LINES_TYPES:
        return "jsonl"
    if media_type in _JSON_TYPES or media_type.endswith("+json"):
        return "json"
    raise Problem(
        415,
        f"content type {shown(media_type)} is not read here; send application/json, text/csv or JSON lines",
    )


def parse_json(body: bytes) -> Any:
    """The value of a JSON body; NaN and Infinity are let through for the check of fields to name them."""
    if body.startswith(BOM):
        body = body[len(BOM) :]
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if b"NaN" in body or b"Infinity" in body or "infinity" in str(error):
            # The standard library reads what Python clients send for NaN, and numbers beyond a double.
            try:
                return json.loads(body)
            except (ValueError, RecursionError):
                pass
        if not body.strip():
            raise Problem(400, "the body is empty; expected JSON") from None
        raise Problem(400, f"the body is not valid JSON: {error}") from None


def may_hold_booleans(text: bytes) -> bool:
    """Whether JSON may hold `true` or `false`, outside of its strings or within."""
    # A letter that is not there is missed ten times as quickly as a word.
    return (b"u" in text and b"true" in text) or (b"s" in text and b"false" in text)


def rows_of_json(value: Any, names: tuple[str, ...]) -> Rows:
    """The records that a parsed body means; Problem 422 for another shape."""
    if isinstance(value, dict):
        for key in ("features", "records"):
            if key in value and key not in names and isinstance(value[key], (dict, list)):
                extra = [name for name in value if name != key]
                if extra:
                    raise _wrong_shape(extra[0], f"unknown field beside {key!r}")
                return _of_features(value[key]) if key == "features" else _of_records(value[key])
        return Rows([value], is_single=True)
    if isinstance(value, list):
        return _of_features(value)
    raise Problem(422, f"expected {_SHAPES}; got {shown(value)}")


def _of_features(value: Any) -> Rows:
    """One record, or several where the list holds records."""
    if isinstance(value, list) and (not value or isinstance(value[0], (dict, list))):
        return Rows(value)
    return Rows([value], is_single=True)


def _of_records(value: Any) -> Rows:
    if not isinstance(value, list):
        raise _wrong_shape("records", "expected a list of records")
    return Rows(value)


def _wrong_shape(field: str, message: str) -> Problem:
    name = field[:100].encode("utf-8", "replace").decode("utf-8")
    return Problem(
        422, f"{name}: {message}; expected {_SHAPES}", errors=[{"field": name, "message": message}]
    )
