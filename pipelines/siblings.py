"""Files beside a user's module that it imports: found, renamed so that versions don't collide, renamed back.

A project's folder is on nobody's path, and a server has several versions of `helpers.py` in one process. So
what travels with a model is called `MODULE__helpers`, and every import of `helpers` says so.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from store.errors import UserCodeError

BETWEEN = "__"
"""Between the name of a module and that of a file beside it."""


@dataclass(frozen=True)
class Sibling:
    """A Python file beside the module: `stem` is what the user's code calls it."""

    stem: str
    path: Path
    source: bytes


def find_siblings(path: Path, source: bytes) -> dict[str, Sibling]:
    """Files beside `path` that its source imports, and those that they import, by stem.

    Python's own modules keep their names, whatever lies there. Raises UserCodeError for a folder that is
    imported: only single files travel.
    """
    found: dict[str, Sibling] = {}
    pending = [source]
    while pending:
        for name, line in _imported(pending.pop()):
            beside = path.parent / f"{name}.py"
            if name in found or name == path.stem or name in sys.stdlib_module_names:
                continue
            if beside.is_file():
                try:
                    found[name] = Sibling(name, beside, beside.read_bytes())
                except OSError as error:
                    raise UserCodeError(
                        f"cannot read {beside}, which {path.name} imports: {error.strerror}",
                        "Check its permissions.",
                    ) from error
                pending.append(found[name].source)
            elif (path.parent / name).is_dir() and importlib.util.find_spec(name) is None:
                raise UserCodeError(
                    f"{path}, line {line}, imports the folder {name} beside it; only single files travel "
                    "with a model",
                    f"Put what is needed into {name}.py, or install it as a package.",
                )
    return found


def renamed(source: bytes, names: Mapping[str, str]) -> bytes:
    """The source with imports of `names` (as it calls them) from modules of other names; lines stay lines."""
    tree = _parsed(source)
    if tree is None or not names:
        return source
    starts = [0, *accumulate(len(line) for line in source.splitlines(keepends=True))]
    changes: list[tuple[int, int, bytes]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name in names:
                    begin = starts[alias.lineno - 1] + alias.col_offset
                    end = starts[(alias.end_lineno or alias.lineno) - 1] + (alias.end_col_offset or 0)
                    renaming = f"{names[alias.name]} as {alias.asname or alias.name}"
                    changes.append((begin, end, renaming.encode()))
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module and node.module in names:
            begin = starts[node.lineno - 1] + node.col_offset
            match = re.compile(rb"from[\s\\]+(" + re.escape(node.module.encode()) + rb")\b").match(
                source, begin
            )
            if match is not None:
                changes.append((*match.span(1), names[node.module].encode()))
    for begin, end, text in sorted(changes, reverse=True):
        source = source[:begin] + text + source[end:]
    return source


def named_back(source: bytes, module: str) -> bytes:
    """The source as its author wrote it, from that which travelled with `module`."""
    prefix = re.escape(f"{module}{BETWEEN}".encode())
    source = re.sub(rb"\b" + prefix + rb"(\w+) as \1\b", rb"\1", source)
    return re.sub(rb"\b" + prefix, b"", source)


def _imported(source: bytes) -> Iterator[tuple[str, int]]:
    """Names that are imported as a whole, with their lines; not those of a script's own main part."""
    tree = _parsed(source)
    pending: list[ast.AST] = [] if tree is None else [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and "__main__" in ast.dump(node.test):
            pending += node.orelse
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name.partition(".")[0], node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module.partition(".")[0], node.lineno
        pending += ast.iter_child_nodes(node)


def _parsed(source: bytes) -> ast.Module | None:
    """None where it can't be parsed (Python says why when it is run), or isn't plain UTF-8."""
    try:
        source.decode("utf-8")
        return None if source.startswith(b"\xef\xbb\xbf") else ast.parse(source)
    except (SyntaxError, ValueError):
        return None
