"""Drafts a pipeline's settings from what its data, a configuration file and the command line say."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from store.errors import DataError, TrainingError, UsageError
from workbench.starter.code_files import ExampleColumn
from workbench.starter.config_sources import ConfigSource, read_config
from workbench.starter.conversion import convert, entries_of, first_value
from workbench.starter.converters import why_no_data
from workbench.starter.estimators import find_estimator
from workbench.starter.inspection import (
    Inspection,
    check_target,
    inspect_data,
    named_like_target,
    read_sample,
)
from workbench.starter.outcomes import Conversion, Outcome
from workbench.starter.settings_file import PipelineDraft

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
class Wishes:
    """What the person asked for; relative paths count from `folder`."""

    data: str | None = None
    target: str | None = None
    config: Path | None = None
    estimator: str | None = None
    pipeline: str | None = None
    copy: bool = False
    folder: Path = Path()

    @property
    def anything(self) -> bool:
        """Whether there is a pipeline to draft. Raises UsageError for what means nothing without data."""
        if self.data or self.config:
            return True
        for option, value in (
            ("--target", self.target), ("--estimator", self.estimator), ("--pipeline", self.pipeline),
            ("--copy", self.copy),
        ):  # fmt: skip
            if value:
                raise UsageError(f"{option} needs the data too", "Add --data FILE.")
        return False


@dataclass(frozen=True)
class Draft:
    """A pipeline about to be written, with all that was found out on the way."""

    pipeline: PipelineDraft
    inspection: Inspection | None
    """None where the data is not there yet."""
    conversion: Conversion | None
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    copies: tuple[tuple[Path, str], ...] = ()
    """Files to copy into the project."""

    @property
    def examples(self) -> list[ExampleColumn]:
        """The columns that the user's features() is given: with a module, none is left out by its kind."""
        settings = self.pipeline.settings
        listed = settings.get("features")
        aside = {settings["target"], settings.get("id_column"), settings.get("time_column")}
        aside |= set(settings.get("ignore", ()))
        return [
            column.example
            for column in (self.inspection.columns if self.inspection else ())
            if (column.name in listed if listed else column.name not in aside)
        ]


def draft_pipeline(root: Path, wishes: Wishes) -> Draft:
    """Read the data and the configuration file and settle on a pipeline's settings.

    Raises UsageError where data or target are not named or not found, DataError for unusable data.
    """
    source = read_config(wishes.config) if wishes.config else None
    entries = entries_of(source) if source else []
    notes: list[str] = []
    warnings: list[str] = []

    data = wishes.data or first_value([e for e in entries if why_no_data(e.value) is None], "data")
    if data is None:
        assert source is not None
        raise UsageError(f"{source.path} names no data file that can be read", "Add --data FILE.")
    located = _locate(str(data), root, wishes, source)
    target = wishes.target or first_value(entries, "target")
    inspection = None
    if located.files:
        frame, is_sample = read_sample(located.files)
        columns = [str(name) for name in frame.columns]
        if target is None and source:
            target, how = _target_beside(columns, first_value(entries, "features"), source.path.name)
            if target:
                notes.append(f"target = {target!r}: {how}; --target names another")
        target = check_target(columns, target if target is None else str(target), located.shown)
        inspection = inspect_data(frame, target, is_sample=is_sample, source=located.shown)
        warnings += inspection.warnings
    elif target is None:
        assert source is not None
        raise UsageError(
            f"{source.path} names no target column, and {located.shown} is not there to look for one",
            "Add --target COLUMN.",
        )
    else:
        warnings.append(f"{located.shown} is not there yet (dvc pull?): nothing could be found out from it.")
    conversion = convert(source, inspection.task if inspection else None) if source else None
    if conversion:
        _override(conversion, wishes)
    if conversion and inspection:
        _drop_unknown_columns(conversion, [column.name for column in inspection.columns], located.shown)
    notes += conversion.noted if conversion else []
    notes += located.notes
    settings = _settings(located.setting, str(target), wishes, inspection, conversion)
    name = wishes.pipeline or _pipeline_name(located.setting, settings, root)
    if not re.fullmatch(r"[a-z0-9_-]+", name):
        raise UsageError(f"pipeline name {name!r}", "Use lower-case letters, digits, _ and - only.")
    draft = PipelineDraft(
        name, settings, _comments(settings, inspection, wishes), _suggestions(settings, inspection)
    )
    return Draft(draft, inspection, conversion, tuple(notes), tuple(warnings), located.copies)


def role_in(settings: Mapping[str, Any], column: str, guessed: str) -> str:
    """What becomes of a column under these settings, which may say otherwise than the guess."""
    if guessed == "target":
        return guessed
    if column == settings.get("id_column"):
        return "id"
    if column == settings.get("time_column"):
        return "time"
    if settings.get("features"):
        return "feature" if column in settings["features"] else "left out"
    if column in settings.get("ignore", ()):
        return "left out"
    return guessed


@dataclass(frozen=True)
class _Located:
    setting: str
    """As workbench.toml says it."""
    shown: str
    files: Sequence[Path]
    notes: tuple[str, ...] = ()
    copies: tuple[tuple[Path, str], ...] = ()


def _locate(data: str, root: Path, wishes: Wishes, source: ConfigSource | None) -> _Located:
    """Find the data files from where the command or the configuration file stands."""
    from pipelines.data import find_files

    bases: list[Path] = [wishes.folder, root]
    if source and not wishes.data:
        above = source.path.resolve().parents
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
    if source and not wishes.data:
        return _Located(data, data, ())
    raise error


def _placed(path: Path, data: str, files: Sequence[Path], root: Path, wishes: Wishes) -> _Located:
    if path.is_relative_to(root):
        return _Located(path.relative_to(root).as_posix(), data, files)
    if path.exists() and path.resolve().is_relative_to(root.resolve()):
        return _Located(path.resolve().relative_to(root.resolve()).as_posix(), data, files)
    if wishes.copy:
        if len(files) == 1:
            inside = f"data/{files[0].name}"
            return _Located(inside, data, files, copies=((files[0], inside),))
        folder = f"data/{path.name if path.is_dir() else path.parent.name}"
        copies = tuple((file, f"{folder}/{file.name}") for file in files)
        return _Located(folder, data, files, copies=copies)
    note = (
        f"the data stays at {path}, outside the project, so the settings name it in full; "
        "--copy would have put a copy into data/."
    )
    return _Located(path.as_posix(), data, files, (note,))


def _target_beside(columns: Sequence[str], features: Any, file: str) -> tuple[str | None, str]:
    """The target of a file that lists features but no target, and how it was found."""
    named = set(features) if isinstance(features, list) else set()
    rest = [column for column in columns if column not in named]
    if named and len(rest) == 1:
        return rest[0], f"the only column that {file} does not list as a feature"
    return named_like_target(rest), f"named like one, and no feature in {file}"


def _override(conversion: Conversion, wishes: Wishes) -> None:
    """Let the options of the command line take the place of what the file says."""
    for option, value, settings in (
        ("--data", wishes.data, ["data"]),
        ("--target", wishes.target, ["target"]),
        ("--estimator", wishes.estimator, ["estimator", "params"]),
    ):
        for setting in settings if value else []:
            conversion.override(setting, f"{option} takes its place")
        if value and "estimator" in settings:
            conversion.noted = [note for note in conversion.noted if not note.startswith("estimator")]


def _drop_unknown_columns(conversion: Conversion, columns: Sequence[str], shown: str) -> None:
    """Take back settings that name columns the data doesn't have."""
    reason = f"{shown} has no such column; compute it in features.py if it is a derived one"
    for key in ("features", "ignore"):
        wanted = conversion.settings.get(key)
        if not wanted:
            continue
        conversion.settings[key] = [name for name in wanted if name in columns]
        conversion.outcomes += [
            Outcome(f"{key}: {name}", name, None, reason) for name in wanted if name not in columns
        ]
        if not conversion.settings[key]:
            del conversion.settings[key]
    for key in ("id_column", "time_column", "split.group_column"):
        if key in conversion.settings and conversion.settings[key] not in columns:
            del conversion.settings[key]
            conversion.outcomes = [
                replace(outcome, setting=None, reason=f"{shown} has no such column")
                if outcome.setting == key
                else outcome
                for outcome in conversion.outcomes
            ]
            if key == "split.group_column" and conversion.settings.get("split.strategy") == "group":
                del conversion.settings["split.strategy"]


def _settings(
    data: str, target: str, wishes: Wishes, inspection: Inspection | None, conversion: Conversion | None
) -> dict[str, Any]:
    """Dotted settings: guesses first, the configuration file's over them, then the command line's."""
    settings: dict[str, Any] = {}
    if inspection:
        settings["task"] = inspection.task
        if inspection.id_column:
            settings["id_column"] = inspection.id_column
        if inspection.is_in_time_order:
            # A time column is no feature unless it is listed, and its hours and weekdays often tell most.
            settings |= {
                "features": inspection.names("feature", "time"),
                "time_column": inspection.time_column,
                "split.strategy": "time",
            }
    settings |= {"split.test_size": 0.2, "split.seed": 42}
    if conversion:
        settings |= conversion.settings
    settings |= {"data": data, "target": target}
    if wishes.estimator:
        settings["estimator"] = _checked_estimator(wishes.estimator, inspection)
    return settings


def _checked_estimator(word: str, inspection: Inspection | None) -> str:
    """What the settings call the estimator that `word` means; UsageError where it means none."""
    from pipelines.estimators import find_class

    task = inspection.task if inspection else None
    found = find_estimator(word, task)
    if found is None:
        try:
            find_class(word, task or "binary")
        except TrainingError as error:
            raise UsageError(error.message, error.hint) from error
    return found.setting if found else word


def _comments(settings: Mapping[str, Any], inspection: Inspection | None, wishes: Wishes) -> dict[str, str]:
    comments = {
        "data": "a file, a folder or a glob",
        "target": "the column to predict",
        "split.test_size": "share of rows held out to measure on",
        "split.seed": "same data and seed, same result",
        "module": "use features() of that file",
        "estimator": "any scikit-learn one, also by dotted path",
        "gate.min_delta": "how much better a new model must be to replace the old",
        "gate.min": "the worst values that are accepted",
        "class_weight": "for rare classes",
    }
    if inspection:
        comments["task"] = inspection.task_reason
        by_name = {column.name: column for column in inspection.columns}
        if settings.get("id_column") in by_name:
            comments["id_column"] = f"no feature: {by_name[settings['id_column']].reason}"
        if inspection.time_column:
            comments["time_column"] = "the order in time; no feature itself unless in features"
        if settings.get("split.strategy") == "time":
            comments["features"] = "all but these are left out"
            comments["split.strategy"] = "the last rows are held out, as the future will be"
    return comments


def _suggestions(settings: Mapping[str, Any], inspection: Inspection | None) -> dict[str, Any]:
    suggestions: dict[str, Any] = {"module": "features.py", "estimator": "random_forest"}
    if inspection and inspection.time_column and "features" not in settings:
        suggestions["time_column"] = inspection.time_column
    if inspection and inspection.task != "regression":
        suggestions["class_weight"] = "balanced"
    suggestions["gate.min_delta"] = 0.005
    return {key: value for key, value in suggestions.items() if key not in settings}


def _pipeline_name(data: str, settings: Mapping[str, Any], root: Path) -> str:
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
