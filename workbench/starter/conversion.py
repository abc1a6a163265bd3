"""From a training script's configuration to settings: each key converted, or left with the reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from pipelines.columns import TaskName
from pipelines.settings import PipelineSettings
from workbench.starter.config_keys import is_of_model, meaning, normalized, why_not
from workbench.starter.config_sources import ConfigSource
from workbench.starter.converters import CONVERTERS, as_number
from workbench.starter.estimators import Estimator, closest_to, find_estimator
from workbench.starter.outcomes import NOTHING, Conversion, Entry, Outcome

_LEAVES = {"class_weight", "class_weights", "thresholds", "min_metrics", "minimums", "metric_thresholds"}


def entries_of(source: ConfigSource) -> list[Entry]:
    """Every key of the file with its sections."""
    return list(_walk(source.values, (), ()))


def first_value(entries: Sequence[Entry], setting: str) -> Any:
    """The value of the first key that stands for `setting`, or None."""
    for entry in entries:
        if meaning(entry.path) == setting and entry.value not in (None, "", []):
            return entry.value
    return None


def convert(source: ConfigSource, task: TaskName | None) -> Conversion:
    """Turn a file's keys into settings for a pipeline of this task (None: not known yet)."""
    entries = entries_of(source)
    result = Conversion(task)
    estimator = _estimator(source, entries, task, result)
    for entry in entries:
        setting = meaning(entry.path)
        foreign = _foreign_estimator(entry, estimator, task)
        if foreign:
            result.leave(entry, f"it belongs to another estimator, {foreign}")
        elif setting == "estimator" or (setting == "model" and find_estimator(str(entry.value), task)):
            if entry.value != (estimator.name if estimator else None) and not find_estimator(
                str(entry.value), task
            ):
                result.leave(entry, "scikit-learn has no such estimator; the default one is used")
            elif estimator:
                result.take(entry, "estimator", estimator.setting)
        elif setting and setting in CONVERTERS:
            CONVERTERS[setting](result, entry, setting)
        elif estimator and is_of_model(entry.path) and entry.path[-1] in estimator.parameters:
            _take_parameter(result, entry, estimator)
        else:
            result.leave(entry, _unknown_reason(entry, estimator))
    for key, reason in source.left:
        result.outcomes.append(Outcome(key, None, None, reason))
    for key, reason in source.noted:
        result.outcomes.append(Outcome(key, None, NOTHING, reason))
    _merge_features(result)
    _drop_invalid(result)
    return result


def _walk(node: Mapping[str, Any], keys: tuple[str, ...], path: tuple[str, ...]) -> Iterator[Entry]:
    for key, value in node.items():
        here, name = (*keys, str(key)), normalized(key)
        if isinstance(value, Mapping) and value and name not in _LEAVES:
            yield from _walk(value, here, (*path, name))
        else:
            yield Entry(".".join(here), (*path, name), value)


def _estimator(
    source: ConfigSource, entries: Sequence[Entry], task: str | None, result: Conversion
) -> Estimator | None:
    """The estimator the file names, or its code builds, or that its parameters fit."""
    for entry in entries:
        if meaning(entry.path) in ("estimator", "model") and isinstance(entry.value, str):
            found = find_estimator(entry.value, task)
            if found:
                return found
            if meaning(entry.path) == "estimator":
                return None
    if source.estimator:
        found = find_estimator(source.estimator, task)
        if found:
            result.settings["estimator"] = found.setting
            result.noted.append(
                f"estimator = {found.setting!r}: {source.path.name} builds {source.estimator}"
            )
            return found
    words = [entry.path[-1] for entry in entries if meaning(entry.path) is None and is_of_model(entry.path)]
    found = closest_to(words, task)
    if found:
        result.settings["estimator"] = found.setting
        fitting = ", ".join(word for word in words if word in found.parameters)
        result.noted.append(f"estimator = {found.setting!r}: guessed, it takes {fitting}")
    return found


def _foreign_estimator(entry: Entry, estimator: Estimator | None, task: str | None) -> str | None:
    """The estimator whose section the key is in, where that is not the chosen one."""
    for section in entry.path[:-1]:
        found = find_estimator(section, task)
        if found and estimator and found.name != estimator.name:
            return found.name
    return None


def _take_parameter(result: Conversion, entry: Entry, estimator: Estimator) -> None:
    name, default = entry.path[-1], estimator.parameters[entry.path[-1]]
    value = as_number(entry.value)
    if value is None:
        if default is None:
            result.note(entry, "it is the estimator's own default")
        else:
            result.leave(entry, "TOML has no null; the estimator's default is used")
    elif isinstance(value, (list, tuple)) and not isinstance(default, (list, tuple)):
        result.leave(
            entry, "a list of values to try; try them in turn with workbench train --set params.NAME=VALUE"
        )
    else:
        result.take(entry, f"params.{name}", list(value) if isinstance(value, tuple) else value)


def _unknown_reason(entry: Entry, estimator: Estimator | None) -> str:
    reason = why_not(entry.path)
    if reason != "there is no such setting" or not is_of_model(entry.path):
        return reason
    if estimator:
        return f"{estimator.name} has no such parameter, and there is no such setting"
    return reason


def _merge_features(result: Conversion) -> None:
    """Lists by kind (numeric_features, categorical_features) are one list of features here."""
    by_kind = result.settings.pop("kind_features", None)
    if by_kind:
        result.settings["features"] = list(dict.fromkeys([*result.settings.get("features", []), *by_kind]))


def _drop_invalid(result: Conversion) -> None:
    """Take back what the settings would refuse, with their reason."""
    while True:
        try:
            PipelineSettings.model_validate(nested({"data": "data", "target": "target", **result.settings}))
            return
        except ValidationError as error:
            first = error.errors()[0]
            location = ".".join(str(part) for part in first["loc"])
            key = next((k for k in result.settings if location == k or location.startswith(f"{k}.")), None)
            if key is None:
                key = next((k for k in ("split.strategy",) if k in result.settings), None)
            if key is None:
                raise
            del result.settings[key]
            reason = first["msg"].removeprefix("Value error, ")
            result.outcomes = [
                Outcome(o.key, o.value, None, reason) if o.setting == key else o for o in result.outcomes
            ]


def nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted keys as the sections they stand for; what is below `params` is one level."""
    document: dict[str, Any] = {}
    for key, value in settings.items():
        section, _, name = key.partition(".")
        if name:
            document.setdefault(section, {})[name] = value
        else:
            document[section] = value
    return document
