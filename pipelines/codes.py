"""Codes that look like numbers: postal codes, phone numbers, keys that begin with a zero.

A parser that takes `02139` for a number loses the zero, and with it what was meant. A column in which any
value of digits begins with a zero, as no number does, is text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

CODE = r"^\s*0[0-9]+\s*$"
"""A code with a leading zero, in the syntax of Python and of RE2."""
_DIGITS = r"^\s*[0-9]+\s*$"
_CODE = re.compile(CODE)


def is_code(text: str) -> bool:
    """Whether a value is made of digits and begins with a zero that no number would have."""
    return _CODE.match(text) is not None


def with_codes_as_text(
    table: pa.Table, text: bytes, delimiter: str, read: Callable[[Sequence[str]], pa.Table]
) -> pa.Table:
    """The table with its columns of codes as they are written.

    `text` is what the table was parsed from, `read` parses columns of it again without changing a character.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if not _may_have_codes(text, delimiter):
        return table
    fields = [field for field in table.schema if _is_number(field.type)]
    if not fields:
        return table
    written = read([field.name for field in fields])
    for field in fields:
        column = written[field.name]
        if not pc.any(pc.match_substring_regex(column, CODE)).as_py():
            continue
        # A fraction among them makes them numbers; whole ones beyond 64 bits are parsed as such too.
        if pa.types.is_floating(field.type) and not pc.all(pc.match_substring_regex(column, _DIGITS)).as_py():
            continue
        table = table.set_column(table.schema.get_field_index(field.name), field.name, column)
    return table


def has_codes(values: Any) -> bool:
    """Whether any of these texts (a Series of strings) is a code."""
    return bool(values.str.match(CODE).any())


def _is_number(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _may_have_codes(text: bytes, delimiter: str) -> bool:
    """Whether a zero and a digit stand anywhere at the beginning of a field: one look at every byte."""
    import numpy as np

    if re.match(rb'["\s]*0[0-9]', text[:16]):
        return True
    codes = np.frombuffer(text, dtype=np.uint8)
    if len(codes) < 3:
        return False
    found = codes[1:-1] == ord("0")
    found &= (codes[2:] - np.uint8(ord("0"))) < 10
    before = codes[:-2]
    begins = before == ord(delimiter)
    for character in b'\n\r" ':
        begins |= before == character
    return bool((found & begins).any())
