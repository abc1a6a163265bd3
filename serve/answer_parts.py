"""Answers to a batch written in parts: JSON, JSON lines or CSV, as the client accepts.

What goes wrong after an answer has begun is told within it, as problem+json's document: JSON ends with
`"problem": {…}` beside `"predictions"`, JSON lines end with the line `{"problem": {…}}`. CSV has no place for
it: the last line begins with `problem: `, and the connection is cut, which every client reports.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any, Protocol

import orjson

from serve.answers import CSV, JSON, Answers, flat_rows

LINES = "application/x-ndjson"
_LINES_TYPES = frozenset(
    {LINES, "application/ndjson", "application/jsonl", "application/x-jsonlines", "application/jsonlines"}
)


class AnswerWriter(Protocol):
    """Makes the bytes of an answer, part by part."""

    media_type: str
    is_cut_off: bool
    """Whether an answer with a problem has no proper end."""

    def rows(self, answers: Answers) -> bytes: ...

    def end(self) -> bytes: ...

    def problem(self, document: Mapping[str, Any]) -> bytes: ...


def answer_writer(accept: str) -> AnswerWriter:
    """The format that the client names first; JSON where it names none."""
    for part in accept.lower().split(","):
        media_type = part.partition(";")[0].strip()
        if media_type in ("text/csv", "application/csv"):
            return CsvWriter()
        if media_type in _LINES_TYPES:
            return LineWriter()
        if media_type in (JSON, "*/*", "application/*"):
            break
    return JsonWriter()


class JsonWriter:
    """{"predictions": […]}"""

    media_type = JSON
    is_cut_off = False

    def __init__(self) -> None:
        self._is_begun = False

    def rows(self, answers: Answers) -> bytes:
        before = b"," if self._is_begun else b'{"predictions":['
        self._is_begun = True
        return before + answers.text()

    def end(self) -> bytes:
        return b"]}"

    def problem(self, document: Mapping[str, Any]) -> bytes:
        return b'],"problem":' + orjson.dumps(document) + b"}"


class LineWriter:
    """One object a line."""

    media_type = LINES
    is_cut_off = False

    def rows(self, answers: Answers) -> bytes:
        return answers.text("\n") + b"\n"

    def end(self) -> bytes:
        return b""

    def problem(self, document: Mapping[str, Any]) -> bytes:
        return orjson.dumps({"problem": document}, option=orjson.OPT_APPEND_NEWLINE)


class CsvWriter:
    """A header, then a line a row."""

    media_type = CSV
    is_cut_off = True

    def __init__(self) -> None:
        self._names: list[str] = []

    def rows(self, answers: Answers) -> bytes:
        flat = flat_rows(answers.rows())
        out = io.StringIO(newline="")
        writer = csv.writer(out, lineterminator="\n")
        if not self._names:
            self._names = list(flat[0])
            writer.writerow(self._names)
        writer.writerows(row.values() for row in flat)
        return out.getvalue().encode()

    def end(self) -> bytes:
        return b""

    def problem(self, document: Mapping[str, Any]) -> bytes:
        out = io.StringIO(newline="")
        text = f"problem: {document['detail']} (request {document['request_id']})"
        csv.writer(out, lineterminator="\n").writerow([text, *[""] * (len(self._names) - 1)])
        return out.getvalue().encode()
