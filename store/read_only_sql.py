"""Which SQL of the user's own is a question only: DuckDB's SELECT can write files through COPY in a WITH."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from store.errors import UsageError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_QUERY_NODES = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
# Functions that change something, or run text that can't be looked into here.
_DENIED_FUNCTIONS = {
    "checkpoint",
    "force_checkpoint",
    "create_external_resource",
    "deregister_external_resource",
    "destroy_external_resource",
    "register_external_resource",
    "register_external_resource_type",
    "enable_logging",
    "disable_logging",
    "truncate_duckdb_logs",
    "enable_profiling",
    "enable_profile",
    "import_database",
    "copy_database",
    "json_execute_serialized_sql",
    "query",
    "write_log",
}
_EXPLAIN = re.compile(r"\s*explain\b(\s+analyze\b|\s*\([^)]*\))?", re.IGNORECASE)
_HINT = "Give one SELECT (or DESCRIBE, SUMMARIZE, SHOW, EXPLAIN); to write, export with your own duckdb."


def check_read_only(connection: DuckDBPyConnection, sql: str) -> None:
    """Raise UsageError unless `sql` is one statement that only reads.

    DuckDB's own parser judges: statements other than queries don't serialize, and every node of a query's
    tree must be of a kind that reads.
    """
    statements = _parse(connection, sql)
    if not statements:
        raise UsageError("an empty query", _HINT)
    if len(statements) > 1:
        raise UsageError("several statements in one query", _HINT)
    text = statements[0].query
    explained = _EXPLAIN.match(text)
    if explained is not None:
        text = text[explained.end() :]
    found = connection.execute("SELECT json_serialize_sql(?)", [text]).fetchall()
    tree = json.loads(found[0][0])
    if tree.get("error"):
        raise UsageError("this statement could write, only queries are run", _HINT)
    for node in _nodes(tree["statements"]):
        kind = node.get("type")
        if isinstance(kind, str) and kind.endswith("_NODE") and kind not in _QUERY_NODES:
            word = kind.split("_")[0]
            raise UsageError(f"{word} within a query could write, only reading is allowed", _HINT)
        if kind in ("FUNCTION", "TABLE_FUNCTION") or node.get("class") == "FUNCTION":
            for name in _names(node):
                if name.lower() in _DENIED_FUNCTIONS:
                    raise UsageError(f"{name}() is not allowed in a read-only query", _HINT)


def one_line(error: Exception) -> str:
    """A DuckDB error without the picture of the place."""
    return " ".join(str(error).split("\n\nLINE ")[0].split())


def _parse(connection: DuckDBPyConnection, sql: str) -> list[Any]:
    import duckdb

    try:
        return [s for s in connection.extract_statements(sql) if s.query.strip(" \t\r\n;")]
    except duckdb.Error as error:
        raise UsageError(one_line(error), "Check the query.") from error


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for child in value.values():
            yield from _nodes(child)
    elif isinstance(value, list):
        for child in value:
            yield from _nodes(child)


def _names(node: dict[str, Any]) -> Iterator[str]:
    """The texts that may be a function's name, whichever key this DuckDB keeps it under."""
    for key in ("function_name", "name"):
        if isinstance(node.get(key), str):
            yield node[key]
    qualified = node.get("qualified_name")
    if isinstance(qualified, dict):
        yield from (part for part in qualified.get("path", ()) if isinstance(part, str))
