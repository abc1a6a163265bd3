"""How large the prediction log is, what is in it, and whether it is sound."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from store.archive import day_folders
from store.database import explained, reading
from store.errors import DataError, StorageError
from store.layout import Layout
from store.predictions import ModelCount, PredictionReader
from store.profile import Profile
from store.references import published_references
from store.segments import list_segments, read_chunks
from store.tables import TABLES


@dataclass(frozen=True)
class Stats:
    """Sizes in bytes, and counts."""

    models: list[ModelCount]
    file_bytes: int
    spool_bytes: int
    spool_segments: int
    archive_bytes: int
    archive_days: int
    torn: int
    """Files of damaged lines that were put aside."""
    references: list[tuple[str, int]]
    note: str | None
    """What is missing from the counts, and why."""


def stats(layout: Layout) -> Stats:
    """Sizes and counts of a project's prediction log."""
    reader = PredictionReader(layout)
    models = reader.counts()
    segments = list_segments(layout.spool)
    return Stats(
        models=models,
        file_bytes=_size([layout.predictions]),
        spool_bytes=_size(segments),
        spool_segments=len(segments),
        archive_bytes=_size([path for path in layout.archive.rglob("*") if path.is_file()]),
        archive_days=len(day_folders(layout)),
        torn=len([*(layout.spool / "torn").glob("*")]),
        references=sorted(published_references(layout)),
        note=reader.note,
    )


@dataclass
class Findings:
    """What `check` found: problems in words, empty where all is well, and what was looked at."""

    problems: list[str] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)
    is_damaged: bool = False
    """Whether the DuckDB file can't be read and should be made again."""


def check(layout: Layout) -> Findings:
    """Read everything: the DuckDB file block by block, each line of the spool, each reference."""
    found = Findings()
    _check_file(layout, found)
    damaged = lines = 0
    for segment in list_segments(layout.spool):
        for chunk in read_chunks(segment):
            damaged += len(chunk.damaged)
            lines += len(chunk.payloads)
    found.checked.append(f"{lines:,} lines in the spool")
    if damaged:
        found.problems.append(f"{damaged} damaged lines in the spool: the next fold puts them aside")
    references = published_references(layout)
    for (model, version), path in references.items():
        try:
            Profile.from_json(path.read_bytes())
        except (DataError, OSError) as error:
            found.problems.append(f"the reference of {model} version {version} can't be read: {error}")
    found.checked.append(f"{len(references)} references")
    return found


def _check_file(layout: Layout, found: Findings) -> None:
    import duckdb

    try:
        with reading(layout, own=True) as (connection, missing):
            if missing is not None:
                if missing:
                    found.problems.append(f"the DuckDB file could not be checked: {missing}")
                else:
                    found.checked.append("no DuckDB file yet")
                return
            rows = 0
            for table, columns in TABLES.items():
                try:
                    # A hash reads every value; a count would read none.
                    ((n, _),) = connection.execute(
                        f"SELECT count(*), bit_xor(hash({', '.join(columns)})) FROM log.{table}"
                    ).fetchall()
                except duckdb.CatalogException:
                    continue  # of an older version, which the next fold brings up to date
                rows += n
            ((predictions, counted),) = connection.execute(
                "SELECT (SELECT count(*) FROM log.predictions), (SELECT sum(predictions) FROM log.volumes)"
            ).fetchall()
            if predictions > (counted or 0):
                found.problems.append(
                    f"{predictions:,} predictions, but only {counted or 0:,} by five minutes"
                )
            found.checked.append(f"{rows:,} rows in {layout.predictions.name}")
    except duckdb.Error as error:
        found.problems.append(str(explained(error, layout.predictions)))
        found.is_damaged = True
    except StorageError as error:
        found.problems.append(str(error))
        found.is_damaged = "damaged" in error.message


def _size(paths: list[Path]) -> int:
    total = 0
    for path in paths:
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total
