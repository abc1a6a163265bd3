"""Reading the configuration files that training scripts come with: YAML, DVC's pair, a dataclass."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from store.errors import DataError, NotFoundError, UsageError
from workbench.starter.dataclass_config import read_dataclass

DATA_SUFFIXES = (".csv", ".tsv", ".txt", ".parquet", ".jsonl", ".ndjson", ".gz")
_FORMATS = (
    "a YAML, JSON or TOML file, a dvc.yaml or params.yaml, or a Python file with a TrainConfig dataclass"
)


@dataclass(frozen=True)
class ConfigSource:
    """What a configuration file says, as nested mappings, before anything is made of it."""

    path: Path
    kind: str
    values: Mapping[str, Any]
    estimator: str | None = None
    """Dotted path of the one scikit-learn estimator that a Python file builds."""
    noted: tuple[tuple[str, str], ...] = ()
    """What was recognized and needs no setting, with the reason."""
    left: tuple[tuple[str, str], ...] = ()
    """What has no value to convert, with the reason."""


def read_config(path: Path) -> ConfigSource:
    """Read a configuration file; Python is parsed, never run. Raises NotFoundError, UsageError, DataError."""
    if not path.exists():
        raise NotFoundError(f"no file {path}", f"--from takes {_FORMATS}.")
    if path.is_dir():
        raise UsageError(f"{path} is a folder", f"--from takes {_FORMATS}.")
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not text", f"--from takes {_FORMATS}.") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}", "Check the file's permissions.") from error
    suffix = path.suffix.lower()
    if suffix == ".py":
        found = read_dataclass(path, text)
        return ConfigSource(path, "dataclass", found.values, estimator=found.estimator, left=found.left)
    if suffix not in (".yaml", ".yml", ".json", ".toml"):
        raise UsageError(f"{path} is of no kind that can be converted", f"--from takes {_FORMATS}.")
    values = _parse(path, text, suffix)
    if path.name in ("dvc.yaml", "dvc.yml") or isinstance(values.get("stages"), Mapping):
        return _read_dvc(path, values, _sibling(path, "params.yaml"))
    if path.name in ("params.yaml", "params.yml"):
        pipeline_file = path.parent / "dvc.yaml"
        if pipeline_file.is_file():
            stages = _parse(pipeline_file, pipeline_file.read_text("utf-8-sig"), ".yaml")
            return _read_dvc(pipeline_file, stages, path)
    return ConfigSource(path, "config", values)


def _sibling(path: Path, name: str) -> Path | None:
    other = path.parent / name
    return other if other.is_file() else None


def _parse(path: Path, text: str, suffix: str) -> Mapping[str, Any]:
    import yaml

    try:
        if suffix == ".toml":
            values: Any = tomllib.loads(text)
        elif suffix == ".json":
            values = json.loads(text)
        else:
            values = yaml.safe_load(text)
    except (yaml.YAMLError, tomllib.TOMLDecodeError, json.JSONDecodeError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path} cannot be parsed: {reason}", "Mend the file and try again.") from error
    if not isinstance(values, Mapping) or not values:
        what = "is empty" if not values else f"holds a {type(values).__name__}, not keys and values"
        raise DataError(f"{path} {what}", "There is nothing to convert.")
    return values


def _read_dvc(path: Path, document: Mapping[str, Any], params_path: Path | None) -> ConfigSource:
    """The train stage's data and metrics, with the values of every params file it names."""
    stages = {str(name): stage for name, stage in (document.get("stages") or {}).items()}
    stage_name = _train_stage(stages)
    if stage_name is None:
        raise DataError(
            f"{path} has no train stage (stages: {', '.join(map(str, stages)) or 'none'})",
            "Name the data and target instead: workbench init --data FILE --target COLUMN.",
        )
    stage = stages[stage_name]
    stage = stage.get("do", stage) if isinstance(stage, Mapping) else {}
    params = _parse(params_path, params_path.read_text("utf-8-sig"), ".yaml") if params_path else {}
    noted: list[tuple[str, str]] = []
    left: list[tuple[str, str]] = []
    values: dict[str, Any] = dict(params)
    data, others = _data_dependencies(_names(stage.get("deps")), params)
    if data:
        values = {"stages": {stage_name: {"deps": data}}, **values}
    for other in others:
        left.append((f"stages.{stage_name}.deps: {other}", _why_no_dependency(other, data)))
    for metric in _names(stage.get("metrics")):
        noted.append((f"stages.{stage_name}.metrics: {metric}", "each run logs metrics/eval.json"))
    for out in _names(stage.get("outs")):
        noted.append((f"stages.{stage_name}.outs: {out}", "models are kept in the model registry"))
    for plot in _names(stage.get("plots")):
        noted.append((f"stages.{stage_name}.plots: {plot}", "each run logs the data of its curves"))
    if stage.get("cmd"):
        noted.append((f"stages.{stage_name}.cmd", "workbench train takes its place"))
    for name in stages:
        if name != stage_name:
            left.append(
                (
                    f"stages.{name}",
                    "only the train stage is converted; steps before it can go into features.py",
                )
            )
    return ConfigSource(path, "dvc", values, noted=tuple(noted), left=tuple(left))


def _train_stage(stages: Mapping[str, Any]) -> str | None:
    for wanted in ("train", "training", "train_model", "fit", "model"):
        if wanted in stages:
            return wanted
    return next((name for name in stages if "train" in str(name).lower()), None) or (
        next(iter(stages)) if len(stages) == 1 else None
    )


def _names(entries: Any) -> list[str]:
    """DVC's lists hold plain paths or one-key mappings from a path to its options."""
    if isinstance(entries, (str, Mapping)):
        entries = [entries]
    names: list[str] = []
    for entry in entries or []:
        names += [str(key) for key in entry] if isinstance(entry, Mapping) else [str(entry)]
    return names


def _data_dependencies(deps: list[str], params: Mapping[str, Any]) -> tuple[str | None, list[str]]:
    deps = [_filled_in(dep, params) for dep in deps]
    data = [dep for dep in deps if dep.lower().endswith(DATA_SUFFIXES) or _is_data_folder(dep)]
    if not data:
        return None, deps
    training = next((dep for dep in data if "train" in Path(dep).name.lower()), data[0])
    return training, [dep for dep in deps if dep != training]


def _is_data_folder(dep: str) -> bool:
    path = Path(dep)
    return not path.suffix and path.parts[:1] == ("data",)


def _why_no_dependency(dep: str, data: str | None) -> str:
    if dep.endswith(".py"):
        return "code: what it computes from the columns can go into features.py"
    if data and dep.lower().endswith(DATA_SUFFIXES):
        return "held-out rows are split from data, by the split section"
    return "not a data file"


def _filled_in(text: str, params: Mapping[str, Any]) -> str:
    """DVC's `${train.path}` with the value from the params file; left alone where there is none."""
    while "${" in text:
        before, _, rest = text.partition("${")
        key, closing, after = rest.partition("}")
        value: Any = params
        for part in key.strip().split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if not closing or value is None or isinstance(value, (Mapping, list)):
            break
        text = f"{before}{value}{after}"
    return text
