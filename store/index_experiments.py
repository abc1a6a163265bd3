"""Experiments in the run index, and what shows that one has changed."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path

from store.index_hold import IndexHold
from store.index_rows import as_unicode, forget_runs, is_unicode
from store.mlflow_files import from_ms, to_ms
from store.run_files import ExperimentFolder
from store.run_look import Look, look_at_experiment
from store.runs import Experiment

TRASH = ".trash"
_NO_EXPERIMENTS = frozenset(("models", TRASH))


def look_at_experiments(root: str) -> dict[str, Look]:
    """A look at each folder of the store that is an experiment or may become one, by its relative path."""
    seen: dict[str, Look] = {}
    for prefix in ("", f"{TRASH}/"):
        try:
            with os.scandir(f"{root}/{prefix}") as entries:
                names = [entry.name for entry in entries if entry.is_dir()]
        except (FileNotFoundError, NotADirectoryError):
            continue
        for name in names:
            if name not in _NO_EXPERIMENTS and is_unicode(name):
                look = look_at_experiment(f"{root}/{prefix}{name}")
                if look is not None:
                    seen[prefix + name] = look
    return seen


def store_experiment(hold: IndexHold, folder: str, item: ExperimentFolder) -> int:
    """Write what is new of an experiment; returns the row's id."""
    about = item.experiment
    inode = os.stat(item.folder).st_ino  # noqa: PTH116
    tags = json.dumps(dict(about.tags), ensure_ascii=True)
    created_ms = to_ms(about.created_at) if about.created_at else None
    row = (
        folder, inode, about.experiment_id, as_unicode(about.name), as_unicode(about.lifecycle_stage),
        as_unicode(about.artifact_location), created_ms, tags, item.problem,
    )  # fmt: skip
    columns = """folder, inode, experiment_id, name, stage, artifact_location, created_ms, tags, problem"""
    query = f"SELECT id, {columns} FROM experiments WHERE folder = ?"
    stored = hold.connection.execute(query, (folder,)).fetchone()
    if stored is not None and stored[1:] == row:
        return int(stored[0])
    with hold.writing() as connection:
        _follow_move(connection, hold.root, folder, inode)
        connection.execute(
            f"""INSERT INTO experiments ({columns}) VALUES ({",".join("?" * len(row))})
            ON CONFLICT (folder) DO UPDATE SET inode = excluded.inode, name = excluded.name,
            experiment_id = excluded.experiment_id, stage = excluded.stage, tags = excluded.tags,
            artifact_location = excluded.artifact_location, created_ms = excluded.created_ms,
            problem = excluded.problem""",
            row,
        )
        found = connection.execute("SELECT id FROM experiments WHERE folder = ?", (folder,)).fetchone()
        connection.execute(
            "UPDATE runs SET revision = ? WHERE experiment = ?", (hold.next_revision(), found[0])
        )
    return int(found[0])


def forget_experiment(hold: IndexHold, folder: str) -> None:
    with hold.writing() as connection:
        found = connection.execute("SELECT id FROM experiments WHERE folder = ?", (folder,)).fetchone()
        if found:
            runs = connection.execute("SELECT id FROM runs WHERE experiment = ?", found).fetchall()
            forget_runs(connection, [run for (run,) in runs], hold.next_revision())
            connection.execute("DELETE FROM experiments WHERE id = ?", found)


def stored_experiments(connection: sqlite3.Connection) -> dict[int, Experiment]:
    """Row ids and experiments, those left out whose `meta.yaml` can't be read."""
    rows = connection.execute(
        """SELECT id, experiment_id, name, stage, artifact_location, created_ms, tags FROM experiments
            WHERE problem IS NULL"""
    )
    return {
        row: Experiment(experiment_id, name, stage, location, from_ms(created_ms), json.loads(tags))
        for row, experiment_id, name, stage, location, created_ms, tags in rows
    }


def _follow_move(connection: sqlite3.Connection, root: Path, folder: str, inode: int) -> None:
    """An experiment that went to the trash, or came back, is the same folder under another name."""
    name = folder.rpartition("/")[2]
    former = folder.removeprefix(f"{TRASH}/") if "/" in folder else f"{TRASH}/{name}"
    is_there = (root / former).exists()
    if is_there or connection.execute("SELECT 1 FROM experiments WHERE folder = ?", (folder,)).fetchone():
        return
    connection.execute(
        "UPDATE experiments SET folder = ? WHERE folder = ? AND inode = ?", (folder, former, inode)
    )
