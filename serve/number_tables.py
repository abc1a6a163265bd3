"""Tables of numbers from JSON without a Python object for each: what most of a large batch's time went into.

Anything else than a list of equally long lists of numbers, by itself or under "features" or "records", is
left to the common parser, which also has the words for what is wrong.
"""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import simdjson

LEAST_BYTES = 8_192
"""For less the common parser is as quick."""
KEPT_BYTES = 1 << 20
"""A parser has several times the room of the longest body it has seen: one for more is not kept."""
_START = re.compile(rb'\s*(?:\{\s*"(features|records)"\s*:\s*)?\[\s*\[')
_OPEN = ord("[")
_own = threading.local()


def number_table(body: bytes, names: tuple[str, ...]) -> np.ndarray | None:
    """The numbers of a body, shape (n_rows, n_features); None where it is anything else.

    `names` are the model's features, which decide what `features` and `records` mean.
    """
    if len(body) < LEAST_BYTES:
        return None
    start = _START.match(body)
    if start is None:
        return None
    key = (start.group(1) or b"").decode()
    if key in names:
        return None
    width = len(names)
    try:
        document: Any = _parser(len(body)).parse(body)
        if key and len(document) != 1:
            return None
        rows = document[key] if key else document
        # Theirs is a copy already, but none to write to, on which some estimators insist.
        numbers = np.frombuffer(rows.as_buffer(of_type="d")).copy()
        is_table = {*map(len, rows)} == {width}
        n_rows = len(rows)
    except (ValueError, TypeError, RuntimeError):  # not JSON, not all of it numbers, or too large a number
        return None
    finally:
        document = rows = None  # a parser must have no document in use when it begins the next
    # There are no strings: each bracket opens a list, and a list within a row would be one too many.
    n_lists = np.count_nonzero(np.frombuffer(body, dtype=np.uint8) == _OPEN)
    return numbers.reshape(n_rows, width) if is_table and n_lists == n_rows + 1 else None


def _parser(n_bytes: int) -> simdjson.Parser:
    """This thread's own, or a new one for a long body."""
    import simdjson

    if n_bytes > KEPT_BYTES:
        return simdjson.Parser()
    parser: simdjson.Parser | None = getattr(_own, "parser", None)
    if parser is None:
        parser = _own.parser = simdjson.Parser()
    return parser
