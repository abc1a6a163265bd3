"""Registered models in an MLflow file store: their folders, read and written without mlflow."""

from __future__ import annotations

import builtins
import os
import re
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from store.errors import StorageError, UsageError
from store.mlflow_files import (
    META_FILE,
    BrokenFileError,
    dump_meta,
    now_ms,
    read_meta,
    read_values,
    subfolders,
    walk_keys,
    write_meta,
    write_value,
)
from store.runs import check_key

DELETED = "Deleted_Internal"
_VERSION = re.compile(r"version-(\d+)")
_UNFINISHED = ".new-"
_REREAD_AFTER_S = (0.005, 0.02, 0.05)


def check_model_name(name: str) -> str:
    """The name if MLflow's file store takes it; UsageError where it wouldn't."""
    bad = not name.strip() or any(character in name for character in "/\\:%\0") or name in (".", "..")
    if bad:
        raise UsageError(f"{name!r} can't be the name of a model", "Leave out / \\ : and %.")
    return name


def is_prompt(folder: Path) -> bool:
    """MLflow keeps prompts among the models; they are none."""
    return (folder / "tags" / "mlflow.prompt.is_prompt").exists()


def read_aliases(folder: Path) -> dict[str, int]:
    """Alias to version; BrokenFileError for one that isn't a number even after a moment's patience."""
    aliases: dict[str, int] = {}
    for alias, path in walk_keys(folder / "aliases"):
        for wait_s in (*_REREAD_AFTER_S, None):
            try:
                text = Path(path).read_text().strip()
            except FileNotFoundError:
                break
            if text.isdecimal():
                aliases[alias] = int(text)
                break
            if wait_s is None:  # MLflow truncates the file, then writes it
                raise BrokenFileError(f"alias {alias} is no version number: {text[:40]!r}")
            time.sleep(wait_s)
    return aliases


def version_numbers(folder: Path) -> list[int]:
    """The versions that have a folder, deleted ones too, newest first."""
    matches = (_VERSION.fullmatch(name) for name in subfolders(folder))
    return sorted((int(match.group(1)) for match in matches if match), reverse=True)


def create_model(folder: Path, staging: Path) -> None:
    """Create a model without versions, whole at once: for MLflow a half-made one breaks every listing."""
    if (folder / META_FILE).exists():
        return
    meta = _new_model(folder.name)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        staging.mkdir(parents=True, exist_ok=True)
        _clear_unfinished(staging)
        prepared = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=staging))
        prepared.chmod(0o755)
        (prepared / META_FILE).write_text(dump_meta(meta))
        try:
            prepared.rename(folder)
        except OSError:  # on another file system, or somebody made the folder just now
            folder.mkdir(exist_ok=True)
            if not (folder / META_FILE).exists():
                write_meta(folder / META_FILE, meta)
            shutil.rmtree(prepared, ignore_errors=True)
    except OSError as error:
        raise _refused(folder, error) from error


def create_version(
    folder: Path, located: Mapping[str, Any], description: str, tags: Mapping[str, str]
) -> int:
    """Add the next version, whole at once, as MLflow's own registration writes it; returns its number."""
    _clear_unfinished(folder)
    now = now_ms()
    meta: dict[str, Any] = {
        "creation_timestamp": now,
        "current_stage": "None",
        "deployment_job_state": None,
        "description": description or None,
        "last_updated_timestamp": now,
        "model_id": located.get("model_id"),
        "name": folder.name,
        "run_id": located.get("run_id"),
        "run_link": None,
        "source": located["source"],
        "status": "READY",
        "status_message": None,
        "storage_location": located["storage_location"],
        "user_id": None,
        "workspace": "default",
    }
    try:
        prepared = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=folder))
        prepared.chmod(0o755)
        for key, value in tags.items():
            write_value(prepared, "tags", check_key(key, "tag"), str(value))
        number = max(version_numbers(folder), default=0)
        while True:
            number += 1
            (prepared / META_FILE).write_text(dump_meta({**meta, "version": number}))
            try:
                prepared.rename(folder / f"version-{number}")
            except OSError:
                if not (folder / f"version-{number}").exists():
                    raise
            else:
                break
    except OSError as error:
        raise _refused(folder, error) from error
    touch_model(folder)
    return number


def set_alias(folder: Path, alias: str, version: int | None) -> None:
    """Point an alias at a version, or take it away."""
    if version is None:
        try:
            (folder / "aliases" / alias).unlink(missing_ok=True)
        except OSError as error:
            raise _refused(folder / "aliases" / alias, error) from error
    else:
        write_value(folder, "aliases", alias, str(version))
    touch_model(folder)


def set_stage(folder: Path, version: int, stage: str) -> None:
    path = folder / f"version-{version}" / META_FILE
    try:
        meta = read_meta(path)
    except (OSError, BrokenFileError) as error:
        raise StorageError(f"{path} can't be read: {error}", "See workbench doctor.") from error
    if meta.get("current_stage") == stage:
        return
    write_meta(path, {**meta, "current_stage": stage, "last_updated_timestamp": now_ms()})
    touch_model(folder)


def touch_model(folder: Path) -> None:
    """Record that something about the model changed, and its aliases, as MLflow repeats them there.

    A `meta.yaml` that nobody can read any more is written anew: one breaks MLflow's listing of all models.
    """
    try:
        meta = read_meta(folder / META_FILE)
    except (FileNotFoundError, BrokenFileError):
        meta = _new_model(folder.name)
    try:
        aliases = read_aliases(folder)
    except BrokenFileError:
        aliases = {}
    meta["aliases"] = {alias: str(version) for alias, version in aliases.items()}
    write_meta(folder / META_FILE, {**meta, "last_updated_timestamp": now_ms()})


def fingerprint(models: Path) -> tuple[tuple[str, int, int, int], ...]:
    """Name, inode, time and size of whatever an alias, a stage or a version changes."""
    seen: builtins.list[tuple[str, int, int, int]] = []
    pending = [str(models)]
    while pending:
        directory = pending.pop()
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        if entry.name != "tags":
                            pending.append(entry.path)
                    else:
                        status = entry.stat()
                        seen.append((entry.path, status.st_ino, status.st_mtime_ns, status.st_size))
        except (FileNotFoundError, NotADirectoryError):
            continue
    return tuple(sorted(seen))


def tags_of(folder: Path) -> dict[str, str]:
    return read_values(folder / "tags")[0]


def _new_model(name: str) -> dict[str, Any]:
    now = now_ms()
    return {
        "aliases": {},
        "creation_timestamp": now,
        "deployment_job_id": None,
        "deployment_job_state": None,
        "description": None,
        "last_updated_timestamp": now,
        "name": name,
        "workspace": "default",
    }


def _clear_unfinished(folder: Path) -> None:
    for name in subfolders(folder):
        if name.startswith(_UNFINISHED) and time.time() - (folder / name).stat().st_mtime > 60:
            shutil.rmtree(folder / name, ignore_errors=True)


def _refused(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"cannot write {path}: {error.strerror}", "Free the disk or make the folder writable."
    )
