"""In which order rows stand, and which of them a filter lets through: positions in a snapshot, no widgets."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import lru_cache
from numbers import Real
from typing import Any

from workbench.tui.widgets.table.columns import Column

_NUMBERS_OR_MISSING = {int, float, bool, type(None)}
_NEVER_NAN = (str, int, bool, datetime)
_DIGITS = re.compile(r"\d+")


@dataclass(frozen=True)
class Sort:
    """By which column rows are sorted, and which way."""

    key: str
    descending: bool = False


def sort_values(column: Column[Any], rows: Iterable[Any]) -> list[Any]:
    """What `column` sorts each of `rows` by."""
    get = column.get
    if column.sparkline:
        return [_last_finite(get(row)) for row in rows]
    if column.sort_key is not None:
        sort_key = column.sort_key
        return [None if (value := get(row)) is None else sort_key(value) for row in rows]
    return [get(row) for row in rows]


def sorted_positions(values: Sequence[Any], positions: Iterable[int], *, descending: bool) -> list[int]:
    """`positions` ordered by `values[position]`, ties as they came.

    Numbers stand before times, those before texts, and texts go by the numbers in them (run-9 before run-10),
    upper and lower case alike. Either way round, NaN follows all values and missing (None) is last.
    """
    positions = list(positions)
    kinds = set(map(type, values))
    if kinds <= _NUMBERS_OR_MISSING:
        ordinary = [place for place in positions if (value := values[place]) is not None and value == value]
        if len(ordinary) == len(positions):
            rest = []
        else:
            rest = [
                place for place in positions if values[place] is not None and values[place] != values[place]
            ]
            rest += [place for place in positions if values[place] is None]
        ordinary.sort(key=values.__getitem__, reverse=descending)
        return ordinary + rest
    ordinary, not_numbers, missing = [], [], []
    for place in positions:
        value = values[place]
        if value is None:
            missing.append(place)
        elif value.__class__ not in _NEVER_NAN and isinstance(value, (Real, Decimal)) and value != value:
            not_numbers.append(place)
        else:
            ordinary.append(place)
    key = natural if kinds <= {str, type(None)} else _mixed
    ordinary.sort(key=lambda place: key(values[place]), reverse=descending)
    return ordinary + not_numbers + missing


@lru_cache(maxsize=1 << 16)
def natural(text: str) -> str:
    """A key that sorts texts by the numbers in them: v9 before v10."""
    return _DIGITS.sub(lambda digits: f"{digits[0]:0>20}", text.casefold())


def _mixed(value: Any) -> tuple[int, Any]:
    if isinstance(value, (Real, Decimal)):
        return 0, value
    if isinstance(value, datetime):
        return 1, (value if value.tzinfo else value.replace(tzinfo=UTC))
    if isinstance(value, date):
        return 1, datetime.combine(value, time(tzinfo=UTC))
    return 2, natural(str(value))


def _last_finite(values: Iterable[float | None] | None) -> float | None:
    for value in reversed(list(values or ())):
        if value is not None and math.isfinite(value):
            return value
    return None


def haystack(columns: Iterable[Column[Any]], row: object) -> str:
    """What a filter looks for its words in."""
    return "\n".join([column.format(column.get(row)) for column in columns]).casefold()


def words(text: str) -> list[str]:
    """The words of a filter, each of which must occur in a row."""
    return text.casefold().split()


def matching(haystacks: Sequence[str], positions: Iterable[int], text: str) -> list[int]:
    """The `positions` whose haystack has every word of `text`, in the order they came."""
    found = list(positions)
    for word in words(text):
        found = [position for position in found if word in haystacks[position]]
    return found


def narrows(text: str, before: str) -> bool:
    """Whether every row that `text` lets through was let through by `before`, as while typing on."""
    return text.casefold().startswith(before.casefold())
