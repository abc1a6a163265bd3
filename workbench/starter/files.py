"""Writes a new project's files: all of them or, where one can't be written, none; nothing is overwritten."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from store.errors import StorageError, UsageError
from store.layout import SETTINGS_FILE
from workbench.starter.code_files import gitignore_lines


@dataclass(frozen=True)
class WrittenFile:
    """A file of the new project, relative to its folder."""

    path: str
    state: Literal["written", "kept", "extended", "copied", "folder"]
    what: str = ""


class NewFiles:
    """Creates files and folders below `root` and takes them back when left by an error."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.results: list[WrittenFile] = []
        self._made: list[Path] = []

    def __enter__(self) -> NewFiles:
        self._make_folder(self.root)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if error is not None:
            self._take_back()
        if isinstance(error, OSError) and not isinstance(error, FileExistsError):
            raise StorageError(
                f"cannot write {error.filename or self.root}: {error.strerror or error}",
                "Choose a folder that can be written to, or free the disk.",
            ) from error

    def write(self, path: str, text: str, what: str) -> None:
        """Write a file unless there is one."""
        target = self.root / path
        self._make_folder(target.parent)
        if not self._create(target, text):
            self.results.append(WrittenFile(path, "kept", "yours, left as it is"))
            return
        self.results.append(WrittenFile(path, "written", what))

    def write_settings(self, text: str) -> None:
        """Write workbench.toml, the last file, which makes it a project. Raises UsageError where one is."""
        if not self._create(self.root / SETTINGS_FILE, text):
            raise already_a_project(self.root)
        self.results.insert(0, WrittenFile(SETTINGS_FILE, "written", "the project's settings"))

    def extend_gitignore(self) -> None:
        """Make .gitignore name what doesn't belong into git; other lines of it stay as they are."""
        path = self.root / ".gitignore"
        what = "keeps runs and state out of git"
        if self._create(path, gitignore_lines()):
            self.results.append(WrittenFile(path.name, "written", what))
            return
        added = gitignore_lines(path.read_text("utf-8", errors="replace"))
        if not added:
            self.results.append(WrittenFile(path.name, "kept", "yours, nothing missing"))
            return
        with path.open("a", encoding="utf-8") as file:
            file.write(added)
        self.results.append(WrittenFile(path.name, "extended", f"added {', '.join(added.split())}"))

    def make_folder(self, path: str, what: str) -> None:
        if not (self.root / path).is_dir():
            self._make_folder(self.root / path)
            self.results.append(WrittenFile(f"{path}/", "folder", what))

    def copy(self, source: Path, path: str) -> None:
        """Copy a data file. Raises UsageError where another file has its name."""
        target = self.root / path
        self._make_folder(target.parent)
        if target.exists():
            if target.samefile(source):
                return
            raise UsageError(f"{target} exists already", "Move it away, or leave out --copy.")
        self._made.append(target)
        shutil.copyfile(source, target)
        self.results.append(WrittenFile(path, "copied", f"from {source}"))

    def _create(self, path: Path, text: str) -> bool:
        if path.is_symlink():  # a link to nowhere is the user's too
            return False
        try:
            with path.open("x", encoding="utf-8", newline="\n") as file:
                self._made.append(path)
                file.write(text)
        except FileExistsError:
            return False
        return True

    def _make_folder(self, folder: Path) -> None:
        missing = [part for part in (folder, *folder.parents) if not part.exists()]
        for part in reversed(missing):
            try:
                part.mkdir()
            except FileExistsError:
                continue
            self._made.append(part)
        if not folder.is_dir():
            raise StorageError(f"{folder} is a file, not a folder", "Choose another folder.")

    def _take_back(self) -> None:
        for path in reversed(self._made):
            with contextlib.suppress(OSError):  # a folder that somebody has used meanwhile stays
                path.rmdir() if path.is_dir() else path.unlink()


def already_a_project(root: Path) -> UsageError:
    """The refusal to start a project where there is one."""
    return UsageError(
        f"{root / SETTINGS_FILE} exists already: nothing was changed",
        "For another pipeline in this project: workbench init --data FILE --target COLUMN --print >> "
        f"{SETTINGS_FILE}",
    )
