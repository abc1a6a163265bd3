"""MLflow's search, answered by the run index: `store.filters` in SQL, with the same answers."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from store.filters import Clause, Order
from store.runs import PARENT_TAG

_COLUMNS = {
    "run_id": "r.run_id",
    "run_name": "r.name",
    "status": "r.status",
    "artifact_uri": "r.artifact_uri",
    "user_id": "r.user_id",
    "start_time": "r.start_ms",
    "end_time": "r.end_ms",
}
_TABLES = {"metric": "metrics", "parameter": "params", "tag": "tags"}
_FUNCTIONS = {"LIKE": "matches_like", "ILIKE": "matches_ilike"}
_LARGEST = 2**63 - 1
_LISTED = "r.is_searchable = 1 AND r.stage = ?"
_NOT_NESTED = f"""NOT EXISTS (SELECT 1 FROM tags t JOIN runs p ON p.run_id = t.value
    WHERE t.run = r.id AND t.key = '{PARENT_TAG}' AND p.stage = r.stage AND p.experiment = r.experiment)"""


def search_index(
    connection: sqlite3.Connection,
    *,
    stage: str,
    experiments: Sequence[int],
    clauses: Sequence[Clause] = (),
    orders: Sequence[Order] = (),
    limit: int | None = None,
    nested: bool = True,
) -> list[int]:
    """Ids of the rows that fit, in order; those of broken runs are not among them."""
    if orders and orders[0].entity == "metric" and limit is not None and not clauses and nested:
        first = _first_by_metric(connection, stage, experiments, orders[0], orders[1:], limit)
        if len(first) == limit:
            return first
    joins, joined, order_by = _order_by(orders)
    conditions = [_LISTED, f"r.experiment IN ({_marks(experiments)})"]
    values: list[Any] = [stage, *experiments]
    if not nested:
        conditions.append(_NOT_NESTED)
    for clause in clauses:
        condition, compared = _condition(clause)
        conditions.append(condition)
        values += compared
    query = f"""SELECT r.id FROM runs r {joins} WHERE {" AND ".join(conditions)} ORDER BY {order_by}"""
    if limit is not None:
        query += " LIMIT ?"
        values.append(limit)
    return [row[0] for row in connection.execute(query, [*joined, *values])]


def children_by_parent(connection: sqlite3.Connection) -> dict[str, int]:
    """How many active runs are below each run, by its id."""
    query = f"""SELECT t.value, count(*) FROM tags t JOIN runs r ON r.id = t.run
        WHERE t.key = '{PARENT_TAG}' AND r.stage = 'active' GROUP BY t.value"""
    return dict(connection.execute(query).fetchall())


def broken_runs(connection: sqlite3.Connection, *, stage: str, experiments: Sequence[int]) -> list[int]:
    """Ids of the rows of runs that can't be searched, by run id."""
    query = f"""SELECT id FROM runs WHERE NOT is_searchable AND stage = ?
        AND experiment IN ({_marks(experiments)}) ORDER BY run_id"""
    return [row[0] for row in connection.execute(query, [stage, *experiments])]


def _first_by_metric(
    connection: sqlite3.Connection,
    stage: str,
    experiments: Sequence[int],
    order: Order,
    others: Sequence[Order],
    limit: int,
) -> list[int]:
    """The first runs by a metric, found without looking at all of them; only those that have the metric."""
    joins, joined, order_by = _order_by(others)
    direction = "ASC" if order.ascending else "DESC"
    query = f"""SELECT r.id FROM metrics m INDEXED BY metrics_by_value
        CROSS JOIN runs r ON r.id = m.run {joins}
        WHERE m.key = ? AND m.value IS NOT NULL AND {_LISTED} AND r.experiment IN ({_marks(experiments)})
        ORDER BY m.value {direction}, {order_by} LIMIT ?"""
    return [row[0] for row in connection.execute(query, [*joined, order.key, stage, *experiments, limit])]


def _order_by(orders: Sequence[Order]) -> tuple[str, list[str], str]:
    """Joins, the values they are given, and the terms of ORDER BY: what is missing last, NaN before it."""
    joins: list[str] = []
    joined: list[str] = []
    terms: list[str] = []
    for position, order in enumerate(orders):
        direction = "ASC" if order.ascending else "DESC"
        if order.entity == "attribute":
            column = _COLUMNS[order.key]
            terms += [f"{column} IS NULL", f"{column} {direction}"]
            continue
        alias = f"o{position}"
        joins.append(f"LEFT JOIN {_TABLES[order.entity]} {alias} ON {alias}.run = r.id AND {alias}.key = ?")
        joined.append(order.key)
        terms += [f"{alias}.run IS NULL", f"{alias}.value IS NULL", f"{alias}.value {direction}"]
    return " ".join(joins), joined, ", ".join([*terms, "r.start_ms DESC", "r.run_id"])


def _marks(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))


def _condition(clause: Clause) -> tuple[str, list[Any]]:
    key, comparator = clause.key, clause.comparator
    if clause.entity == "attribute":
        return _compare(_COLUMNS[key], comparator, clause.value)
    if clause.entity == "dataset":
        compared, values = _compare(f"d.{key}", comparator, clause.value)
        inside = f"d.run = r.id AND d.{key} IS NOT NULL AND {compared}"
        return f"EXISTS (SELECT 1 FROM datasets d WHERE {inside})", values
    one = f"SELECT 1 FROM {_TABLES[clause.entity]} v WHERE v.run = r.id AND v.key = ?"
    if comparator == "IS NULL":
        return f"NOT EXISTS ({one})", [key]
    if comparator == "IS NOT NULL":
        return f"EXISTS ({one})", [key]
    compared, values = _compare("v.value", comparator, clause.value)
    if comparator == "!=" and clause.entity == "metric":
        compared = f"(v.value IS NULL OR {compared})"  # NaN, which differs from everything
    return f"EXISTS ({one} AND {compared})", [key, *values]


def _compare(left: str, comparator: str, value: Any) -> tuple[str, list[Any]]:
    if comparator in _FUNCTIONS:
        return f"{_FUNCTIONS[comparator]}({left}, ?)", [value]
    if comparator in ("IN", "NOT IN"):
        return f"{left} {comparator} ({_marks(value)})", list(value)
    if isinstance(value, int) and abs(value) > _LARGEST:
        value = float(value)
    return f"{left} {comparator} ?", [value]
