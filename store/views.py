"""The views over the tables: the latest label of each prediction, and each model with its columns by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from store.sql_words import literal, quoted
from store.tables import TABLES

Feature = tuple[str, str, int]
"""Name, kind and slot (the place, from 1, in the list of its kind)."""

LABELS = """
SELECT prediction_id, latest.label AS label, latest.actual AS actual, received_at,
    latest.observed_at AS observed_at
FROM (
    SELECT prediction_id,
        arg_max({{'label': label, 'actual': actual, 'observed_at': observed_at}}, received_at) AS latest,
        max(received_at) AS received_at
    FROM {feedback} GROUP BY prediction_id
)"""

_FIXED_COLUMNS = (
    "prediction_id",
    "version",
    "predicted_at",
    "prediction",
    "label",
    "probability",
    "probabilities",
    "latency_ms",
    "role",
    "request_id",
)
# What SHOW TABLES and other tools ask DuckDB's catalog by, and the rows of the spool while it is read.
_RESERVED = ("duckdb_", "sqlite_", "pg_", "spooled_")
_LABEL_COLUMNS = {"actual": "actual", "actual_label": "label"}


def view_names(models: Iterable[str]) -> dict[str, str]:
    """Name of each model's view: its own, unless DuckDB, a table or another model has it but for case."""
    taken = {name.lower() for name in (*TABLES, "labels")}
    names: dict[str, str] = {}
    for model in sorted(models):
        is_reserved = model.lower().startswith(_RESERVED)
        name = _free(f"model_{model}" if is_reserved else model, taken, prefix="model_")
        names[model] = name
        taken.add(name.lower())
    return names


def model_view(
    model: str,
    schemas: Mapping[str, Sequence[Feature]],
    *,
    predictions: str = "predictions",
    labels: str = "labels",
) -> str:
    """The query of a model's view: a row a prediction, a column a feature, the latest label beside it.

    A feature that is called like a column of ours appears as `feature_NAME`; of two that differ in case
    only the second gets a number. Versions with different features are joined by column name.
    """
    parts = []
    for schema_id, features in schemas.items():
        columns = [f"p.{quoted(name)}" for name in _FIXED_COLUMNS]
        columns += [f"l.{source} AS {name}" for name, source in _LABEL_COLUMNS.items()]
        taken = {*_FIXED_COLUMNS, *_LABEL_COLUMNS}
        for name, kind, slot in features:
            column = _free(name, taken, prefix="feature_")
            taken.add(column.lower())
            columns.append(f"p.{quoted(kind)}[{slot}] AS {quoted(column)}")
        parts.append(
            f"SELECT {', '.join(columns)} FROM {predictions} p LEFT JOIN {labels} l USING (prediction_id)"
            f" WHERE p.model = {literal(model)} AND p.schema_id = {literal(schema_id)}"
        )
    return " UNION ALL BY NAME ".join(parts)


def _free(name: str, taken: set[str], *, prefix: str) -> str:
    name = name.replace("\0", "") or "_"
    if name.lower() not in taken:
        return name
    name = prefix + name
    candidate, number = name, 2
    while candidate.lower() in taken:
        candidate, number = f"{name}_{number}", number + 1
    return candidate
