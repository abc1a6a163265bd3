"""What can be mended in a file store's broken files, without losing anything that somebody wrote.

One broken file stops MLflow from searching its whole experiment. Whatever is cut or replaced here is kept as
it was in a folder outside of the store; folders with files that belong to no run are left where they are.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from store.errors import StorageError
from store.files import write_atomically
from store.mlflow_files import (
    META_FILE,
    BrokenFileError,
    dump_meta,
    read_meta,
    read_points,
    read_values,
    subfolders,
    walk_keys,
    write_value,
)
from store.run_files import is_stray, run_folders
from store.runs import RUN_NAME_TAG

NO_EXPERIMENTS = frozenset(("models", ".trash"))
REPAIRED_TAG = "workbench.repaired"
SETTLED_AFTER_S = 10.0
"""A file written so shortly ago may be whole in a moment."""

_KILLED = 5


def repair_files(root: Path, keep: Path) -> list[str]:
    """Mend broken metric files and `meta.yaml`, remove empty stray folders; returns what was done.

    `keep` is where the broken files are copied to before.
    """
    mended: list[str] = []
    for name in subfolders(root):
        experiment = root / name
        if name in NO_EXPERIMENTS:
            continue
        if not (experiment / META_FILE).exists() and _remove_if_empty(experiment):
            mended.append(f"removed the empty folder {experiment}")
            continue
        if not _is_readable(experiment / META_FILE) and not _holds_runs(experiment):
            continue
        mended += _repair_experiment(experiment, root, keep)
        for run in run_folders(experiment):
            folder = experiment / run
            if is_stray(folder):
                if _remove_if_empty(folder):
                    mended.append(f"removed the empty folder {folder}")
                continue
            mended += _repair_run(folder, root, keep)
    return mended


def _repair_experiment(folder: Path, root: Path, keep: Path) -> Iterator[str]:
    meta_file = folder / META_FILE
    if _is_readable(meta_file) or not _is_settled(meta_file):
        return
    created_ms = min((_begin_ms(folder / run) for run in run_folders(folder)), default=_age_ms(folder))
    name = f"recovered {folder.name}"
    _keep(meta_file, root, keep)
    _write_meta(
        meta_file,
        {
            "artifact_location": folder.as_uri(),
            "creation_time": created_ms,
            "experiment_id": folder.name,
            "last_update_time": created_ms,
            "lifecycle_stage": "active",
            "name": name,
        },
    )
    yield f"experiment {folder.name} has a meta.yaml again; its name was lost, so it is {name!r}"


def _repair_run(folder: Path, root: Path, keep: Path) -> Iterator[str]:
    for key, path in walk_keys(folder / "metrics"):
        metric = Path(path)
        if _is_settled(metric):
            done = _repair_metric(metric, root, keep)
            if done:
                yield f"metric {key} of run {folder.name}: {done}"
    meta_file = folder / META_FILE
    if _is_readable(meta_file) or not _is_settled(meta_file):
        return
    tags, _ = read_values(folder / "tags")
    begin_ms = _begin_ms(folder)
    _keep(meta_file, root, keep)
    _write_meta(
        meta_file,
        {
            "artifact_uri": (folder / "artifacts").as_uri(),
            "end_time": max(begin_ms, _last_ms(folder)),
            "entry_point_name": "",
            "experiment_id": folder.parent.name,
            "lifecycle_stage": "active",
            "run_id": folder.name,
            "run_name": tags.get(RUN_NAME_TAG, folder.name[:8]),
            "run_uuid": folder.name,
            "source_name": "",
            "source_type": 4,
            "source_version": "",
            "start_time": begin_ms,
            "status": _KILLED,
            "tags": [],
            "user_id": tags.get("mlflow.user", ""),
        },
    )
    write_value(folder, "tags", REPAIRED_TAG, "meta.yaml was made anew: times and status are a guess")
    yield f"run {folder.name} has a meta.yaml again, from its tags and metrics; its status is KILLED"


def _repair_metric(path: Path, root: Path, keep: Path) -> str | None:
    """Cut what a crash left half written at the end; what else is wrong stays, for a person to look at."""
    try:
        read_points(path)
    except BrokenFileError:
        pass
    except OSError:
        return None
    else:
        return None
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    try:
        is_whole = bool(whole) and all(len(line.split()) in (2, 3, 5) for line in whole.splitlines())
        for line in whole.splitlines():
            float(line.split()[1])
    except (ValueError, IndexError):
        is_whole = False
    if content.strip() and not is_whole:
        return None
    _keep(path, root, keep)
    if not is_whole:
        path.unlink()
        return "its file was empty and is removed"
    write_atomically(path, whole, staging=path.parents[len(path.relative_to(root).parts) - 3])
    return "a half-written last line is cut off"


def _write_meta(path: Path, content: dict[str, Any]) -> None:
    write_atomically(path, dump_meta(content))


def _keep(path: Path, root: Path, keep: Path) -> None:
    """Copy a broken file aside, unless there is nothing in it."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    if content:
        target = keep / path.relative_to(root)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"cannot write {target}: {error.strerror}", "Free the disk.") from error
        write_atomically(target, content)


def _is_readable(meta_file: Path) -> bool:
    try:
        read_meta(meta_file)
    except (OSError, BrokenFileError):
        return False
    return True


def _is_settled(path: Path) -> bool:
    """Whether nobody is in the middle of writing a file, or the folder that lacks it."""
    newest = path if path.exists() else path.parent
    return abs(time.time() - newest.stat().st_mtime) > SETTLED_AFTER_S


def _holds_runs(experiment: Path) -> bool:
    return any(not is_stray(experiment / name) for name in run_folders(experiment))


def _remove_if_empty(folder: Path) -> bool:
    """Remove a folder that holds nothing but folders; whether it did."""
    if not _is_settled(folder) or any(files for _, _, files in os.walk(folder)):
        return False
    for path, _, _ in os.walk(folder, topdown=False):
        Path(path).rmdir()
    return True


def _begin_ms(run: Path) -> int:
    return min((at for at, _, _ in _points(run)), default=_age_ms(run))


def _last_ms(run: Path) -> int:
    return max((at for at, _, _ in _points(run)), default=_age_ms(run))


def _points(run: Path) -> Iterator[tuple[int, int, float]]:
    for _, path in walk_keys(run / "metrics"):
        try:
            yield from read_points(path)
        except (OSError, BrokenFileError):
            continue


def _age_ms(folder: Path) -> int:
    return int(folder.stat().st_mtime * 1000)
