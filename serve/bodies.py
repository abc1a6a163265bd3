"""Request bodies: JSON in all its shapes, JSON lines and CSV, read into rows that are not checked yet."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from serve.problems import Problem, shown

Format = Literal["json", "csv", "jsonl"]
_CSV_TYPES = frozenset({"text/csv", "application/csv", "text/tab-separated-values"})
_DELIMITERS = ",;\t|"
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
_BOM = b"\xef\xbb\xbf"
_SHAPES = (
    '{"features": {…}}, {"features": […]}, {"records": [{…}, …]}, the record itself or a list of records'
)


@dataclass(frozen=True)
class Rows:
    """Records as they came: objects or lists. `is_single` asks for one answer, not a list of them."""

    rows: list[Any]
    is_single: bool = False
    is_text: bool = False
    """Whether the values are the cells of a CSV file."""


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


def read_rows(body: bytes, content_type: str, names: tuple[str, ...]) -> Rows:
    """The records in a body; `names` are the model's features, which decide what `features` means.

    Problem 400 for what is no JSON or CSV, 422 for JSON of another shape and for no record at all.
    """
    kind = body_format(content_type)
    if kind == "csv":
        return _nonempty(Rows(_read_csv(body, names), is_text=True))
    if kind == "jsonl":
        return _nonempty(Rows(_read_lines(body)))
    return _nonempty(_rows_of(parse_json(body), names))


def parse_json(body: bytes) -> Any:
    """The value of a JSON body; NaN and Infinity are let through for the check of fields to name them."""
    if body.startswith(_BOM):
        body = body[len(_BOM) :]
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


def _rows_of(value: Any, names: tuple[str, ...]) -> Rows:
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


def _nonempty(rows: Rows) -> Rows:
    if not rows.rows:
        raise Problem(422, "no record in the body; expected at least one")
    return rows


def _read_lines(body: bytes) -> list[Any]:
    rows = []
    if body.startswith(_BOM):
        body = body[len(_BOM) :]
    for number, line in enumerate(body.splitlines(), 1):
        if line.strip():
            try:
                rows.append(parse_json(line))
            except Problem as error:
                raise Problem(400, f"line {number}: {error.detail}") from None
    return rows


def _read_csv(body: bytes, features: tuple[str, ...]) -> list[Any]:
    """Rows by the names in the first line, whose delimiter is the one that finds the most features there.

    Problem 400 for what is no CSV text.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Problem(400, "the CSV is not UTF-8 text") from None
    reader = _reader(text, _delimiter(text, frozenset(features)))
    rows: list[Any] = []
    try:
        names = _header(reader)
        if len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise Problem(422, f"the CSV names column {shown(twice)} twice")
        for row in reader:
            if not row:
                continue
            if len(row) != len(names):
                raise Problem(
                    422,
                    f"line {reader.line_num}: {len(row)} values, but the header names {len(names)} columns",
                )
            rows.append(dict(zip(names, row, strict=True)))
    except csv.Error as error:
        raise Problem(400, f"line {reader.line_num}: not valid CSV: {error}") from None
    return rows


def _reader(text: str, delimiter: str) -> Any:
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)


def _header(reader: Any) -> list[str]:
    return [name.strip() for name in next(reader, [])]


def _delimiter(text: str, features: frozenset[str]) -> str:
    """The comma unless another finds more."""

    def found(delimiter: str) -> int:
        try:
            return len(features.intersection(_header(_reader(text, delimiter))))
        except csv.Error:
            return 0

    return max(_DELIMITERS, key=found)
