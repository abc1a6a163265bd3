"""Tables of numbers from JSON without a Python object for each: what most of a large batch's time went into.

Anything else than a list of equally long lists of numbers, by itself, under "features" or "records", or as
MLflow splits a data frame, is left to the common parser, which also has the words for what is wrong.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import simdjson

LEAST_BYTES = 8_192
"""For less the common parser is as quick."""
KEPT_BYTES = 1 << 20
"""A parser has several times the room of the longest body it has seen: one for more is not kept."""
_START = re.compile(rb'\s*(?:\{\s*"(features|records)"\s*:\s*)?\[\s*\[')
_SPLIT_START = re.compile(rb'\s*\{\s*"dataframe_split"\s*:')
_OPEN = ord("[")
_own = threading.local()


def number_table(body: bytes, names: tuple[str, ...]) -> np.ndarray | None:
    """The numbers of a body, shape (n_rows, n_features); None where it is anything else.

    `names` are the model's features, which decide what `features` and `records` mean.
    """
    start = _START.match(body)
    if start is None:
        return None
    key = (start.group(1) or b"").decode()
    if key in names:
        return None

    def find(document: Any) -> tuple[Any, int]:
        if key and len(document) != 1:
            raise ValueError("more than the rows")
        return (document[key] if key else document), 1

    return _table(body, len(names), find)


def split_table(body: bytes, names: tuple[str, ...]) -> np.ndarray | None:
    """The same of MLflow's `dataframe_split` that has just the model's columns, in whatever order."""
    if _SPLIT_START.match(body) is None:
        return None
    columns: list[str] = []

    def find(document: Any) -> tuple[Any, int]:
        split = document["dataframe_split"]
        if len(document) != 1 or {*split} != {"columns", "data"} or len(split) != 2:
            raise ValueError("more than columns and rows")
        columns.extend(split["columns"].as_list())
        return split["data"], 2 + sum(name.count("[") for name in columns)

    table = _table(body, len(names), find)
    if table is None or columns == [*names]:
        return table
    if len(columns) != len(names) or {*columns} != {*names}:
        return None
    return table[:, [columns.index(name) for name in names]]


def _table(body: bytes, width: int, find: Callable[[Any], tuple[Any, int]]) -> np.ndarray | None:
    """The table that `find` finds in a document; it also says how many brackets open outside of its rows."""
    if len(body) < LEAST_BYTES:
        return None
    document: Any = None
    rows: Any = None
    try:
        document = _parser(len(body)).parse(body)
        rows, n_others = find(document)
        # Theirs is a copy already, but none to write to, on which some estimators insist.
        numbers = np.frombuffer(rows.as_buffer(of_type="d")).copy()
        is_even = {*map(len, rows)} == {width}
        n_rows = len(rows)
    # Not JSON, not all of it numbers, a number too large, or another shape.
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError):
        return None
    finally:
        document = rows = None  # a parser must have no document in use when it begins the next
    # Each bracket opens a list: one within a row would be one too many.
    n_brackets = np.count_nonzero(np.frombuffer(body, dtype=np.uint8) == _OPEN)
    return numbers.reshape(n_rows, width) if is_even and n_brackets == n_rows + n_others else None


def _parser(n_bytes: int) -> simdjson.Parser:
    """This thread's own, or a new one for a long body."""
    import simdjson

    if n_bytes > KEPT_BYTES:
        return simdjson.Parser()
    parser: simdjson.Parser | None = getattr(_own, "parser", None)
    if parser is None:
        parser = _own.parser = simdjson.Parser()
    return parser
