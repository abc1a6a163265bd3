"""Runs as rows of the run index."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from sys import intern
from typing import TypeVar

from store.mlflow_files import from_ms, to_ms
from store.run_files import is_searchable, read_datasets, read_run_and_points
from store.run_look import Look
from store.runs import Experiment, Run

_Item = TypeVar("_Item")
_PARTS = ("metrics", "params", "tags", "datasets")
_AT_ONCE = 500
_COLUMNS = """r.id, r.run_id, r.name, e.experiment_id, e.name, r.status, r.start_ms, r.end_ms, r.artifact_uri,
    r.stage, r.problem, r.user_id"""


@dataclass(frozen=True)
class Span:
    """The values a metric took, and at how many steps; NaN is left out, None where there was nothing else."""

    lowest: float | None
    highest: float | None
    points: int
    steps: int


@dataclass(frozen=True)
class ReadRun:
    """All that the index keeps of a run."""

    run: Run
    spans: Mapping[str, Span]
    datasets: Sequence[Mapping[str, str]]


def read_for_index(folder: Path, experiment: Experiment) -> ReadRun:
    run, points = read_run_and_points(folder, experiment)
    spans = {key: _span(found) for key, found in points.items()}
    return ReadRun(run, spans, read_datasets(folder))


def store_run(
    connection: sqlite3.Connection,
    read: ReadRun,
    look: Look,
    *,
    experiment: int,
    is_settled: bool,
    revision: int,
) -> int:
    """Write a run in place of what the index had of it; returns the row's id."""
    try:
        return _store(connection, read, look, experiment, is_settled, revision)
    except UnicodeEncodeError:  # a file name, or an escape in meta.yaml, that is no Unicode
        return _store(connection, _all_as_unicode(read), look, experiment, is_settled, revision)


def forget_runs(connection: sqlite3.Connection, ids: Sequence[int], revision: int) -> None:
    for run in ids:
        for part in _PARTS:
            connection.execute(f"DELETE FROM {part} WHERE run = ?", (run,))
        connection.execute("DELETE FROM runs WHERE id = ?", (run,))
        connection.execute("INSERT INTO gone VALUES (?, ?)", (revision, run))


def keep_names(connection: sqlite3.Connection, names: Sequence[str]) -> int:
    """The id of the list of what is looked at."""
    text = json.dumps(names)
    connection.execute("INSERT OR IGNORE INTO looked_at (names) VALUES (?)", (text,))
    return int(connection.execute("SELECT id FROM looked_at WHERE names = ?", (text,)).fetchone()[0])


def load_names(connection: sqlite3.Connection) -> dict[int, tuple[str, ...]]:
    return {row: tuple(json.loads(text)) for row, text in connection.execute("SELECT * FROM looked_at")}


def load_runs(connection: sqlite3.Connection, ids: Sequence[int]) -> dict[int, Run]:
    """Runs by their rows' ids, in the order of `ids`."""
    found: dict[int, Run] = {}
    for some in in_batches(ids):
        marks = ",".join("?" * len(some))
        params, tags = (_texts(connection, part, some, marks) for part in ("params", "tags"))
        metrics: dict[int, dict[str, float]] = {}
        stepped: dict[int, list[str]] = {}
        query = f"SELECT run, key, value, steps FROM metrics WHERE run IN ({marks})"
        for run, key, value, steps in connection.execute(query, some):
            metrics.setdefault(run, {})[intern(key)] = math.nan if value is None else value
            if steps > 1:
                stepped.setdefault(run, []).append(intern(key))
        rows = connection.execute(
            f"""SELECT {_COLUMNS} FROM runs r JOIN experiments e ON e.id = r.experiment
                WHERE r.id IN ({marks})""",
            some,
        )
        for row in rows:
            run = row[0]
            found[run] = Run(
                run_id=row[1],
                name=row[2],
                experiment_id=intern(row[3]),
                experiment=intern(row[4]),
                status=intern(row[5]),
                started_at=from_ms(row[6]),
                ended_at=from_ms(row[7]),
                params=params.get(run, {}),
                metrics=metrics.get(run, {}),
                tags=tags.get(run, {}),
                artifact_uri=row[8],
                lifecycle_stage=intern(row[9]),
                problem=row[10],
                user_id=intern(row[11]),
                stepped=tuple(sorted(stepped.get(run, ()))),
            )
    return {run: found[run] for run in ids if run in found}


def load_spans(connection: sqlite3.Connection, run: int) -> dict[str, Span]:
    """Lowest and highest value and number of points of each metric of a run."""
    query = "SELECT key, lowest, highest, points, steps FROM metrics WHERE run = ?"
    return {key: Span(*span) for key, *span in connection.execute(query, (run,))}


def is_as_stored(connection: sqlite3.Connection, row: int, read: ReadRun) -> bool:
    """Whether a run is just what the index has of it."""
    stored = load_runs(connection, [row]).get(row)
    query = "SELECT name, digest, context FROM datasets WHERE run = ? ORDER BY position"
    datasets = [tuple(dataset.get(key) for key in ("name", "digest", "context")) for dataset in read.datasets]
    return (
        stored is not None
        # Compared as text, for NaN is not equal to itself.
        and repr(sorted(stored.metrics.items())) == repr(sorted(read.run.metrics.items()))
        and _without_metrics(stored) == _without_metrics(read.run)
        and load_spans(connection, row) == dict(read.spans)
        and connection.execute(query, (row,)).fetchall() == datasets
    )


def _store(
    connection: sqlite3.Connection,
    read: ReadRun,
    look: Look,
    experiment: int,
    is_settled: bool,
    revision: int,
) -> int:
    run = read.run
    known = connection.execute(
        "SELECT id FROM runs WHERE experiment = ? AND run_id = ?", (experiment, run.run_id)
    ).fetchone()
    if known:
        for part in _PARTS:
            connection.execute(f"DELETE FROM {part} WHERE run = ?", known)
    row = connection.execute(
        f"INSERT OR REPLACE INTO runs VALUES ({','.join('?' * 18)})",
        (
            known[0] if known else None, experiment, run.run_id, run.name, run.status,
            to_ms(run.started_at) if run.started_at else None,
            to_ms(run.ended_at) if run.ended_at else None,
            run.artifact_uri, run.lifecycle_stage, run.problem, run.user_id, is_searchable(run),
            look.signature, look.params, look.changed_ns, is_settled,
            keep_names(connection, look.names), revision,
        ),
    ).lastrowid  # fmt: skip
    assert row is not None
    spans = read.spans
    connection.executemany(
        "INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (row, key, value, spans[key].lowest, spans[key].highest, spans[key].points, spans[key].steps)
            for key, value in sorted(run.metrics.items())
        ],
    )
    for part, values in (("params", run.params), ("tags", run.tags)):
        connection.executemany(
            f"INSERT INTO {part} VALUES (?, ?, ?)",
            [(row, key, value) for key, value in sorted(values.items())],
        )
    connection.executemany(
        "INSERT INTO datasets VALUES (?, ?, ?, ?, ?)",
        [
            (row, position, about.get("name"), about.get("digest"), about.get("context"))
            for position, about in enumerate(read.datasets)
        ],
    )
    return row


def _span(points: list[tuple[int, int, float]]) -> Span:
    numbers = [value for _, _, value in points if not math.isnan(value)]
    steps = len({step for _, step, _ in points}) if len(points) > 1 else 1
    return Span(min(numbers, default=None), max(numbers, default=None), len(points), steps)


def _texts(
    connection: sqlite3.Connection, part: str, ids: Sequence[int], marks: str
) -> dict[int, dict[str, str]]:
    found: dict[int, dict[str, str]] = {}
    for run, key, value in connection.execute(
        f"SELECT run, key, value FROM {part} WHERE run IN ({marks})", ids
    ):
        found.setdefault(run, {})[intern(key)] = value
    return found


def in_batches(ids: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    """As many at once as a query may name."""
    for start in range(0, len(ids), _AT_ONCE):
        yield ids[start : start + _AT_ONCE]


def _without_metrics(run: Run) -> Run:
    return replace(run, metrics={})


def _all_as_unicode(read: ReadRun) -> ReadRun:
    run = read.run
    cleaned = replace(
        run,
        name=as_unicode(run.name),
        status=as_unicode(run.status),
        artifact_uri=as_unicode(run.artifact_uri),
        lifecycle_stage=as_unicode(run.lifecycle_stage),
        problem=as_unicode(run.problem) if run.problem else None,
        user_id=as_unicode(run.user_id),
        params=_cleaned(run.params.items()),
        tags=_cleaned(run.tags.items()),
        metrics={as_unicode(key): value for key, value in run.metrics.items()},
    )
    datasets = [_cleaned(dataset.items()) for dataset in read.datasets]
    return ReadRun(cleaned, {as_unicode(key): span for key, span in read.spans.items()}, datasets)


def _cleaned(items: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {as_unicode(key): as_unicode(value) for key, value in items}


def as_unicode(text: str) -> str:
    """Text that SQLite takes: what is no Unicode in it replaced."""
    return text.encode("utf-8", "replace").decode()


def is_unicode(name: str) -> bool:
    """Whether a file's name is one that can be kept as it is."""
    return name.isascii() or as_unicode(name) == name
