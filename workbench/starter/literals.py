"""Values written as TOML and as Python source, whatever characters a column's name has."""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

PYTHON_WIDTH = 88  # what ruff and black format to when a project says nothing
TOML_WIDTH = 100
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


def toml_key(key: str) -> str:
    """A key as it is, or quoted where TOML needs that (spaces, dots, Unicode, the empty name)."""
    return key if _BARE_KEY.fullmatch(key) else toml_value(key)


def toml_path(*keys: str) -> str:
    """Several keys as the dotted name of a table."""
    return ".".join(toml_key(key) for key in keys)


def toml_value(value: Any) -> str:
    """One value on one line. Raises TypeError for what TOML can't say, None among it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, (dt.datetime, dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, Mapping):
        inner = ", ".join(f"{toml_key(str(key))} = {toml_value(item)}" for key, item in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(toml_value(item) for item in value)}]"
    raise TypeError(f"TOML has no {type(value).__name__}")


def toml_assignment(key: str, value: Any) -> list[str]:
    """The lines of `key = value`; a list too long for one line has an item on each."""
    line = f"{toml_key(key)} = {toml_value(value)}"
    if len(line) <= TOML_WIDTH or not isinstance(value, (list, tuple)):
        return [line]
    return [f"{toml_key(key)} = [", *(f"    {toml_value(item)}," for item in value), "]"]


def one_line(text: str) -> str:
    """Text that may stand in a comment: no line breaks, no control characters."""
    return " ".join(_UNPRINTABLE.sub(" ", text).split())


def python_value(value: Any) -> str:
    """A literal spelled as ruff's formatter would: double quotes unless single ones save escapes."""
    if isinstance(value, float) and not math.isfinite(value):
        return "None"
    if not isinstance(value, str):
        return repr(value)
    doubles, singles = value.count('"'), value.count("'")
    # repr() of a text that has both kinds of quotes uses single ones and escapes only those.
    body = repr(value + "\"'")[1:-1].removesuffix("\"\\'")
    body = body.replace("\\'", "'")
    if doubles > singles:
        return "'" + body.replace("'", "\\'") + "'"
    return '"' + body.replace('"', '\\"') + '"'


def python_items(prefix: str, items: Iterable[str], *, indent: int, suffix: str = "") -> list[str]:
    """Lines of `prefix[items]suffix`, an item a line where one line would be too long."""
    pad = " " * indent
    items = list(items)
    line = f"{pad}{prefix}[{', '.join(items)}]{suffix}"
    if len(line) <= PYTHON_WIDTH:
        return [line]
    return [f"{pad}{prefix}[", *(f"{pad}    {item}," for item in items), f"{pad}]{suffix}"]
