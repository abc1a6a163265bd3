"""Where the files of a target go: stdout, one file, or a folder; nothing is overwritten unasked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from store.errors import UsageError
from store.files import write_atomically


def as_text(files: Mapping[str, str]) -> str:
    """One file as it is; several with the path of each in a comment above it."""
    if len(files) == 1:
        return next(iter(files.values()))
    return "\n".join(f"# ---- {path}\n{content}" for path, content in files.items())


def write(files: Mapping[str, str], out: Path, *, is_folder: bool = False, force: bool = False) -> list[Path]:
    """Write the files; returns their paths.

    `out` is the name for a single file, or a folder to lay them out in: where it is one, where
    `is_folder` says so, and for several files. UsageError, before anything is
    written, where one exists with another content and `force` is not given.
    """
    places = _places(files, out, is_folder or out.is_dir() or len(files) > 1)
    taken = [path for path, content in places.items() if path.exists() and _differs(path, content)]
    if taken and not force:
        raise UsageError(
            f"{', '.join(map(str, taken))} {'exists' if len(taken) == 1 else 'exist'} already",
            "Add --force to overwrite, or choose another --out.",
        )
    for path, content in places.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
    return list(places)


def _places(files: Mapping[str, str], out: Path, is_folder: bool) -> dict[Path, str]:
    if not is_folder:
        return {out: next(iter(files.values()))}
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file, and this makes {len(files)}", "Name a folder with --out.")
    return {out / path: content for path, content in files.items()}


def _differs(path: Path, content: str) -> bool:
    try:
        return path.read_text(encoding="utf-8") != content
    except (OSError, UnicodeDecodeError):
        return True
