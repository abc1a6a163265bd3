"""Text tables of any delimiter: found out by looking, parsed strictly, complained about by line number."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from pipelines.codes import with_codes_as_text
from pipelines.data import file_format, unreadable
from store.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

DELIMITERS = (",", ";", "\t", "|", "^", "~", ":")
NULL_WORDS = (
    "", "NA", "N/A", "n/a", "NaN", "nan", "-NaN", "-nan", "NULL", "null", "None", "<NA>", "#N/A", "#NA",
    "#N/A N/A", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN",
)  # fmt: skip
"""Words that stand for a missing value: those of pandas."""

SAMPLE_BYTES = 65_536


def parse(path: Path, content: bytes) -> pa.Table:
    """The whole table; DataError when it is empty, has a header only, is ragged or no text."""
    text = _as_utf8(path, content)
    delimiter, names = _header(path, text[:SAMPLE_BYTES], whole=len(text) <= SAMPLE_BYTES)
    return parse_rows(path, text, delimiter, names, first_line=1, skip=1)


def iterate(path: Path, rows: int) -> Iterator[pa.Table]:
    """Yield tables of at most `rows` rows; quoted line breaks stay within their record."""
    with open_bytes(path) as file:
        try:
            sample = file.read(SAMPLE_BYTES)
            encoding = encoding_of(path, sample)
            delimiter, names = _header(path, _recode(sample, encoding), whole=len(sample) < SAMPLE_BYTES)
            file.seek(0)
            header: bytes | None = None
            pending: list[bytes] = []
            count, quotes, line, first_line = 0, 0, 0, 2
            lines = io.TextIOWrapper(file, encoding=encoding, errors="replace", newline="")
            for text in lines:
                line += 1
                raw = text.encode("utf-8")
                pending.append(raw)
                quotes += raw.count(b'"')
                if quotes % 2:
                    continue
                if header is None:
                    if not raw.strip():
                        pending.clear()
                        continue
                    header, pending, first_line = b"".join(pending), [], line + 1
                    continue
                count += 1
                if count == rows:
                    yield parse_rows(path, b"".join(pending), delimiter, names, first_line=first_line, skip=0)
                    pending, count, quotes, first_line = [], 0, 0, line + 1
        except (OSError, EOFError, zlib.error) as error:
            if isinstance(error, gzip.BadGzipFile | EOFError | zlib.error):
                raise DataError(
                    f"{path} cannot be decompressed: {error}", "Copy or compress it again."
                ) from error
            raise unreadable(path, error) from error
        if any(raw.strip() for raw in pending):
            yield parse_rows(path, b"".join(pending), delimiter, names, first_line=first_line, skip=0)


def open_bytes(path: Path) -> BinaryIO:
    """The file for reading, decompressed where it is gzip."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise unreadable(path, error) from error
    if file.read(2) == b"\x1f\x8b":
        file.close()
        return cast(BinaryIO, gzip.open(path, "rb"))
    file.seek(0)
    return file


def encoding_of(path: Path, sample: bytes) -> str:
    """The text encoding of a sample; DataError when it is binary."""
    if sample.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if sample.startswith(b"\xef\xbb\xbf"):
        return "utf-8-sig"
    control = sum(sample.count(bytes([code])) for code in (*range(9), *range(14, 27), *range(28, 32)))
    if sample and control > len(sample) / 1000:
        raise DataError(f"{path} is a binary file, not a table", "Save it as CSV, Parquet or JSON lines.")
    try:
        sample.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(sample) - 4:
            return "cp1252"
    return "utf-8"


def _recode(content: bytes, encoding: str) -> bytes:
    if encoding in ("utf-8", "utf-8-sig"):
        return content.removeprefix(b"\xef\xbb\xbf")
    return content.decode(encoding, errors="replace").encode("utf-8")


def _as_utf8(path: Path, content: bytes) -> bytes:
    encoding = encoding_of(path, content[:SAMPLE_BYTES])
    if encoding == "utf-8":
        try:
            content.decode("utf-8")
        except UnicodeDecodeError:
            encoding = "cp1252"
    return _recode(content, encoding)


def _header(path: Path, sample: bytes, *, whole: bool) -> tuple[str, list[str]]:
    """Delimiter and column names; DataError for an empty file, a missing row or a doubled name."""
    text = sample.decode("utf-8", errors="ignore")
    if not text.strip():
        raise DataError(f"{path} is empty", "Put a header line and rows into it.")
    if not whole:
        text = text[: text.rfind("\n") + 1] or text
    delimiter = sniff_delimiter(text, tabs_first=file_format(path) == "tsv")
    records = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    rows = (record for record in records if record)
    names = [name.strip() for name in next(rows)]
    if next(rows, None) is None:
        raise DataError(f"{path} has a header line only", "Put rows below the header.")
    names = [name or f"column_{position}" for position, name in enumerate(names, 1)]
    doubled = [name for name, times in Counter(names).items() if times > 1]
    if doubled:
        raise DataError(
            f"{path} has several columns named {doubled[0]!r}", "Give every column a name of its own."
        )
    return delimiter, names


def read_header(path: Path, sample: bytes, encoding: str) -> tuple[str, list[str]]:
    """Delimiter and column names by the first bytes of a file."""
    return _header(path, _recode(sample, encoding), whole=len(sample) < SAMPLE_BYTES)


def sniff_delimiter(text: str, *, tabs_first: bool = False) -> str:
    """The delimiter that splits header and rows most evenly; a comma where none does."""
    lines = [line for line in text.splitlines()[:100] if line.strip()]
    best, best_score = ",", 0.0
    candidates = ("\t", *DELIMITERS) if tabs_first else DELIMITERS
    for delimiter in candidates:
        if delimiter not in lines[0]:
            continue
        counts = [
            len(record) for record in csv.reader(io.StringIO("\n".join(lines)), delimiter=delimiter) if record
        ]
        if not counts or counts[0] < 2:
            continue
        score = sum(count == counts[0] for count in counts) / len(counts)
        if score > best_score + 0.2:
            best, best_score = delimiter, score
    return best


def parse_rows(
    path: Path, text: bytes, delimiter: str, names: list[str], *, first_line: int, skip: int
) -> pa.Table:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    # In a table of one column an empty line is a missing value, in others it is nothing.
    single = len(names) == 1
    if single:
        text = text.rstrip(b"\r\n") + b"\n"

    def read(as_text: Sequence[str] = ()) -> pa.Table:
        """The table, or of it only some columns, as they are written."""
        return arrow_csv.read_csv(
            pa.BufferReader(text),
            read_options=arrow_csv.ReadOptions(
                column_names=names, skip_rows_after_names=skip, block_size=_block_size(text)
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=delimiter, newlines_in_values=b'"' in text, ignore_empty_lines=not single
            ),
            convert_options=arrow_csv.ConvertOptions(
                null_values=list(NULL_WORDS),
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
                include_columns=list(as_text),
                column_types=dict.fromkeys(as_text, pa.string()),
            ),
        )

    try:
        table = with_codes_as_text(read(), text, delimiter, read)
    except pa.ArrowInvalid as error:
        raise _explain(path, text, delimiter, len(names), first_line, error) from error
    if table.num_rows == 0:
        raise DataError(f"{path} has a header line only", "Put rows below the header.")
    return table


def _block_size(text: bytes) -> int:
    """Bytes parsed at once: a record must fit into one block, and blocks are parsed in parallel."""
    return 1 << 22 if len(text) < 1 << 30 else 1 << 24


def _explain(
    path: Path, text: bytes, delimiter: str, width: int, first_line: int, error: Exception
) -> DataError:
    """The first ragged line, found by reading again, else what the parser said."""
    reader = csv.reader(io.StringIO(text.decode("utf-8", errors="replace"), newline=""), delimiter=delimiter)
    line = first_line
    try:
        for record in reader:
            if record and len(record) != width:
                return DataError(
                    f"line {line} of {path} has {len(record)} fields, the header has {width}",
                    "Mend the line, or quote values that contain the delimiter "
                    f"({'a tab' if delimiter == chr(9) else repr(delimiter)}).",
                )
            line = first_line + reader.line_num
    except csv.Error as problem:
        return DataError(f"line {line} of {path} cannot be read: {problem}", "Mend the line.")
    return DataError(
        f"{path} cannot be read: {error}", "Check its format; data must be a table with a header."
    )
