"""Drafts a pipeline's settings from what its data, a configuration file and the command line say."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from store.errors import SettingsError, TrainingError, UsageError
from workbench.starter.code_files import ExampleColumn
from workbench.starter.config_sources import read_config
from workbench.starter.conversion import convert, entries_of, first_value
from workbench.starter.converters import why_no_data
from workbench.starter.estimators import find_estimator
from workbench.starter.inspection import (
    ColumnReport,
    Inspection,
    check_target,
    inspect_data,
    named_like_target,
    read_columns,
    read_sample,
)
from workbench.starter.location import locate, pipeline_name
from workbench.starter.outcomes import Conversion, Outcome
from workbench.starter.settings_file import PipelineDraft
from workbench.starter.wishes import Wishes


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
    located = locate(str(data), root, wishes, source.path if source else None)
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
        inspection = inspect_data(
            frame,
            target,
            source=located.shown,
            read_all=partial(read_columns, located.files) if is_sample else None,
        )
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
    name = wishes.pipeline or pipeline_name(located.setting, settings, root)
    if not re.fullmatch(r"[a-z0-9_-]+", name):
        raise UsageError(f"pipeline name {name!r}", "Use lower-case letters, digits, _ and - only.")
    draft = PipelineDraft(
        name, settings, _comments(settings, inspection, wishes), _suggestions(settings, inspection)
    )
    return Draft(draft, inspection, conversion, tuple(notes), tuple(warnings), located.copies)


def role_in(settings: Mapping[str, Any], column: ColumnReport) -> tuple[str, str]:
    """What becomes of a column under these settings, which may say otherwise than the guess, and why."""
    name = column.name
    if column.role == "target":
        return column.role, column.reason
    for role, key in (("id", "id_column"), ("time", "time_column")):
        if name == settings.get(key):
            return role, column.reason if role == column.role else f"set as {key}"
    if name in settings.get("ignore", ()):
        return "left out", "set in ignore"
    if "features" in settings:
        if name in settings["features"]:
            return "feature", column.reason
        return "left out", column.reason if column.role == "left out" else "not among the features listed"
    return column.role, column.reason


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
        except (SettingsError, TrainingError) as error:
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
