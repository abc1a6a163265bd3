"""Records taken from a body piece by piece: CSV, JSON lines and lists in JSON, whatever their size."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import orjson

from serve.bodies import BOM, Rows, body_format, may_hold_booleans, parse_json, rows_of_json
from serve.body_weight import check_json
from serve.problems import Problem, first_repeated, shown

_LIST_START = re.compile(rb'\s*(?:\[|\{\s*"(records|features)"\s*:\s*\[)')
_SPLITS_TRIED = 8
_DELIMITERS = ",;\t|"


@dataclass(frozen=True)
class Part:
    """Some records. `names` are the columns of a CSV file, whose rows are then lists of texts.

    `may_hold_booleans` is that of `serve.bodies.Rows`.
    """

    rows: list[Any]
    names: tuple[str, ...] | None = None
    may_hold_booleans: bool = True


class Parts(Protocol):
    """Takes a body's bytes in and gives its records out; raises Problem for what is none."""

    def feed(self, data: bytes) -> Part: ...

    def finish(self) -> Part: ...


def read_rows(body: bytes, content_type: str, names: tuple[str, ...]) -> Rows:
    """The records in a whole body; `names` are the model's features, which decide what `features` means.

    Problem 400 for what is no JSON or CSV, 422 for JSON of another shape and for no record at all.
    """
    kind = body_format(content_type)
    if kind == "json":
        rows = rows_of_json(parse_json(body), names)
        rows = replace(rows, may_hold_booleans=may_hold_booleans(body))
    else:
        parts = CsvParts(names, len(body)) if kind == "csv" else LineParts(len(body))
        first, last = parts.feed(body), parts.finish()
        is_plain = kind == "jsonl" and not may_hold_booleans(body)
        rows = Rows(first.rows + last.rows, columns=last.names, may_hold_booleans=not is_plain)
    if not rows.rows:
        raise no_record()
    return rows


def no_record() -> Problem:
    return Problem(422, "no record in the body; expected at least one")


class LineParts:
    """JSON lines; empty lines mean nothing."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._rest = b""
        self._line = 0

    def feed(self, data: bytes) -> Part:
        whole, newline, self._rest = (self._rest + data).rpartition(b"\n")
        part = self._part(whole) if newline else Part([])
        _check_length(self._rest, self._longest, f"line {self._line + 1}")
        return part

    def finish(self) -> Part:
        rest, self._rest = self._rest, b""
        return self._part(rest)

    def _part(self, lines: bytes) -> Part:
        return Part(list(self._records(lines)), may_hold_booleans=may_hold_booleans(lines))

    def _records(self, lines: bytes) -> Iterator[Any]:
        for line in lines.split(b"\n"):
            self._line += 1
            if self._line == 1:
                line = line.removeprefix(BOM)
            text = line.strip()
            if text:
                try:
                    yield orjson.loads(text)
                except orjson.JSONDecodeError:
                    yield self._explained(text)

    def _explained(self, text: bytes) -> Any:
        try:
            return parse_json(text)
        except Problem as problem:
            raise Problem(400, f"line {self._line}: {problem.detail.replace('the body', 'it')}") from None


class CsvParts:
    """CSV with a header. `features` are the model's, which decide what the delimiter is."""

    def __init__(self, features: tuple[str, ...], longest: int) -> None:
        self._features = frozenset(features)
        self._longest = longest
        self._names: tuple[str, ...] | None = None
        self._delimiter = ","
        self._rest = b""
        self._next_try = 0
        self._lines_before = 0

    def feed(self, data: bytes) -> Part:
        data = self._rest + data
        if len(data) < self._next_try:
            self._rest = data
            return Part([])
        end = data.rfind(b"\n") + 1
        if not end:  # old files end their lines with a carriage return alone; the last one may be half an end
            end = data[:-1].rfind(b"\r") + 1
        self._rest = data[end:]
        part = self._records(data[:end], is_end=False)
        _check_length(self._rest, self._longest, f"the record after line {self._lines_before}")
        # A record without an end is not read over and over.
        self._next_try = 0 if part.rows else 2 * len(self._rest)
        return part

    def finish(self) -> Part:
        data, self._rest = self._rest, b""
        return self._records(data, is_end=True)

    def _records(self, data: bytes, *, is_end: bool) -> Part:
        if self._names is None:
            data = data.removeprefix(BOM)
        try:
            lines = list(io.StringIO(data.decode("utf-8"), newline=""))
        except UnicodeDecodeError:
            raise Problem(400, "the CSV is not UTF-8 text") from None
        if self._names is None and lines:
            self._delimiter = _delimiter(lines, self._features)
        reader = _reader(lines, self._delimiter)
        rows: list[list[str]] = []
        done = 0
        try:
            if self._names is None and lines:
                self._names = _names(reader)
                done = reader.line_num
            width = len(self._names or ())
            for row in reader:
                if row and len(row) != width:
                    line = self._lines_before + reader.line_num
                    raise Problem(
                        422, f"line {line}: {len(row)} values, but the header names {width} columns"
                    )
                if row:
                    rows.append(row)
                done = reader.line_num
        except csv.Error as error:
            if is_end or "unexpected end" not in str(error):
                line = self._lines_before + reader.line_num
                raise Problem(400, f"line {line}: not valid CSV: {error}") from None
            # A record goes on in what is still to come.
            self._rest = "".join(lines[done:]).encode() + self._rest
            lines = lines[:done]
        self._lines_before += len(lines)
        return Part(rows, self._names)


class ListParts:
    """A list of records in JSON, by itself or under "records" or "features".

    It is cut where a comma follows a record: text that parses as a list up to there has no other reading.
    `names` are the model's features, which decide what `features` means.
    """

    def __init__(self, names: tuple[str, ...], longest: int) -> None:
        self._names = names
        self._longest = longest
        self._opening: bytes | None = None
        """What the list began with; None as long as none has."""
        self._rest = b""
        self._next_try = 0
        self._n_records = 0

    def feed(self, data: bytes) -> Part:
        self._rest += data
        if self._opening is None:
            self._rest = self._rest.removeprefix(BOM).lstrip()
            begun = _LIST_START.match(self._rest)
            key = begun.group(1).decode() if begun is not None and begun.group(1) else None
            if begun is None or key in self._names:
                _check_length(self._rest, self._longest, "the record")
                return Part([])
            self._opening, self._rest = self._rest[: begun.end()], self._rest[begun.end() :]
        if len(self._rest) < self._next_try:
            return Part([])
        cut = len(self._rest)
        for _ in range(_SPLITS_TRIED):
            cut = max(self._rest.rfind(b"}", 0, cut), self._rest.rfind(b"]", 0, cut))
            if cut < 0:
                break
            after = self._rest[cut + 1 :].lstrip()
            if after.startswith(b","):
                text = self._rest[: cut + 1]
                try:
                    rows = orjson.loads(b"[" + text + b"]")
                except orjson.JSONDecodeError:
                    continue
                self._rest, self._next_try = after[1:], 0
                self._n_records += len(rows)
                return Part(rows, may_hold_booleans=may_hold_booleans(text))
        _check_length(self._rest, self._longest, f"record {self._n_records}")
        self._next_try = 2 * len(self._rest)  # so that what can't be cut is not read over and over
        return Part([])

    def finish(self) -> Part:
        if self._n_records and self._rest.lstrip().startswith(b"]"):
            raise Problem(400, "the body is not valid JSON: a comma before the end of the list")
        text, self._rest = (self._opening or b"") + self._rest, b""
        check_json(text)
        rows = rows_of_json(parse_json(text), self._names).rows
        return Part(rows, may_hold_booleans=may_hold_booleans(text))


def _check_length(rest: bytes, longest: int, where: str) -> None:
    if len(rest) > longest:
        raise Problem(413, f"{where} is longer than {longest} bytes")


def _reader(lines: Iterable[str], delimiter: str) -> Any:
    return csv.reader(lines, delimiter=delimiter, strict=True)


def _header(reader: Any) -> list[str]:
    return [name.strip() for name in next(reader, [])]


def _names(reader: Any) -> tuple[str, ...]:
    names = _header(reader)
    twice = first_repeated(names)
    if twice is not None:
        raise Problem(422, f"the CSV names column {shown(twice)} twice")
    return tuple(names)


def _delimiter(lines: Sequence[str], features: frozenset[str]) -> str:
    """The comma, unless another finds more features in the header."""

    def found(delimiter: str) -> int:
        try:
            return len(features.intersection(_header(_reader(lines, delimiter))))
        except csv.Error:
            return 0

    return max(_DELIMITERS, key=found)
