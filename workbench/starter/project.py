"""Starts a project from data, from a configuration file or from nothing."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from store.errors import UsageError
from store.layout import SETTINGS_FILE
from workbench.settings import compose, load_project
from workbench.starter.code_files import features_test_text, features_text
from workbench.starter.draft import Draft, draft_pipeline
from workbench.starter.files import NewFiles, WrittenFile, already_a_project
from workbench.starter.settings_file import pipeline_text, settings_text
from workbench.starter.wishes import Wishes


@dataclass(frozen=True)
class NewProject:
    """What was written, and the draft it was written from."""

    root: Path
    name: str
    draft: Draft | None
    files: tuple[WrittenFile, ...]


def start_project(root: Path, wishes: Wishes, *, name: str | None = None) -> NewProject:
    """Write a new project into `root`; what is there stays as it is.

    Raises UsageError where there is a project, an argument misses or names what doesn't exist, DataError
    for data that can't be used, StorageError where the folder can't be written.
    """
    if (root / SETTINGS_FILE).exists():
        raise already_a_project(root)
    if root.exists() and not root.is_dir():
        raise _not_a_folder(root)
    draft = draft_pipeline(root, wishes) if wishes.anything else None
    converted = draft.conversion if draft else None
    project_name = name or (converted.project_name if converted else None) or root.name or "workbench"
    text = settings_text(
        project_name, draft.pipeline if draft else None, converted.sections if converted else None
    )
    compose(root, tomllib.loads(text), {}, {}, {})
    examples = draft.examples if draft else []
    with NewFiles(root) as files:
        if draft and draft.copies:
            for source, path in draft.copies:
                files.copy(source, path)
        if not draft:
            files.make_folder("data", "for your data files")
        files.write("features.py", features_text(examples), "for features of your own; not in use yet")
        files.write("tests/test_features.py", features_test_text(examples), "its test: python -m pytest")
        files.extend_gitignore()
        files.write_settings(text)
    return NewProject(root, project_name, draft, tuple(files.results))


def section_text(root: Path, wishes: Wishes) -> tuple[str, Draft]:
    """The `[pipelines.NAME]` section alone, for a project that exists at `root` or will.

    Raises UsageError where the project has a pipeline of that name.
    """
    draft = draft_pipeline(root, wishes)
    if (root / SETTINGS_FILE).exists() and draft.pipeline.name in load_project(root).settings.pipelines:
        raise UsageError(
            f"{root / SETTINGS_FILE} has a pipeline {draft.pipeline.name!r} already",
            "Give this one another name with --pipeline NAME.",
        )
    return "\n" + pipeline_text(draft.pipeline) + "\n", draft


def _not_a_folder(root: Path) -> UsageError:
    from pipelines.data import is_supported

    hint = "Choose another folder."
    if is_supported(root):
        hint = f"Did you mean: workbench init --data {root.name} --target COLUMN?"
    return UsageError(f"{root} is a file, not a folder", hint)
