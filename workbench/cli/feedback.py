"""`workbench feedback`: ground truth from a file."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import click

from workbench.cli.invocation import Invocation, json_option, pass_invocation

CHUNK_ROWS = 5_000
_COLUMNS = ("prediction_id", "actual", "timestamp")
Item = tuple[str, Any, datetime | None]
_NUMBER = re.compile(r"[+-]?(0|[1-9][0-9]*)(\.[0-9]*)?([eE][+-]?[0-9]+)?")


@click.command()
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@json_option
@pass_invocation
def feedback(invocation: Invocation, file: Path, as_json: bool) -> None:
    """Tell what really happened: FILE has prediction_id, actual and, if known, timestamp.

    CSV, JSON lines or Parquet; - reads stdin (no Parquet). It is written to the prediction log directly: no
    server is needed.
    Labels of ids that nobody logged are kept and counted as unknown; so are labels that are no class of the
    model that predicted, and you are told which.
    """
    from store.errors import StorageError
    from store.feedback import give_feedback, published_classes
    from store.log import PredictionLog
    from store.predictions import PredictionReader
    from workbench.output import print_json, say

    layout = invocation.layout.ensure()
    reader, classes_of = PredictionReader(layout), published_classes(layout)
    log = PredictionLog(layout, invocation.project.settings.store, "feedback")
    accepted = unknown = unexpected = 0
    odd: dict[str, tuple[str, ...]] = {}
    try:
        with open_items(file) as items:
            while chunk := list(islice(items, CHUNK_ROWS)):
                receipt = give_feedback(log, reader, chunk, classes_of)
                if receipt.lost:
                    raise StorageError(
                        f"{len(chunk)} labels could not be logged: {log.problem}",
                        f"{accepted + unknown} before them are; mend that and give the rest again.",
                    )
                accepted, unknown = accepted + receipt.accepted, unknown + receipt.unknown
                unexpected += receipt.unexpected
                for label in receipt.unexpected_labels:
                    odd.setdefault(label, receipt.expected_classes)
    finally:
        log.close()
    counts = {"accepted": accepted, "unknown": unknown}
    if as_json:
        print_json(counts | ({"unexpected": unexpected} if unexpected else {}))
    else:
        print(f"{accepted} labels accepted, {unknown} for predictions that are not in the log.")
    if unexpected:
        few = ", ".join(repr(label[:50]) for label in [*odd][:3])
        known = ", ".join(next(iter(odd.values())))[:200]
        say(f"{unexpected} are kept, but no class of the model that predicted: {few}; there are: {known}.")


@contextmanager
def open_items(file: Path) -> Iterator[Iterator[Item]]:
    """The labels in a file of any of the formats."""
    if file.suffix == ".parquet":
        yield _parquet_items(file)
        return
    with open_text(file) as stream:
        yield read_items(stream, str(file))


def open_text(file: Path) -> TextIO:
    """The file (or stdin for -) as text, decompressed where its name ends in .gz."""
    import gzip
    import sys

    from store.errors import DataError, NotFoundError

    if str(file) == "-":
        return sys.stdin
    try:
        if file.suffix == ".gz":
            return gzip.open(file, "rt", encoding="utf-8-sig", newline="")
        return file.open(encoding="utf-8-sig", newline="")
    except FileNotFoundError as error:
        raise NotFoundError(f"no file {file}", "Check the path.") from error
    except OSError as error:
        hint = "Name a file, or - for stdin." if file.is_dir() else "Check its permissions."
        raise DataError(f"cannot read {file}: {error.strerror}", hint) from error


def read_items(stream: TextIO, name: str) -> Iterator[Item]:
    """Each row as (prediction id, label, when it was observed); raises DataError with the line's number."""
    import csv

    from store.errors import DataError

    try:
        first = next((line for line in stream if line.strip()), None)
        if first is None:
            raise DataError(f"{name} is empty", "It needs prediction_id and actual.")
        first = first.removeprefix("\ufeff")  # what a spreadsheet puts before all, on stdin too
        rows = (
            _json_rows(first, stream, name) if first.lstrip()[0] in "{[" else _csv_rows(first, stream, name)
        )
        for line, row in rows:
            yield _item(row, f"{name} line {line}")
    except (UnicodeDecodeError, EOFError, csv.Error) as error:
        raise DataError(f"{name} is neither CSV nor JSON lines: {error}", "Save it as UTF-8 text.") from error


def _parquet_items(file: Path) -> Iterator[Item]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from store.errors import DataError, NotFoundError

    number = 0
    try:
        with pq.ParquetFile(file) as opened:
            _require_columns(str(file), opened.schema_arrow.names)
            wanted = [name for name in _COLUMNS if name in opened.schema_arrow.names]
            for batch in opened.iter_batches(CHUNK_ROWS, columns=wanted):
                for row in batch.to_pylist():
                    number += 1
                    yield _item({name: _from_arrow(v) for name, v in row.items()}, f"{file} row {number}")
    except FileNotFoundError as error:
        raise NotFoundError(f"no file {file}", "Check the path.") from error
    except (pa.ArrowException, OSError) as error:
        text = str(error).split("\n")[0]
        raise DataError(f"{file} can't be read as Parquet: {text}", "Write it again, or as CSV.") from error


def _from_arrow(value: Any) -> Any:
    """Decimals as numbers, NaN as nothing; times and what else there is as text."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, float) and math.isnan(value):
        return None
    return value if value is None or isinstance(value, (bool, int, float, str, list, dict)) else str(value)


def _require_columns(name: str, columns: Sequence[str]) -> None:
    from store.errors import DataError

    missing = [column for column in ("prediction_id", "actual") if column not in columns]
    if missing:
        some = ", ".join(columns[:8]) + (", …" if len(columns) > 8 else "")
        raise DataError(f"{name} has no column {missing[0]}", f"It has: {some}.")


def _csv_rows(first: str, stream: TextIO, name: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    import csv
    from itertools import chain

    from store.errors import DataError

    delimiter = max(",;\t|", key=first.count)
    reader = csv.DictReader(chain([first], stream), delimiter=delimiter)
    reader.fieldnames = [column.strip() for column in reader.fieldnames or ()]
    _require_columns(name, reader.fieldnames)
    for row in reader:
        if None in row or None in row.values():
            raise DataError(
                f"{name} line {reader.line_num} has not as many values as the header",
                f"{len(reader.fieldnames)} are expected.",
            )
        yield reader.line_num, {key: _plain(value) for key, value in row.items()}


def _json_rows(first: str, stream: TextIO, name: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    from itertools import chain

    from store.errors import DataError

    if first.lstrip().startswith("["):
        try:
            rows = json.loads(first + stream.read())
        except ValueError as error:
            raise DataError(f"{name} is not valid JSON: {error}", "Mend that line.") from error
        yield from enumerate(rows, 1)
        return
    for number, line in enumerate(chain([first], stream), 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except ValueError as error:
                raise DataError(
                    f"{name} line {number} is not valid JSON: {error}", "Mend that line."
                ) from error


def _item(row: object, where: str) -> Item:
    from store.errors import DataError

    if not isinstance(row, Mapping) or not row.get("prediction_id"):
        raise DataError(f"{where} has no prediction_id", "Each row needs prediction_id and actual.")
    actual = row.get("actual")
    if actual is None or actual == "" or isinstance(actual, (list, dict)):
        raise DataError(f"{where} has no label in actual", "It must be a number, a text or true/false.")
    moment = row.get("timestamp")
    return str(row["prediction_id"]), actual, _moment(moment, where) if moment not in (None, "") else None


def _moment(value: object, where: str) -> datetime:
    from store.errors import DataError

    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
        moment = datetime.fromisoformat(str(value))
    except (ValueError, OverflowError, OSError) as error:
        raise DataError(
            f"{where}: timestamp {value!r} is no time", "Write it as 2026-01-31T12:00:00Z."
        ) from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _plain(text: str) -> Any:
    """A CSV value as the number or truth value it spells, else as it is; codes such as 007 stay text."""
    text = text.strip()
    if _NUMBER.fullmatch(text):
        return int(text) if text.lstrip("+-").isdigit() else float(text)
    return {"true": True, "false": False}.get(text.lower(), text)
