"""Reading the prediction log: what is folded and what is still in the spool, as one."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from store.batches import Batch
from store.database import ATTACHED, HeldError, explained, reading
from store.fold import stored_schemas
from store.ids import is_prediction_id
from store.layout import Layout
from store.questions import Answer, ask
from store.records import decode
from store.segments import list_segments, read_chunks
from store.shared_reading import shared_facts
from store.sql_words import quoted
from store.tables import FEEDBACK_COLUMNS, MODEL_COLUMNS, PREDICTION_COLUMNS, SCHEMA_COLUMNS
from store.views import LABELS, model_view, view_names

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Origin = tuple[str, int]
"""A model and its version."""

MAX_SPOOL_BYTES = 64 << 20
"""How much of an unfolded spool a reader takes in, the newest; more piles up only while the file is held."""


@dataclass(frozen=True)
class Table:
    """The answer to a query. `note` says what is missing from it, where the DuckDB file can't be read."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    note: str | None = None

    def records(self) -> list[dict[str, Any]]:
        """The rows as objects."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


@dataclass(frozen=True)
class ModelCount:
    """How many predictions of a model version are logged, and how many have a label."""

    model: str
    version: int
    predictions: int
    labelled: int
    first_at: datetime
    last_at: datetime


class PredictionReader:
    """Answers questions about the log of one project, from any thread; opens the file only while it reads.

    Where somebody else keeps the DuckDB file open for longer than `timeout_s`, answers come from the spool
    alone and `note` (of the last answer) names the holder.
    """

    def __init__(self, layout: Layout, *, timeout_s: float = 2.0) -> None:
        self._layout = layout
        self._timeout_s = timeout_s
        self._spooled = _SpooledIds(layout.spool)
        self.note: str | None = None

    def query(self, sql: str, *, limit: int | None = None) -> Table:
        """Run one SELECT of the user's own (or DESCRIBE, SUMMARIZE, SHOW, EXPLAIN); local files can be read.

        It sees `predictions`, `feedback`, `schemas`, `labels` (the latest of each prediction) and a view for
        each model, spool included, and the file itself as `log`. Times are UTC. `limit` cuts the rows.
        Raises UsageError for wrong SQL and for whatever would write.
        """
        with self.answer(sql, limit=limit) as answer:
            rows = [row for block in answer.blocks() for row in block]
            return Table(answer.columns, rows, self.note)

    def answer(self, sql: str, *, limit: int | None = None) -> Answer:
        """The same for answers of any size; nobody waits for the DuckDB file while they are read."""
        with self._open(own=True) as connection:
            self._make_views(connection)
            return ask(connection, sql, limit=limit)

    def recent(self, model: str | None = None, limit: int = 100, *, version: int | None = None) -> Table:
        """The newest predictions first, with `features` by name and the latest label as `actual_label`."""
        conditions, values = ["true"], list[Any]()
        for column, value in (("model", model), ("version", version)):
            if value is not None:
                conditions.append(f"{column} = ?")
                values.append(value)
        newest = " ORDER BY predicted_at DESC, prediction_id DESC LIMIT ?"
        with self._open() as connection:
            # First which, then the rest of those: the features of all rows are a hundred times as much.
            chosen = connection.execute(
                "SELECT predicted_at, prediction_id FROM predictions"
                f" WHERE {' AND '.join(conditions)}{newest}",
                [*values, limit],
            ).fetchall()
            conditions += ["predicted_at >= ?", "prediction_id IN (SELECT unnest(?::VARCHAR[]))"]
            found = (
                connection.execute(
                    f"SELECT * FROM predictions WHERE {' AND '.join(conditions)}{newest}",
                    [*values, chosen[-1][0], [row[1] for row in chosen], limit],
                ).fetchall()
                if chosen
                else []
            )
            rows = [dict(zip(PREDICTION_COLUMNS, row, strict=True)) for row in found]
            ids = [row["prediction_id"] for row in rows]
            labels = dict(
                connection.execute(
                    "SELECT prediction_id, arg_max(label, received_at) FROM feedback"
                    " WHERE prediction_id IN (SELECT unnest(?::VARCHAR[])) GROUP BY prediction_id",
                    [ids],
                ).fetchall()
            )
            schemas = self._schemas(connection, {row["schema_id"] for row in rows})
        shown = [
            "prediction_id",
            "model",
            "version",
            "predicted_at",
            "prediction",
            "label",
            "actual_label",
            "probability",
            "probabilities",
            "latency_ms",
            "role",
            "request_id",
            "features",
        ]
        for row in rows:
            row["predicted_at"] = row["predicted_at"].replace(tzinfo=UTC)
            row["actual_label"] = labels.get(row["prediction_id"])
            row["features"] = {
                name: row[kind][slot - 1]
                for name, kind, slot in schemas.get(row["schema_id"], ())
                if row[kind] and slot <= len(row[kind])
            }
        return Table(tuple(shown), [tuple(row[name] for name in shown) for row in rows], self.note)

    def new_labels(self, since: datetime, model: str | None = None) -> Table:
        """Predictions with the labels received after `since`: the latest of each, oldest prediction first."""
        condition = "" if model is None else " AND p.model = ?"
        with self._open() as connection:
            connection.execute(
                "CREATE OR REPLACE TEMP TABLE received AS SELECT prediction_id,"
                " arg_max({'label': label, 'actual': actual}, received_at) AS latest,"
                " max(received_at) AS received_at FROM feedback WHERE received_at > ? GROUP BY prediction_id",
                [since.astimezone(UTC).replace(tzinfo=None)],
            )
            ids = connection.execute("SELECT min(prediction_id), max(prediction_id) FROM received").fetchall()
            # Ids are in order of time, so by their bounds DuckDB passes over most of the file.
            cursor = connection.execute(
                "SELECT p.prediction_id, p.model, p.version, p.role, p.predicted_at, p.prediction, p.label,"
                " p.probability, r.latest.actual AS actual, r.latest.label AS actual_label, r.received_at"
                " FROM predictions p JOIN received r USING (prediction_id)"
                f" WHERE p.prediction_id >= ? AND p.prediction_id <= ?{condition}",
                [*ids[0], *([] if model is None else [model])],
            )
            columns = tuple(column[0] for column in cursor.description or ())
            # Sorted here: DuckDB takes several times as long to prepare for it.
            rows = sorted(cursor.fetchall(), key=itemgetter(columns.index("predicted_at")))
            return Table(columns, rows, self.note)

    def counts(self) -> list[ModelCount]:
        """Predictions and labels of each model version, in order of name and version."""
        with self._open() as connection:
            found = connection.execute(
                "SELECT model, version, count(*), count(l.prediction_id),"
                " min(predicted_at), max(predicted_at)"
                " FROM predictions LEFT JOIN (SELECT DISTINCT prediction_id FROM feedback) l"
                " USING (prediction_id) GROUP BY model, version ORDER BY model, version"
            ).fetchall()
        return [
            ModelCount(model, version, n, labelled, first.replace(tzinfo=UTC), last.replace(tzinfo=UTC))
            for model, version, n, labelled, first, last in found
        ]

    def known_ids(self, ids: Collection[str]) -> set[str]:
        """Those of `ids` that are of logged predictions (see `origins`)."""
        return set(self.origins(ids))

    def origins(self, ids: Collection[str]) -> dict[str, Origin | None]:
        """The model and version of those of `ids` that are of logged predictions.

        While somebody holds the DuckDB file, an id that has the form of one of ours counts as known, and it
        is not known of what: its label is kept whatever it turns out to be.
        """
        # The spool first: what leaves it meanwhile is in the file when that is looked at.
        known: dict[str, Origin | None] = {**self._spooled.among(ids)}
        unseen = [prediction_id for prediction_id in ids if prediction_id not in known]
        self.note = None
        if not unseen:
            return known
        try:
            with reading(self._layout, timeout_s=self._timeout_s) as (connection, missing):
                self.note = missing or None
                if missing is None:
                    known |= {
                        row[0]: (row[1], row[2])
                        for row in connection.execute(
                            f"SELECT prediction_id, model, version FROM {ATTACHED}.predictions"
                            " WHERE prediction_id IN (SELECT unnest(?::VARCHAR[]))"
                            " AND prediction_id BETWEEN ? AND ?",
                            [unseen, min(unseen), max(unseen)],
                        ).fetchall()
                    }
        except HeldError as error:
            self.note = error.message
        if self.note:
            known |= dict.fromkeys(filter(is_prediction_id, unseen))
        return known

    @contextmanager
    def opened(self) -> Iterator[DuckDBPyConnection]:
        """A connection with the tables and `labels`, spool included, for trusted SQL; models have no views.

        Temporary tables go with it.
        """
        with self._open() as connection:
            facts = shared_facts(connection)
            if facts is None or "labels" not in facts:
                _view_labels(connection)
            if facts is not None:
                facts["labels"] = True
            yield connection

    @contextmanager
    def _open(self, *, own: bool = False) -> Iterator[DuckDBPyConnection]:
        """A connection in which `predictions`, `feedback`, `schemas` and `models` include the spool."""
        import duckdb

        with reading(self._layout, timeout_s=self._timeout_s, own=own) as (connection, missing):
            facts = shared_facts(connection)
            if facts is not None and "predictions" in facts:
                self.note = facts["predictions"]
                yield connection
                return
            try:
                # What is in the spool is read after the file was opened: until it is closed, no fold can
                # move rows, so none is seen twice and none is missed.
                taken_to: dict[str, int] = {}
                if missing is None:
                    taken_to = dict(
                        connection.execute(f"SELECT name, taken_to FROM {ATTACHED}.segments").fetchall()
                    )
                batch, skipped_bytes = read_spool(self._layout.spool, taken_to)
                _unite(connection, batch, is_attached=missing is None)
            except duckdb.Error as error:
                raise explained(error, self._layout.predictions) from error
            self.note = None
            if missing:
                self.note = f"{missing}: only what is not yet in it is shown"
            elif skipped_bytes:
                self.note = f"the oldest {skipped_bytes / 1e6:.0f} MB of the spool are not shown"
            if facts is not None:
                facts["predictions"] = self.note
            yield connection

    def _schemas(
        self, connection: DuckDBPyConnection, schema_ids: Collection[str]
    ) -> dict[str, list[tuple[str, str, int]]]:
        found: dict[str, list[tuple[str, str, int]]] = {}
        for schema_id, name, kind, slot in connection.execute(
            "SELECT schema_id, name, kind, slot FROM schemas"
            " WHERE schema_id IN (SELECT unnest(?::VARCHAR[])) ORDER BY schema_id, position",
            [list(schema_ids)],
        ).fetchall():
            found.setdefault(schema_id, []).append((name, kind, slot))
        return found

    def _make_views(self, connection: DuckDBPyConnection) -> None:
        _view_labels(connection)
        schemas = stored_schemas(connection, "")
        for model, name in view_names(schemas).items():
            connection.execute(f"CREATE TEMP VIEW {quoted(name)} AS {model_view(model, schemas[model])}")


def _view_labels(connection: DuckDBPyConnection) -> None:
    connection.execute(f"CREATE TEMP VIEW labels AS {LABELS.format(feedback='feedback')}")


def read_spool(folder: Path, taken_to: dict[str, int]) -> tuple[Batch, int]:
    """What is in the spool beyond what is folded, and how many bytes were left out for being too many."""
    sizes = {}
    for segment in list_segments(folder):
        try:
            sizes[segment] = segment.stat().st_size - taken_to.get(segment.name, 0)
        except FileNotFoundError:
            continue
    excess = max(0, sum(sizes.values()) - MAX_SPOOL_BYTES)
    left_out = excess
    batch = Batch()
    for segment, size in sizes.items():
        skipped = min(excess, size)
        excess -= skipped
        if size > skipped:
            # A start within a line only makes that line one that isn't read.
            for chunk in read_chunks(segment, taken_to.get(segment.name, 0) + skipped):
                batch.add_all(chunk.payloads)
    return batch, left_out


def _unite(connection: DuckDBPyConnection, batch: Batch, *, is_attached: bool) -> None:
    """Make views of the file's tables that include the batch."""
    _view(connection, "predictions", PREDICTION_COLUMNS, batch.n_predictions, is_attached, batch.predictions)
    known = f"SELECT prediction_id FROM {ATTACHED}.predictions UNION ALL " if is_attached else ""
    if batch.n_feedback and not batch.n_predictions:
        known = known.removesuffix(" UNION ALL ")
    elif batch.n_predictions:
        known += "SELECT prediction_id FROM spooled_predictions"
    # As in the file: labels of unknown predictions stay aside.
    condition = f" WHERE prediction_id IN ({known})" if known else " WHERE false"
    _view(connection, "feedback", FEEDBACK_COLUMNS, batch.n_feedback, is_attached, batch.feedback, condition)
    _listing(connection, "schemas", SCHEMA_COLUMNS, batch.schema_rows(), "schema_id", is_attached)
    key = "(model, version, schema_id)"
    _listing(connection, "models", MODEL_COLUMNS, sorted(batch.models), key, is_attached)


def _listing(
    connection: DuckDBPyConnection,
    name: str,
    columns: dict[str, str],
    rows: Sequence[tuple[Any, ...]],
    key: str,
    is_attached: bool,
) -> None:
    """A small table of the file with what the spool adds to it; no more than a view where that is nothing."""
    if is_attached and not rows:
        connection.execute(f"CREATE TEMP VIEW {name} AS FROM {ATTACHED}.{name}")
        return
    listed = ", ".join(f'"{column}" {kind}' for column, kind in columns.items())
    connection.execute(f"CREATE TEMP TABLE {name} ({listed})")
    if is_attached:
        connection.execute(f"INSERT INTO {name} FROM {ATTACHED}.{name}")
    if rows:
        marks = ", ".join("?" * len(columns))
        connection.execute(f"CREATE TEMP TABLE more AS FROM {name} LIMIT 0")
        connection.executemany(f"INSERT INTO more VALUES ({marks})", rows)
        connection.execute(
            f"INSERT INTO {name} SELECT * FROM more WHERE {key} NOT IN (SELECT {key} FROM {name})"
        )
        connection.execute("DROP TABLE more")


def _view(
    connection: DuckDBPyConnection,
    name: str,
    columns: dict[str, str],
    n_spooled: int,
    is_attached: bool,
    spooled: Any,
    condition: str = "",
) -> None:
    listed = ", ".join(f'"{column}"' for column in columns)
    parts = [f"SELECT {listed} FROM {ATTACHED}.{name}"] if is_attached else []
    if n_spooled:
        connection.register(f"spooled_{name}", spooled())
        parts.append(f"SELECT {listed} FROM spooled_{name}{condition}")
    if not parts:
        nothing = ", ".join(f'NULL::{kind} AS "{column}"' for column, kind in columns.items())
        parts = [f"SELECT {nothing} WHERE false"]
    connection.execute(f"CREATE TEMP VIEW {name} AS {' UNION ALL '.join(parts)}")


class _SpooledIds:
    """Ids of the predictions in the spool with what made them, read once as they come in."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._read_to: dict[str, int] = {}
        self._ids: dict[str, dict[str, Origin]] = {}

    def among(self, ids: Collection[str]) -> dict[str, Origin]:
        with self._lock:
            self._refresh()
            wanted = set(ids)
            found: dict[str, Origin] = {}
            for spooled in self._ids.values():
                found |= {one: spooled[one] for one in wanted & spooled.keys()}
            return found

    def _refresh(self) -> None:
        segments = list_segments(self._folder)
        for gone in self._ids.keys() - {segment.name for segment in segments}:
            del self._ids[gone], self._read_to[gone]
        for segment in segments:
            ids = self._ids.setdefault(segment.name, {})
            self._read_to.setdefault(segment.name, 0)
            for chunk in read_chunks(segment, self._read_to[segment.name]):
                for payload in chunk.payloads:
                    record = decode(payload)
                    if record is not None and record["k"] == "p" and isinstance(record.get("i"), list):
                        origin = (str(record.get("m")), int(record.get("v") or 0))
                        ids.update(dict.fromkeys(map(str, record["i"]), origin))
                self._read_to[segment.name] = chunk.end
