"""MLflow's search, answered by the run index: `store.filters` in SQL, with the same answers."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from store.filters import Clause, Order

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


def search_index(
    connection: sqlite3.Connection,
    *,
    stage: str,
    experiments: Sequence[int],
    clauses: Sequence[Clause] = (),
    orders: Sequence[Order] = (),
    limit: int | None = None,
) -> list[int]:
    """Ids of the rows that fit, in order; those of broken runs are not among them."""
    joins: list[str] = []
    order_by: list[str] = []
    joined: list[Any] = []
    for position, order in enumerate(orders):
        direction = "ASC" if order.ascending else "DESC"
        if order.entity == "attribute":
            column = _COLUMNS[order.key]
            order_by += [f"{column} IS NULL", f"{column} {direction}"]
            continue
        alias = f"o{position}"
        joins.append(f"LEFT JOIN {_TABLES[order.entity]} {alias} ON {alias}.run = r.id AND {alias}.key = ?")
        joined.append(order.key)
        order_by += [f"{alias}.run IS NULL", f"{alias}.value IS NULL", f"{alias}.value {direction}"]
    conditions = [
        "r.is_searchable",
        "r.stage = ?",
        f"r.experiment IN ({','.join('?' * len(experiments))})",
    ]
    values: list[Any] = [stage, *experiments]
    for clause in clauses:
        condition, compared = _condition(clause)
        conditions.append(condition)
        values += compared
    query = f"""SELECT r.id FROM runs r {" ".join(joins)} WHERE {" AND ".join(conditions)}
        ORDER BY {", ".join([*order_by, "r.start_ms DESC", "r.run_id"])}"""
    if limit is not None:
        query += " LIMIT ?"
        values.append(limit)
    return [row[0] for row in connection.execute(query, [*joined, *values])]


def broken_runs(connection: sqlite3.Connection, *, stage: str, experiments: Sequence[int]) -> list[int]:
    """Ids of the rows of runs that can't be searched, by run id."""
    marks = ",".join("?" * len(experiments))
    query = f"""SELECT id FROM runs WHERE NOT is_searchable AND stage = ? AND experiment IN ({marks})
        ORDER BY run_id"""
    return [row[0] for row in connection.execute(query, [stage, *experiments])]


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
        return f"{left} {comparator} ({','.join('?' * len(value))})", list(value)
    if isinstance(value, int) and abs(value) > _LARGEST:
        value = float(value)
    return f"{left} {comparator} ?", [value]
