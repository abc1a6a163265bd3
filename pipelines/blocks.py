"""A data file of any size, read a block of rows at a time, each block knowing its lines."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from pipelines import delimited, json_lines, parquet
from pipelines.data import kind_of, unreadable
from store.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK_BYTES = 1 << 24
_BLOCK_ROWS = 65_536
_LONGEST_RECORD = 1 << 28


@dataclass(frozen=True)
class Block:
    """Rows of a file, typed by themselves: a column may be numbers in one block and text in the next."""

    table: pa.Table
    first_row: int
    """Position of its first row in the file, from 0."""
    text: bytes | None = None
    """What was parsed, for text tables."""
    first_line: int = 0
    delimiter: str = ","

    def place(self, row: int) -> str:
        """Where a row of the block is, in words: `line 24`, or `row 24` where a file has no lines."""
        number = self.line(row)
        return f"row {self.first_row + row + 1}" if number is None else f"line {number}"

    def line(self, row: int) -> int | None:
        """The line that a row of the block begins in; None where the file has no lines."""
        if self.text is None:
            return None
        is_plain = b'"' not in self.text and self.text.count(b"\n") in (
            self.table.num_rows,
            self.table.num_rows - 1,
        )
        if is_plain:
            return self.first_line + row
        text = io.StringIO(self.text.decode("utf-8", errors="replace"), newline="")
        reader = csv.reader(text, delimiter=self.delimiter)
        line, seen = self.first_line, 0
        for record in reader:
            if record:
                if seen == row:
                    break
                seen += 1
            line = self.first_line + reader.line_num
        return line


def read_blocks(path: Path) -> Iterator[Block]:
    """Yield the rows of a file in blocks; memory stays bounded.

    Raises DataError for a file that is empty, has a header only, is ragged (with the line's number), binary
    or cut off, and OSError where the system refuses to read it.
    """
    kind = kind_of(path)
    if kind == "text":
        yield from _text_blocks(path)
        return
    first_row = 0
    iterate = parquet.iterate if kind == "parquet" else json_lines.iterate
    for table in iterate(path, _BLOCK_ROWS):
        yield Block(table, first_row)
        first_row += table.num_rows


def _text_blocks(path: Path) -> Iterator[Block]:
    try:
        with delimited.open_bytes(path) as file:
            sample = file.read(delimited.SAMPLE_BYTES)
            encoding = delimited.encoding_of(path, sample)
            delimiter, names = delimited.read_header(path, sample, encoding)
            file.seek(0)
            line, first_row = 1, 0
            is_header = True
            for text in _records(path, _recoded(file, encoding)):
                if is_header:
                    head = _header_bytes(text)
                    line += text[:head].count(b"\n")
                    text, is_header = text[head:], False
                if text.strip():
                    table = delimited.parse_rows(path, text, delimiter, names, first_line=line, skip=0)
                    yield Block(table, first_row, text, line, delimiter)
                    first_row += table.num_rows
                line += text.count(b"\n")
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be decompressed: {error}", "Copy or compress it again.") from error
    except OSError as error:
        raise unreadable(path, error) from error


def _records(path: Path, file: BinaryIO) -> Iterator[bytes]:
    """Whole records: blocks that end at a line's end outside of quotes."""
    rest = b""
    while True:
        chunk = file.read(BLOCK_BYTES)
        if not chunk:
            break
        rest += chunk
        end = rest.rfind(b"\n") + 1
        if end and rest.count(b'"', 0, end) % 2 == 0:
            yield _utf8(rest[:end])
            rest = rest[end:]
        elif len(rest) > _LONGEST_RECORD:
            raise DataError(
                f"{path} has a quote that nothing closes, or no line ends",
                "Double the quotes within values, and quote such values.",
            )
    if rest:
        yield _utf8(rest)


def _utf8(text: bytes) -> bytes:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("cp1252", errors="replace").encode("utf-8")
    return text


def _recoded(file: BinaryIO, encoding: str) -> BinaryIO:
    """The file as UTF-8 without a byte order mark."""
    if encoding == "utf-8-sig":
        file.seek(3)
    if encoding in ("utf-8", "utf-8-sig"):
        return file
    reader = codecs.getreader(encoding)(file, "replace")
    return cast(BinaryIO, _Encoded(reader))


class _Encoded:
    def __init__(self, reader: codecs.StreamReader) -> None:
        self._reader = reader

    def read(self, size: int) -> bytes:
        return self._reader.read(size).encode("utf-8")


def _header_bytes(text: bytes) -> int:
    """Length of the header line with what is empty above it."""
    start = 0
    while True:
        end = text.find(b"\n", start)
        if end < 0:
            return len(text)
        if text[start:end].strip():
            while text.count(b'"', start, end) % 2 and (following := text.find(b"\n", end + 1)) >= 0:
                end = following
            return end + 1
        start = end + 1
