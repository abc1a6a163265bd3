"""A project's settings: composed from every room, read from workbench.toml and the environment."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from pipelines.settings import PipelineName, PipelineSettings
from serve.settings import ServeSettings
from store.errors import NotFoundError, SettingsError, UsageError
from store.layout import SETTINGS_FILE, Layout
from store.settings import StoreSettings, TrackingSettings
from store.settings_base import Settings
from workbench.alerting.settings import AlertSettings
from workbench.desk.place import find_root as find_root
from workbench.desk.place import how_to_begin
from workbench.ui_settings import UiSettings

ENV_PREFIX = "WORKBENCH_"
# Variables that the containers of common guides set, and the key each one stands for.
COMMON_VARIABLES = {
    "MLFLOW_TRACKING_URI": "tracking.uri",
    "PORT": "serve.port",
    "MODEL_NAME": "serve.default",
}
# Variables with our prefix that are no settings.
RESERVED_VARIABLES = {
    "WORKBENCH_API_KEYS",
    "WORKBENCH_DEBUG",
    "WORKBENCH_MLFLOW_PLUGIN",
    "WORKBENCH_PROJECT",
    "WORKBENCH_SMTP_PASSWORD",
}
SECRET_WORDS = ("password", "secret", "token")
# Settings that hold secrets by nature: addresses of webhooks are all it takes to post there.
_SECRET_SETTINGS = re.compile(r"alerts\.webhooks\.[^.]+\.(url|headers\..+)")


class ProjectSection(Settings):
    """The project itself."""

    name: str = Field(min_length=1)
    """Shown in titles and reports."""


class ProjectSettings(Settings):
    """All of workbench.toml."""

    project: ProjectSection
    tracking: TrackingSettings = TrackingSettings()
    store: StoreSettings = StoreSettings()
    pipelines: dict[PipelineName, PipelineSettings] = Field(default_factory=dict)
    serve: ServeSettings = ServeSettings()
    alerts: AlertSettings = AlertSettings()
    ui: UiSettings = UiSettings()


@dataclass(frozen=True)
class Project:
    """A folder with a workbench.toml, its effective settings and where each value came from."""

    root: Path
    settings: ProjectSettings
    sources: Mapping[str, str]
    """Dotted key to `file`, `option` or the environment variable's name; keys not in it are defaults."""

    @property
    def layout(self) -> Layout:
        return Layout.of(self.root, self.settings.store.path)

    @property
    def name(self) -> str:
        return self.settings.project.name

    def pipeline(self, name: str | None = None) -> tuple[str, PipelineSettings]:
        """The named pipeline, or the only one.

        Raises NotFoundError where there is none of that name, UsageError where none is named of several.
        """
        pipelines = self.settings.pipelines
        if name is None:
            if len(pipelines) == 1:
                return next(iter(pipelines.items()))
            if not pipelines:
                raise NotFoundError(
                    f"{self.root / SETTINGS_FILE} has no pipeline",
                    "Add a [pipelines.NAME] section with data and target, or make one: "
                    f"workbench init --data FILE --target COLUMN --print >> {SETTINGS_FILE}",
                )
            raise UsageError(
                f"{self.root / SETTINGS_FILE} has several pipelines", f"Name one of: {', '.join(pipelines)}."
            )
        if name not in pipelines:
            raise NotFoundError(
                f"no pipeline {name!r} in {self.root / SETTINGS_FILE}",
                nearest(name, list(pipelines)) or f"There are: {', '.join(pipelines) or 'none'}.",
            )
        return name, pipelines[name]

    def model_name(self, pipeline_name: str) -> str:
        """Name of the registered model that a pipeline trains."""
        return self.settings.pipelines[pipeline_name].model or pipeline_name


def load_project(start: Path, overrides: Mapping[str, Any] | None = None) -> Project:
    """Read the project at or above `start`; the environment, then `overrides` (dotted key to value), win.

    Raises NotFoundError where there is no project, SettingsError for anything wrong in the settings.
    """
    root = find_root(start)
    if root is None:
        raise NotFoundError(f"no {SETTINGS_FILE} in {start.resolve()} or above it", how_to_begin(start))
    path = root / SETTINGS_FILE
    try:
        document = tomllib.loads(path.read_text("utf-8-sig"))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not valid TOML: {error}", "Mend that line.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read {path}: {error}", "Check the file and its permissions.") from error
    sources = {key: "file" for key, _ in flatten(document)}
    return compose(root, document, sources, overrides or {}, os.environ)


def compose(
    root: Path,
    document: dict[str, Any],
    sources: dict[str, str],
    overrides: Mapping[str, Any],
    environment: Mapping[str, str],
) -> Project:
    """Lay environment and overrides over the file's values and check the whole."""
    for variable, key, value in environment_overrides(environment, document):
        _put(document, key.split("."), value)
        sources[key] = variable
    for key, value in overrides.items():
        _put(document, key.split("."), value)
        sources[key] = "option"
    try:
        settings = ProjectSettings.model_validate(document)
    except ValidationError as error:
        raise SettingsError(*_explain(error, root / SETTINGS_FILE, sources)) from error
    return Project(root=root, settings=settings, sources=sources)


def without_file(start: Path, overrides: Mapping[str, Any] | None = None) -> Project:
    """The settings of a process that needs no project: defaults, the environment, then `overrides`."""
    root = start.resolve()
    return compose(root, {"project": {"name": root.name or "workbench"}}, {}, overrides or {}, os.environ)


def served_uri(environment: Mapping[str, str]) -> str | None:
    """The model that a container's variables ask the server for, or None.

    `MODEL_URI` is a model URI; `MODEL_NAME` with `MODEL_STAGE` stands for `models:/NAME/STAGE`.
    """
    if environment.get("MODEL_URI"):
        return environment["MODEL_URI"]
    if environment.get("MODEL_NAME") and environment.get("MODEL_STAGE"):
        return f"models:/{environment['MODEL_NAME']}/{environment['MODEL_STAGE']}"
    return None


def ignored_variables(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Variables with our prefix that set nothing, each with what was probably meant."""
    environment = os.environ if environment is None else environment
    ignored = {}
    for variable in sorted(environment):
        if variable.startswith(ENV_PREFIX) and variable not in RESERVED_VARIABLES and "__" not in variable:
            section, _, rest = variable[len(ENV_PREFIX) :].partition("_")
            meant = f"{ENV_PREFIX}{section}__{rest}" if rest else f"{ENV_PREFIX}{section}__KEY"
            ignored[variable] = f"A section and its key are joined by two underscores: {meant}."
    return ignored


def environment_overrides(
    environment: Mapping[str, str], document: Mapping[str, Any]
) -> Iterator[tuple[str, str, Any]]:
    """Yield (variable, dotted key, value) of every setting the environment overrides.

    `WORKBENCH_SERVE__PORT=9000` is `serve.port`; names are matched without regard to case against
    the keys of the file and of the settings, so `WORKBENCH_PIPELINES__BIKES__PARAMS__MAX_DEPTH` finds
    `pipelines.bikes.params.max_depth`.
    """
    for variable, key in COMMON_VARIABLES.items():
        if environment.get(variable):
            yield variable, key, environment[variable]
    for variable in sorted(environment):
        if not variable.startswith(ENV_PREFIX) or variable in RESERVED_VARIABLES or "__" not in variable:
            continue
        parts: list[str] = []
        node: Any = document
        model: Any = ProjectSettings
        for raw in variable[len(ENV_PREFIX) :].split("__"):
            known = [*_keys(model), *(node if isinstance(node, Mapping) else ())]
            part = next((key for key in known if key.lower() == raw.lower()), raw.lower())
            model = _child(model, part)
            node = node.get(part) if isinstance(node, Mapping) else None
            parts.append(part)
        yield variable, ".".join(parts), parse_value(environment[variable])


def parse_value(text: str) -> Any:
    """A value as TOML reads it (`5`, `0.1`, `true`, `["a"]`); anything else is the string itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def flatten(document: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value) of every leaf of a nested mapping; an empty table is a leaf."""
    for key, value in document.items():
        dotted = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{dotted}.")
        else:
            yield dotted, value


def effective(project: Project) -> dict[str, dict[str, Any]]:
    """Every setting's value and where it came from: {"serve.port": {"value": 8000, "source": "default"}}."""
    values = flatten(project.settings.model_dump(mode="json"))
    return {
        key: {
            "value": "***" if value and is_secret(key) else value,
            "source": project.sources.get(key) or _parent_source(key, project.sources),
        }
        for key, value in values
    }


def is_secret(key: str) -> bool:
    """Whether a setting's value is not to be shown."""
    return any(word in key.lower() for word in SECRET_WORDS) or _SECRET_SETTINGS.fullmatch(key) is not None


def documentation(
    model: type[BaseModel] = ProjectSettings, prefix: str = ""
) -> Iterator[tuple[str, str, str]]:
    """Yield (dotted key, default, description) of every setting; NAME and COLUMN stand for your own names."""
    for name, field in model.model_fields.items():
        inner, wildcard = _model_of(field.annotation)
        if inner is not None and not _is_union_with_scalars(field.annotation):
            if wildcard and _is_union_with_scalars(typing.get_args(field.annotation)[1]):
                yield f"{prefix}{name}.{_placeholder(name)}", "—", field.description or ""
            placeholder = f"{_placeholder(name)}." if wildcard else ""
            yield from documentation(inner, f"{prefix}{name}.{placeholder}")
            continue
        default = "required" if field.is_required() else _shown(field.get_default(call_default_factory=True))
        yield f"{prefix}{name}", default, field.description or ""


def _placeholder(name: str) -> str:
    """What stands for the user's own names below a setting."""
    return "COLUMN" if name in ("columns", "thresholds") else "NAME"


def nearest(word: str, known: list[str]) -> str | None:
    """`Did you mean …?` for the closest known word, or None when nothing is close."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"Did you mean {close[0]!r}?" if close else None


def _shown(value: object) -> str:
    if value is None or value in ((), {}, ""):
        return "—"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _put(document: dict[str, Any], path: list[str], value: Any) -> None:
    for depth, part in enumerate(path[:-1], 1):
        child = document.setdefault(part, {})
        if not isinstance(child, dict):
            raise SettingsError(
                f"{'.'.join(path)} cannot be set: {'.'.join(path[:depth])} is a value, not a section"
            )
        document = child
    document[path[-1]] = value


def _parent_source(key: str, sources: Mapping[str, str]) -> str:
    while "." in key:
        key = key.rpartition(".")[0]
        if key in sources:
            return sources[key]
    return "default"


def _model_of(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The settings model within an annotation, and whether it is reached through a mapping's key."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is dict:
        return _model_of(args[1])[0], True
    if origin in (typing.Union, types.UnionType, typing.Annotated):
        for arg in args:
            model, wildcard = _model_of(arg)
            if model is not None:
                return model, wildcard
    return None, False


def _is_union_with_scalars(annotation: Any) -> bool:
    """Whether a value may be of several types; a section that may be left out is not."""
    if typing.get_origin(annotation) not in (typing.Union, types.UnionType):
        return False
    return len([each for each in typing.get_args(annotation) if each is not types.NoneType]) > 1


def _keys(model: Any) -> list[str]:
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []


def _child(model: Any, key: str) -> Any:
    if isinstance(model, tuple):  # the value type of a mapping: any key leads to it
        return model[0]
    if not _keys(model) or key not in model.model_fields:
        return None
    inner, wildcard = _model_of(model.model_fields[key].annotation)
    return (inner,) if wildcard else inner


def _place(key: str, path: Path, sources: Mapping[str, str]) -> str:
    """Where the value of `key` was given, in words."""
    source = next((s for k, s in sources.items() if k == key), None) or next(
        (s for k, s in sources.items() if k.startswith(f"{key}.") or key.startswith(f"{k}.")), "file"
    )
    if source == "file":
        return str(path)
    return "the command line" if source == "option" else f"environment variable {source}"


def _users_keys(location: tuple[int | str, ...]) -> list[int | str]:
    """The keys of an error's location, without the names that pydantic gives to a union's branches."""
    keys: list[int | str] = []
    model: Any = ProjectSettings
    is_branch = False
    for part in location:
        if part == "[key]":
            continue
        if is_branch:
            is_branch = False
            continue
        keys.append(part)
        is_field = str(part) in _keys(model)
        is_branch = is_field and _is_union_with_scalars(model.model_fields[str(part)].annotation)
        model = _child(model, str(part))
    return keys


def _wanted(messages: list[str]) -> str:
    """pydantic's messages about one value, a branch of a union each, as one sentence of ours."""
    plain = [message.removeprefix("Value error, ") for message in messages]
    if not all(message.startswith("Input should be ") for message in plain):
        return plain[0]
    choices = [
        re.sub(r" or instance of \w+|, unable to parse .*", "", message.removeprefix("Input should be "))
        for message in plain
    ]
    return f"should be {', or '.join(choices).replace('valid dictionary', 'table')}"


def _explain(error: ValidationError, path: Path, sources: Mapping[str, str]) -> tuple[str, str]:
    """Message and hint for what is wrong in the settings; a misspelt key explains a missing one."""
    errors = error.errors()
    first = next((wrong for wrong in errors if wrong["type"] == "extra_forbidden"), errors[0])
    location = _users_keys(first["loc"])
    shown = ".".join(str(part) for part in location)
    where = _place(shown, path, sources)
    if first["type"] == "extra_forbidden":
        parent: Any = ProjectSettings
        for part in location[:-1]:
            parent = _child(parent, str(part))
        known = _keys(parent)
        hint = nearest(str(location[-1]), known) or f"Known here: {', '.join(known)}."
        return f"unknown key {shown!r} in {where}", hint
    if first["type"] == "missing":
        section = ".".join(map(str, location[:-1]))
        return f"{shown} is missing in {where}", f"Add {location[-1]} to [{section}]."
    if first["type"] == "string_pattern_mismatch" and "[key]" in first["loc"]:
        return f"pipeline name {location[-1]!r} in {where}", "Use lower-case letters, digits, _ and - only."
    same_place = [wrong for wrong in errors if _users_keys(wrong["loc"]) == location]
    message = _wanted([wrong["msg"] for wrong in same_place])
    value = first.get("input")
    got = "" if isinstance(value, (dict, list)) or is_secret(shown) else f" (it is {value!r})"
    what = f"{shown or 'the settings'} in {where}: {message}{got}"
    return what, "Correct the value; workbench config show --help-text says what each setting takes."
