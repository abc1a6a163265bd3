"""What a data file holds, column by column, counted a block at a time without a data frame."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pipelines.blocks import Block
from pipelines.codes import CODE

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

ColumnKind = Literal["number", "boolean", "date", "text", "empty"]

MOST_WORDS = 1000
"""Different words of a column that are counted; a column with more has no categories."""
_MOST_NUMBERS = 50
_NUMBER = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"
_WITH_COMMAS = r"^\s*[+-]?(\d{1,3}(,\d{3})+(\.\d+)?|\d+,\d+)\s*$"


@dataclass
class ColumnTally:
    """Counts of one column. `words` are values that are text and no numbers."""

    rows: int = 0
    missing: int = 0
    numbers: int = 0
    words: int = 0
    booleans: int = 0
    dates: int = 0
    infinite: int = 0
    low: float | None = None
    high: float | None = None
    total: float = 0.0
    distinct_numbers: int = 0
    """How many different numbers were seen, up to 50."""
    categories: dict[str, int] | None = field(default_factory=dict)
    """How often each word occurs; None where there are too many."""
    first: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Place and value of the first word, the first missing and the first infinite value."""

    @property
    def kind(self) -> ColumnKind:
        """What most of the values are; one word makes a column text."""
        if self.words:
            return "text"
        if self.numbers:
            return "number"
        if self.booleans:
            return "boolean"
        return "date" if self.dates else "empty"

    @property
    def present(self) -> int:
        return self.rows - self.missing

    @property
    def mean(self) -> float | None:
        finite = self.numbers - self.infinite
        return self.total / finite if finite else None

    def as_json(self) -> dict[str, Any]:
        values: dict[str, Any] = {
            "kind": self.kind,
            "rows": self.rows,
            "missing": self.missing,
            "numbers": self.numbers,
            "words": self.words,
            "booleans": self.booleans,
            "dates": self.dates,
            "infinite": self.infinite,
            "low": self.low,
            "high": self.high,
            "mean": self.mean,
            "total": self.total,
            "distinct_numbers": self.distinct_numbers,
            "categories": self.categories if self.words or self.categories is None else {},
            "first": {key: list(place) for key, place in self.first.items()},
        }
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ColumnTally:
        plain = {key: value for key, value in values.items() if key not in ("kind", "mean", "first")}
        return cls(
            **plain, first={key: (place[0], place[1]) for key, place in values.get("first", {}).items()}
        )

    def merge(self, other: ColumnTally) -> None:
        """Add the counts of the same column in other rows; places are of no use then."""
        for name in ("rows", "missing", "numbers", "words", "booleans", "dates", "infinite"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.total += other.total
        self._reach(other.low, other.high)
        self.distinct_numbers = max(self.distinct_numbers, other.distinct_numbers)
        self._count_words(other.categories)
        self.first = {}

    def _reach(self, low: float | None, high: float | None) -> None:
        if low is not None and math.isfinite(low):
            self.low = low if self.low is None else min(self.low, low)
        if high is not None and math.isfinite(high):
            self.high = high if self.high is None else max(self.high, high)

    def _count_words(self, counts: Mapping[str, int] | None) -> None:
        if counts is None or self.categories is None:
            self.categories = None
            return
        for word, count in counts.items():
            self.categories[word] = self.categories.get(word, 0) + count
        if len(self.categories) > MOST_WORDS:
            self.categories = None


@dataclass(frozen=True)
class Values:
    """One column of one block, ready for rules: numbers (NaN where there are none) or words."""

    missing: NDArray[np.bool_]
    numbers: NDArray[np.float64] | None
    words: tuple[NDArray[np.intp], list[str]] | None = None
    """Per row a position in the list of different texts, and that list."""
    booleans: NDArray[np.bool_] | None = None
    moments: NDArray[np.int64] | None = None

    def shown(self, row: int) -> str:
        """The value of a row as the file has it."""
        if self.missing[row]:
            return ""
        if self.words is not None:
            return str(self.words[1][self.words[0][row]])
        if self.booleans is not None:
            return str(bool(self.booleans[row])).lower()
        if self.numbers is not None:
            return f"{self.numbers[row]:.12g}"
        return "" if self.moments is None else str(np.datetime64(int(self.moments[row]), "us"))

    def row_hash(self) -> NDArray[np.uint64]:
        """A number for each value; the same values of a file have the same one."""
        if self.words is not None:
            codes, texts = self.words
            hashes = np.fromiter((hash(text) & (2**63 - 1) for text in texts), np.uint64, len(texts))
            result = hashes[codes] if len(texts) else np.zeros(len(codes), np.uint64)
        elif self.booleans is not None:
            result = self.booleans.astype(np.uint64)
        elif self.moments is not None:
            result = self.moments.astype(np.uint64)
        else:
            assert self.numbers is not None
            result = (self.numbers + 0.0).view(np.uint64)
        return np.where(self.missing, np.uint64(0x9E3779B97F4A7C15), result)


def count(
    tally: ColumnTally, column: pa.ChunkedArray, block: Block, *, means_numbers: bool = False
) -> Values:
    """Add one column of a block to its tally; returns the values for whoever looks closer.

    Digits behind a leading zero are a code, and what stands with codes are words, unless `means_numbers`.
    """
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = column.type
    tally.rows += len(column)
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _count_texts(tally, array, block, means_numbers)
    missing = _mask(array)
    if pa.types.is_null(kind):
        return _noted(tally, Values(missing, np.full(len(array), np.nan)), block)
    if pa.types.is_boolean(kind):
        flags = array.fill_null(False).to_numpy(zero_copy_only=False)
        tally.booleans += int(len(array) - missing.sum())
        return _noted(tally, Values(missing, None, booleans=flags), block)
    if pa.types.is_temporal(kind):
        moments = _moments(array)
        tally.dates += int(len(array) - missing.sum())
        return _noted(tally, Values(missing, None, moments=moments), block)
    if pa.types.is_nested(kind) or pa.types.is_binary(kind):
        texts = pa.array([None if value is None else str(value) for value in array.to_pylist()], pa.string())
        return _count_texts(tally, texts, block, means_numbers)
    numbers = array.cast(pa.float64(), safe=False).fill_null(math.nan).to_numpy(zero_copy_only=False)
    _measure(tally, numbers, block)
    return _noted(tally, Values(np.isnan(numbers), numbers), block)


def row_hashes(columns: Iterable[Values]) -> NDArray[np.uint64]:
    """A number for each row of a block, equal for equal rows."""
    result: NDArray[np.uint64] | None = None
    with np.errstate(over="ignore"):
        for values in columns:
            part = values.row_hash()
            mixed = part if result is None else result * np.uint64(0x100000001B3) ^ part
            result = (mixed ^ (mixed >> np.uint64(31))) * np.uint64(0x7FB5D329728EA185)
    assert result is not None
    return result


def _measure(tally: ColumnTally, numbers: NDArray[np.float64], block: Block) -> None:
    """Add numbers, NaN where a row has none."""
    gaps = np.isnan(numbers)
    present = numbers[~gaps] if gaps.any() else numbers
    tally.numbers += len(present)
    if not len(present):
        return
    low, high = float(present.min()), float(present.max())
    if math.isinf(low) or math.isinf(high):
        infinite = np.isinf(present)
        tally.infinite += int(infinite.sum())
        if "infinite" not in tally.first:
            row = int(np.isinf(numbers).argmax())
            tally.first["infinite"] = (block.place(row), f"{numbers[row]}")
        present = present[~infinite]
        low, high = (float(present.min()), float(present.max())) if len(present) else (low, high)
    tally.total += float(present.sum())
    tally._reach(low, high)
    if tally.distinct_numbers < _MOST_NUMBERS:
        distinct = len(np.unique(present[:5000]))
        tally.distinct_numbers = min(_MOST_NUMBERS, max(distinct, tally.distinct_numbers))


def _count_texts(tally: ColumnTally, array: pa.Array, block: Block, means_numbers: bool) -> Values:
    """Text may hold numbers: " 3.5 ", "1,234"; what is blank is missing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    encoded = array.dictionary_encode()
    texts = encoded.dictionary
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.intp)
    blank = pc.equal(pc.utf8_trim_whitespace(texts), "").to_numpy(zero_copy_only=False)
    plain = pc.match_substring_regex(texts, _NUMBER).to_numpy(zero_copy_only=False)
    commas = pc.match_substring_regex(texts, _WITH_COMMAS).to_numpy(zero_copy_only=False)
    coded = np.zeros(len(texts), dtype=bool)
    if not means_numbers:
        coded = pc.match_substring_regex(texts, CODE).to_numpy(zero_copy_only=False)
        if coded.any():
            plain, commas = np.zeros_like(plain), np.zeros_like(commas)
    meant = np.full(len(texts) + 1, np.nan)
    if plain.any():
        meant[:-1][plain] = pc.utf8_trim_whitespace(texts.filter(pa.array(plain))).cast(pa.float64())
    for position in np.flatnonzero(commas & ~plain):
        meant[position] = _with_commas(texts[int(position)].as_py())
    blank_or_none = np.append(blank, True)
    missing = blank_or_none[codes]
    is_word = np.append(~(blank | plain | commas), False)
    counts = np.bincount(codes[codes >= 0], minlength=len(texts))
    word_count = int(counts[is_word[:-1]].sum()) if len(texts) else 0
    listed = texts.to_pylist()
    values = Values(missing, meant[codes], (codes, [*listed, ""]))
    if word_count:
        if "word" not in tally.first:
            telling = np.append(coded, False) if coded.any() else is_word
            row = int(telling[codes].argmax())
            tally.first["word"] = (block.place(row), listed[codes[row]])
        tally.words += word_count
        found = np.flatnonzero(is_word[:-1])
        if len(found) > MOST_WORDS:
            tally._count_words(None)
        else:
            tally._count_words({listed[i].strip(): int(counts[i]) for i in found})
    if plain.any() or commas.any():
        assert values.numbers is not None
        _measure(tally, values.numbers, block)
    return _noted(tally, values, block)


def _noted(tally: ColumnTally, values: Values, block: Block) -> Values:
    gaps = int(values.missing.sum())
    if gaps and "missing" not in tally.first:
        tally.first["missing"] = (block.place(int(values.missing.argmax())), "")
    tally.missing += gaps
    return values


def _with_commas(text: str) -> float:
    text = text.strip()
    head, _, tail = text.partition(",")
    is_decimal = text.count(",") == 1 and len(tail) != 3 and head.lstrip("+-").isdigit()
    return float(text.replace(",", "." if is_decimal else ""))


def _mask(array: pa.Array) -> NDArray[np.bool_]:
    mask: NDArray[np.bool_] = array.is_null().to_numpy(zero_copy_only=False)
    return mask


def _moments(array: pa.Array) -> NDArray[np.int64]:
    """Microseconds, in whatever the column counts from."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = array.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        array = pc.cast(array, pa.timestamp("us", getattr(kind, "tz", None)), safe=False)
    elif pa.types.is_time32(kind):
        array = array.cast(pa.int32())
    result: NDArray[np.int64] = array.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    return result
