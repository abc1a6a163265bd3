"""Turns checked rows of mixed columns into the array that a pipeline's transformers make of their frame.

Numbers go through the transformers' arithmetic. What becomes of a category is looked up in a table, which
holds what scikit-learn itself answered for each category it knows, for a missing value and for a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np

    from store.frame_steps import Step

Row = Sequence[Any]
"""Values in the model's order of columns: float, bool, str, datetime, or None where missing."""
_MOST = 1e100
"""Numbers beyond which scaling might leave the range of float64; scikit-learn sees to those."""
_DAY_S = 86_400
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEARS = range(1700, 2200)


@dataclass(frozen=True)
class EncodedRows:
    """Rows as the array that the last part of a model takes."""

    array: np.ndarray

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, part: slice) -> EncodedRows:
        return EncodedRows(self.array[part])


@dataclass(frozen=True)
class PlainRows:
    """Checked rows of which a frame is made where they are predicted."""

    rows: Sequence[Row]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, part: slice) -> PlainRows:
        return PlainRows(self.rows[part])


@dataclass(frozen=True)
class Numbers:
    """Columns of numbers that go through steps together."""

    places: tuple[int, ...]
    steps: tuple[Step, ...]
    outputs: slice
    loose: tuple[int, ...] = ()
    """Those of `places` whose values needn't be numbers."""

    def __call__(self, rows: Sequence[Row]) -> np.ndarray | None:
        """Shape (n_rows, n_outputs); None for what only scikit-learn can tell."""
        import numpy as np

        for place in self.loose:
            if any(type(row[place]) is not float and row[place] is not None for row in rows):
                return None
        if len(self.places) == 1:
            place = self.places[0]
            X = np.array([(row[place],) for row in rows], dtype=np.float64)
        else:
            X = np.array(list(map(itemgetter(*self.places), rows)), dtype=np.float64)
        return through(self.steps, X)


@dataclass(frozen=True)
class Times:
    """Columns of times, each in parts as `pipelines.transforms.DatetimeParts` takes them apart."""

    places: tuple[int, ...]
    has_hours: tuple[bool, ...]
    steps: tuple[Step, ...]
    outputs: slice

    def __call__(self, rows: Sequence[Row]) -> np.ndarray | None:
        import numpy as np

        table = []
        for row in rows:
            parts: list[float] = []
            for place, has_hours in zip(self.places, self.has_hours, strict=True):
                value = row[place]
                if value is None:
                    parts += [float("nan")] * (5 + has_hours)
                    continue
                if not isinstance(value, datetime):
                    return None
                moment = value.astimezone(UTC)
                if moment.year not in _YEARS:
                    return None
                parts += (
                    (moment - _EPOCH).total_seconds() / _DAY_S,
                    moment.month,
                    moment.day,
                    moment.weekday(),
                    moment.timetuple().tm_yday,
                )
                if has_hours:
                    parts.append(moment.hour + moment.minute / 60)
            table.append(parts)
        return through(self.steps, np.array(table, dtype=np.float64))


@dataclass(frozen=True)
class Categories:
    """What becomes of the values of one column in one branch."""

    place: int
    codes: dict[Any, int]
    """Rows of the tables, by category."""
    missing: int | None
    """The row for a missing value; None where scikit-learn is asked."""
    new: int | None
    """The row for a category that was not there in training; None where scikit-learn is asked."""
    kind: type
    """Of the categories: str, or float for numbers and booleans."""
    positions: np.ndarray
    """Where among the outputs a code's values go, shape (n_codes, n)."""
    values: np.ndarray
    takes_booleans: bool = True
    """Whether true and false are 1 and 0 among categories that are numbers."""

    def code(self, value: Any) -> int | None:
        """The row of the tables for a value."""
        if value is None:
            return self.missing
        is_kind = type(value) is self.kind
        if not is_kind and not (type(value) is bool and self.kind is float and self.takes_booleans):
            return None
        code = self.codes.get(value)
        if code is not None:
            return code
        # numpy's own texts end before a NUL, so one more may look like a category that is known.
        return None if self.kind is str and "\0" in value else self.new


@dataclass(frozen=True)
class FrameEncoder:
    """Makes the array of shape (n_rows, width) for a pipeline's last part."""

    width: int
    background: np.ndarray
    """A row of the values that most categories leave."""
    numbers: tuple[Callable[[Sequence[Row]], np.ndarray | None], ...]
    outputs: tuple[slice, ...]
    """Where the columns of each of `numbers` go."""
    categories: tuple[Categories, ...]
    refused: tuple[int, ...] = ()
    """Columns in which a missing value is left to scikit-learn."""
    order: Literal["C", "F"] = "C"

    def __call__(self, rows: Sequence[Row]) -> np.ndarray | None:
        """The array; None for rows about which only scikit-learn can tell."""
        import numpy as np

        for place in self.refused:
            if any(row[place] is None for row in rows):
                return None
        X: np.ndarray = np.empty((len(rows), self.width), order=self.order)
        X[:] = self.background
        for numbers, outputs in zip(self.numbers, self.outputs, strict=True):
            found = numbers(rows)
            if found is None:
                return None
            X[:, outputs] = found
        if len(rows) == 1:
            return X if self._fill_one(X[0], rows[0]) else None
        for column in self.categories:
            found_codes = [column.code(row[column.place]) for row in rows]
            codes = [code for code in found_codes if code is not None]
            if len(codes) < len(found_codes):
                return None
            X[np.arange(len(rows))[:, None], column.positions[codes]] = column.values[codes]
        return X

    def _fill_one(self, cells: np.ndarray, row: Row) -> bool:
        for column in self.categories:
            code = column.code(row[column.place])
            if code is None:
                return False
            cells[column.positions[code]] = column.values[code]
        return True


def through(steps: Sequence[Step], X: np.ndarray) -> np.ndarray | None:
    """The rows after all steps; None where one of them, or scikit-learn's checks between, would object."""
    import numpy as np

    if not steps:
        return X
    if (np.abs(X) > _MOST).any():
        return None
    found: np.ndarray | None = X
    for step in steps:
        if found is None:
            return None
        found = step(found)
    return None if found is None or np.isinf(found).any() else found
