"""Absolute artifact paths, which MLflow writes everywhere, after the project has moved."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from store.mlflow_files import META_FILE, BrokenFileError, read_meta, subfolders, write_meta

_TRASH = ".trash"


def local_path(uri: str) -> Path | None:
    """The path of a `file:` URI or a bare path; None for anything that isn't on this machine."""
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return Path(uri) if uri and not parts.scheme else None


def resolve(uri: str, store: Path) -> Path | None:
    """Where a URI's files are: at the path itself or, where that is dead, at the same place in `store`.

    None where they are gone or not local.
    """
    path = local_path(uri)
    if path is None:
        return None
    if path.exists():
        return path
    for root in (store, store / _TRASH):
        for start in range(1, len(path.parts)):
            candidate = root.joinpath(*path.parts[start:])
            if candidate.exists():
                return candidate
    return None


def dead_paths(store: Path) -> Iterator[tuple[Path, str, str, Path | None]]:
    """(meta.yaml, key, dead URI, where it is today or None) of each absolute path that leads nowhere."""
    for meta_file, keys in _files_with_paths(store):
        try:
            meta = read_meta(meta_file)
        except (OSError, BrokenFileError):
            continue
        for key in keys:
            uri = meta.get(key)
            path = local_path(uri) if isinstance(uri, str) else None
            if not isinstance(uri, str) or path is None or not path.is_absolute() or path.exists():
                continue
            living = resolve(uri, store)
            if living is not None or not _never_had_files(meta):
                yield meta_file, key, uri, living


def rewrite_dead_paths(store: Path) -> int:
    """Point every dead path that has a living counterpart in the store there; returns how many."""
    count = 0
    for meta_file, key, uri, found in list(dead_paths(store)):
        if found is None:
            continue
        meta = read_meta(meta_file)
        meta[key] = found.as_uri() if uri.startswith("file:") else str(found)
        write_meta(meta_file, meta)
        count += 1
    return count


def _never_had_files(meta: dict[str, Any]) -> bool:
    """Whether this is a logged model that isn't READY (2), or a deleted version."""
    return ("model_id" in meta and "name" in meta and "version" not in meta and meta.get("status") != 2) or (
        meta.get("current_stage") == "Deleted_Internal"
    )


def _files_with_paths(store: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
    for root in (store, store / _TRASH):
        for experiment in subfolders(root):
            if experiment in ("models", _TRASH):
                continue
            folder = root / experiment
            yield folder / META_FILE, ("artifact_location",)
            for name in subfolders(folder):
                if name not in ("models", "tags", "datasets", "traces"):
                    yield folder / name / META_FILE, ("artifact_uri",)
            for name in subfolders(folder / "models"):
                yield folder / "models" / name / META_FILE, ("artifact_location",)
    for name in subfolders(store / "models"):
        for version in subfolders(store / "models" / name):
            if version.startswith("version-"):
                yield store / "models" / name / version / META_FILE, ("storage_location", "source")
