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
MOST_BYTES = 4 << 20
"""A parser keeps several times the longest body it has seen."""
_START = re.compile(rb'\s*(?:\{\s*"(features|records)"\s*:\s*)?\[\s*\[')
_OPEN, _CLOSE, _COMMA = b"[],"[0], b"[],"[1], b"[],"[2]
_own = threading.local()


def number_table(body: bytes, names: tuple[str, ...]) -> np.ndarray | None:
    """The numbers of a body, shape (n_rows, n_features); None where it is anything else.

    `names` are the model's features, which decide what `features` and `records` mean.
    """
    if not LEAST_BYTES <= len(body) <= MOST_BYTES:
        return None
    start = _START.match(body)
    if start is None:
        return None
    key = (start.group(1) or b"").decode()
    if key in names:
        return None
    numbers = _numbers(body, key)
    if numbers is None or not _is_table(body, len(names), len(numbers)):
        return None
    return numbers.reshape(-1, len(names))


def _numbers(body: bytes, key: str) -> np.ndarray | None:
    """All numbers of the list, one after the other."""
    try:
        document: Any = _parser().parse(body)
        if key and len(document) != 1:
            return None
        # A copy, as theirs can't be written to and some estimators insist that theirs can.
        return np.frombuffer((document[key] if key else document).as_buffer(of_type="d")).copy()
    except (ValueError, TypeError, RuntimeError):  # not JSON, not all of it numbers, or too large a number
        return None
    finally:
        document = None  # a parser must have no document in use when it begins the next


def _is_table(body: bytes, width: int, n_numbers: int) -> bool:
    """Whether the numbers come in lists of `width`; without strings, each sign is one of structure."""
    signs = np.frombuffer(body, dtype=np.uint8)
    opens, closes, commas = (np.flatnonzero(signs == sign) for sign in (_OPEN, _CLOSE, _COMMA))
    n_rows = len(opens) - 1
    if width == 0 or n_numbers != n_rows * width or len(closes) != len(opens) or len(commas) != n_numbers - 1:
        return False
    begins, ends = opens[1:], closes[:-1]
    # Of each row the commas within it and the one after it; the last row ends where the list does.
    grid = np.append(commas, closes[-1]).reshape(n_rows, width)
    after = grid[:, -1]
    is_within = width == 1 or bool((begins < grid[:, 0]).all() and (grid[:, -2] < ends).all())
    is_in_order = (begins < ends).all() and (ends < after).all() and (after[:-1] < begins[1:]).all()
    return is_within and bool(is_in_order)


def _parser() -> simdjson.Parser:
    """This thread's own."""
    import simdjson

    if not hasattr(_own, "parser"):
        _own.parser = simdjson.Parser()
    parser: simdjson.Parser = _own.parser
    return parser
