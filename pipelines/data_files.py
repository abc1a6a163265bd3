"""Which files a pipeline's `data` means: a file, a folder or a glob."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from pathlib import Path

from store.errors import DataError

SUPPORTED = ("csv", "tsv", "txt", "parquet", "pq", "jsonl", "ndjson")
"""File name endings that are read; the text formats also with `.gz` behind."""

_UNFINISHED = (".", "~", "#")
"""First characters of what editors, browsers and copying programs call their unfinished files."""


def is_supported(path: Path) -> bool:
    """Whether the file's name ends like a data file's."""
    return file_format(path) in SUPPORTED and not path.name.startswith(_UNFINISHED)


def file_format(path: Path) -> str:
    """The ending that tells the format, without `.gz`: `csv` for `a.csv.gz`."""
    name = path.name.lower().removesuffix(".gz")
    return name.rpartition(".")[2] if "." in name else ""


def find_files(data: str, root: Path) -> list[Path]:
    """The data files that `data` (a file, folder or glob, relative to `root`) means, sorted by path.

    Raises DataError where there are none, saying what was looked for.
    """
    base = Path(data).expanduser()
    path = base if base.is_absolute() else root / base
    endings = ", ".join(f".{ending}" for ending in SUPPORTED)
    try:
        if path.is_file():
            return [path]
        if path.is_dir():
            found = sorted(Path(entry.path) for entry in walk(path) if entry.is_file())
            if not found:
                raise DataError(f"no data file in {path}", f"Files that count end in {endings} (or .gz).")
            return found
        if glob.has_magic(data):
            matches = sorted(map(Path, _matches(path)))
            files = [match for match in matches if match.is_file() and is_supported(match)]
            if not files:
                raise DataError(
                    f"no data file matches {path}",
                    f"{len(matches)} matches are of other kinds; files that count end in {endings}."
                    if matches
                    else "Check the pattern in `data`.",
                )
            return files
    except PermissionError as error:
        raise DataError(
            f"cannot look into {error.filename}: {error.strerror}", "Check its permissions."
        ) from error
    neighbours = _neighbours(path)
    raise DataError(f"no such data file: {path}", neighbours or "Check its name and folder.")


def scan(data: str, root: Path) -> dict[str, os.stat_result]:
    """The same files as `find_files` with what the system knows about each, by path; none is no error.

    Quick for many files: 10,000 in a folder take a tenth of a second.
    """
    base = Path(data).expanduser()
    path = base if base.is_absolute() else root / base
    found: dict[str, os.stat_result] = {}
    if path.is_dir():
        for entry in walk(path):
            try:
                if entry.is_file():
                    found[entry.path] = entry.stat()
            except OSError:
                continue  # it went away, or is a link to nowhere
        return found
    for name in [str(path)] if not glob.has_magic(data) else _matches(path):
        match = Path(name)
        if match.is_file() and (match == path or is_supported(match)):
            try:
                found[name] = match.stat()
            except OSError:
                continue
    return found


def walk(folder: Path | str) -> Iterator[os.DirEntry[str]]:
    """Entries named like data files in a folder and those below it, but for hidden folders and links to
    folders. Raises PermissionError for the folder itself; one below that can't be looked into is left out."""
    with os.scandir(folder) as entries:
        listed = sorted(entries, key=lambda entry: entry.name)
    for entry in listed:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            try:
                yield from walk(entry.path)
            except OSError:
                continue
        elif is_supported(Path(entry.name)):
            yield entry


def watch_base(data: str, root: Path) -> tuple[Path, bool]:
    """The folder in which files that `data` means appear, and whether folders below it count too."""
    base = Path(data).expanduser()
    path = base if base.is_absolute() else root / base
    if not glob.has_magic(data):
        return (path, True) if path.is_dir() or not path.suffix else (path.parent, False)
    parts = path.parts
    first = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:first]), first < len(parts) - 1


def _matches(path: Path) -> Iterator[str]:
    return glob.iglob(str(path), recursive=True)  # noqa: PTH207 - an absolute pattern


def _neighbours(path: Path) -> str | None:
    """A hint naming data files near a path that does not exist."""
    import difflib

    folder = path.parent
    if path.with_name(f"{path.name}.dvc").is_file():
        return "DVC keeps it; fetch it with: dvc pull."
    if not folder.is_dir():
        return f"There is no folder {folder}."
    names = sorted(file.name for file in folder.iterdir() if file.is_file() and is_supported(file))
    close = difflib.get_close_matches(path.name, names, n=1, cutoff=0.5)
    if close:
        return f"Did you mean {folder / close[0]}?"
    return f"In {folder} there are: {', '.join(names[:5])}." if names else None
