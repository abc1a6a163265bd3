"""Where the data is, what the settings call it, and what its pipeline is named after."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from store.errors import DataError
from workbench.starter.wishes import Wishes

_GENERIC_NAMES = {
    "data",
    "train",
    "training",
    "dataset",
    "raw",
    "processed",
    "input",
    "features",
    "clean",
    "csv",
}


@dataclass(frozen=True)
class Located:
    """Data files that were found, or none where they are not there yet."""

    setting: str
    """As workbench.toml says it."""
    shown: str
    files: Sequence[Path]
    notes: tuple[str, ...] = ()
    copies: tuple[tuple[Path, str], ...] = ()


def locate(data: str, root: Path, wishes: Wishes, config: Path | None) -> Located:
    """Find the data files from where the command or the configuration file stands."""
    from pipelines.data import find_files

    bases: list[Path] = [wishes.folder, root]
    if config and not wishes.data:
        above = config.resolve().parents
        bases = [above[0], wishes.folder, root, *above[1:3]]
    error: DataError | None = None
    for base in bases:
        try:
            files = find_files(data, base)
        except DataError as found:
            error = error or found
            continue
        return _placed(Path(os.path.normpath(base / Path(data).expanduser())), data, files, root, wishes)
    assert error is not None
    if config and not wishes.data:
        return Located(data, data, ())
    raise error


def _placed(path: Path, data: str, files: Sequence[Path], root: Path, wishes: Wishes) -> Located:
    if path.is_relative_to(root):
        return Located(path.relative_to(root).as_posix(), data, files)
    if path.exists() and path.resolve().is_relative_to(root.resolve()):
        return Located(path.resolve().relative_to(root.resolve()).as_posix(), data, files)
    if wishes.copy:
        if len(files) == 1:
            inside = f"data/{files[0].name}"
            return Located(inside, data, files, copies=((files[0], inside),))
        folder = f"data/{path.name if path.is_dir() else path.parent.name}"
        copies = tuple((file, f"{folder}/{file.name}") for file in files)
        return Located(folder, data, files, copies=copies)
    note = (
        f"the data stays at {path}, outside the project, so the settings name it in full; "
        "--copy would have put a copy into data/."
    )
    return Located(path.as_posix(), data, files, (note,))


def pipeline_name(data: str, settings: Mapping[str, Any], root: Path) -> str:
    """A name from the data's, or from the model's, experiment's or folder's where that says nothing."""
    path = Path(data)
    parts = [part for part in reversed(path.parts) if not re.search(r"[*?\[]", part)]
    stems = [
        re.sub(r"(\.(csv|tsv|txt|parquet|pq|jsonl|ndjson|json))?(\.gz)?$", "", p, flags=re.I)
        for p in parts[:2]
    ]
    candidates = [stems[0] if stems else "", settings.get("model", ""), settings.get("experiment", "")]
    candidates += [*stems[1:], root.name, settings["target"]]
    for candidate in candidates:
        name = _slug(str(candidate))
        if name and name not in _GENERIC_NAMES:
            return name
    return "model"


def _slug(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9_-]+", "_", plain).strip("_-")
