"""Registered models as rows of the run index: reading a thousand versions costs what changed of them."""

from __future__ import annotations

import json
import math
import os
import sqlite3
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from sys import intern
from typing import TYPE_CHECKING

from store.file_models import FileModels, ModelHead, ReadVersion, assembled
from store.index_hold import IndexHold
from store.index_rows import as_unicode, in_batches, is_unicode
from store.mlflow_files import from_ms, to_ms
from store.model_folders import version_numbers
from store.registry import ModelVersion, RegisteredModel
from store.run_look import look_at_model, look_at_run, look_at_version

if TYPE_CHECKING:
    from store.run_index import RunIndex

_VERSION_COLUMNS = """version, stage, run_id, source, model_dir, created_ms, updated_ms, description, tags,
    status, problem"""


class IndexedModels:
    """Reads registered models from `index`, which is brought into step with `files` first."""

    def __init__(self, files: FileModels, index: RunIndex) -> None:
        self._files = files
        self._index = index

    def read(self, name: str) -> RegisteredModel | None:
        if not is_unicode(name):
            return self._files.read(name)
        return self._index.use(lambda hold: self._read(hold, name), lambda: self._files.read(name))

    def _read(self, hold: IndexHold, name: str) -> RegisteredModel | None:
        folder = self._files.folder(name)
        if folder is None or not self._bring_into_step(hold, name, folder):
            if hold.path.exists():
                _forget(hold, name)
            return None
        connection = hold.connection
        head = _load_head(connection, name)
        model = assembled(name, head, self._load_versions(connection, name, folder))
        metrics = self._metrics(connection, {version.run_id for version in model.versions if version.run_id})
        versions = (replace(item, metrics=metrics.get(item.run_id or "", {})) for item in model.versions)
        return replace(model, versions=tuple(versions))

    def _bring_into_step(self, hold: IndexHold, name: str, folder: Path) -> bool:
        """Read what has changed of a model; False where its folder is gone."""
        connection = hold.connection
        numbers = version_numbers(folder)
        looked = look_at_model(str(folder))
        looks = {number: look_at_version(f"{folder}/version-{number}") for number in numbers}
        known: dict[int, int | None] = {
            number: signature if is_settled else None
            for number, signature, is_settled in connection.execute(
                "SELECT version, signature, is_settled FROM versions WHERE model = ?", (name,)
            )
        }
        changed = [n for n, look in looks.items() if look is not None and known.get(n) != look.signature]
        gone = [number for number in known if looks.get(number) is None]
        row = connection.execute(
            "SELECT signature FROM models WHERE name = ? AND is_settled", (name,)
        ).fetchone()
        is_head_known = looked is not None and row is not None and row[0] == looked.signature
        if is_head_known and not changed and not gone:
            return True
        with hold.writing():  # read within, so that what was read last is what stays
            now = time.time_ns()
            looked = look_at_model(str(folder))
            head = self._files.head(folder)
            if looked is None or head is None:
                return False
            connection.execute(
                "INSERT OR REPLACE INTO models VALUES (?, ?, ?, ?, ?)",
                (name, as_unicode(head.description), _text(head.problem), looked.signature,
                 looked.is_settled(now)),
            )  # fmt: skip
            connection.execute("DELETE FROM aliases WHERE model = ?", (name,))
            connection.executemany(
                "INSERT INTO aliases VALUES (?, ?, ?)",
                [(name, as_unicode(alias), number) for alias, number in head.aliases.items()],
            )
            for number in changed:
                look = look_at_version(f"{folder}/version-{number}")
                read = self._files.version(folder, number)
                if look is None or read is None:
                    gone.append(number)
                    continue
                settled = look.is_settled(now)
                _store_version(connection, name, number, read, signature=look.signature, is_settled=settled)
            connection.executemany(
                "DELETE FROM versions WHERE model = ? AND version = ?", [(name, number) for number in gone]
            )
        return True

    def _load_versions(
        self, connection: sqlite3.Connection, name: str, folder: Path
    ) -> Iterator[ReadVersion]:
        rows = connection.execute(
            f"SELECT {_VERSION_COLUMNS} FROM versions WHERE model = ? ORDER BY version DESC", (name,)
        ).fetchall()
        for row in rows:
            number, stage, *_, problem = row
            model_dir = row[4]
            if stage is None:
                yield ReadVersion(None, problem)
            elif model_dir is not None and os.path.exists(model_dir):  # noqa: PTH110 - a thousand times
                yield ReadVersion(_version(name, row))
            else:  # where the files are may have changed without a change of the version
                read = self._files.version(folder, number)
                if read is not None:
                    yield read

    def _metrics(
        self, connection: sqlite3.Connection, run_ids: Collection[str]
    ) -> dict[str, Mapping[str, float]]:
        """Of each run: from the index where a look says that it has not changed."""
        found: dict[str, Mapping[str, float]] = {}
        known: dict[int, str] = {}
        for some in in_batches(sorted(filter(is_unicode, run_ids))):
            rows = connection.execute(
                f"""SELECT r.id, r.run_id, e.folder, r.signature FROM runs r
                    JOIN experiments e ON e.id = r.experiment
                    WHERE r.is_settled AND r.run_id IN ({",".join("?" * len(some))})""",
                some,
            )
            for row, run_id, folder, signature in rows.fetchall():
                look = look_at_run(f"{self._files.root}/{folder}/{run_id}", with_params=False)
                if look is not None and look.signature == signature:
                    known[row] = run_id
        for rows_ids in in_batches(list(known)):
            collected: dict[int, dict[str, float]] = {row: {} for row in rows_ids}
            marks = ",".join("?" * len(rows_ids))
            query = f"SELECT run, key, value FROM metrics WHERE run IN ({marks})"
            for row, key, value in connection.execute(query, rows_ids):
                collected[row][intern(key)] = math.nan if value is None else value
            found.update((known[row], metrics) for row, metrics in collected.items())
        for run_id in set(run_ids) - found.keys():
            found[run_id] = self._files.metrics(run_id)
        return found


def _store_version(
    connection: sqlite3.Connection,
    name: str,
    number: int,
    read: ReadVersion,
    *,
    signature: int,
    is_settled: bool,
) -> None:
    version = read.version
    values: tuple[object, ...] = (None,) * 9
    if version is not None:
        values = (
            as_unicode(version.stage), _text(version.run_id), as_unicode(version.source),
            str(version.model_dir) if version.model_dir and is_unicode(str(version.model_dir)) else None,
            to_ms(version.created_at), to_ms(version.updated_at) if version.updated_at else None,
            as_unicode(version.description), json.dumps(dict(version.tags)), as_unicode(version.status),
        )  # fmt: skip
    connection.execute(
        f"INSERT OR REPLACE INTO versions VALUES ({','.join('?' * 14)})",
        (name, number, *values, _text(read.problem), signature, is_settled),
    )


def _version(name: str, row: tuple[object, ...]) -> ModelVersion:
    number, stage, run_id, source, model_dir, created_ms, updated_ms, description, tags, status, _ = row
    created_at = from_ms(created_ms)
    assert created_at is not None
    return ModelVersion(
        name=name,
        version=int(str(number)),
        aliases=(),
        stage=intern(str(stage)),
        run_id=None if run_id is None else str(run_id),
        source=str(source),
        model_dir=Path(str(model_dir)),
        created_at=created_at,
        description=str(description),
        tags=json.loads(str(tags)),
        status=intern(str(status)),
        updated_at=from_ms(updated_ms),
    )


def _load_head(connection: sqlite3.Connection, name: str) -> ModelHead:
    description, problem = connection.execute(
        "SELECT description, problem FROM models WHERE name = ?", (name,)
    ).fetchone()
    aliases = connection.execute("SELECT alias, version FROM aliases WHERE model = ?", (name,))
    return ModelHead(description, dict(aliases), problem)


def _forget(hold: IndexHold, name: str) -> None:
    if not hold.connection.execute("SELECT 1 FROM models WHERE name = ?", (name,)).fetchone():
        return
    with hold.writing() as connection:
        connection.execute("DELETE FROM models WHERE name = ?", (name,))
        for table in ("aliases", "versions"):
            connection.execute(f"DELETE FROM {table} WHERE model = ?", (name,))


def _text(text: str | None) -> str | None:
    return None if text is None else as_unicode(text)
