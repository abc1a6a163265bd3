"""How the value of each known key becomes the value of its setting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from store.errors import SettingsError
from workbench.starter.config_keys import metric_name, metric_of, normalized
from workbench.starter.config_sources import DATA_SUFFIXES
from workbench.starter.outcomes import Conversion, Entry, Outcome

_REMOTE = ("s3://", "gs://", "http://", "https://", "abfs://", "az://", "hdfs://")


def as_number(value: Any) -> Any:
    """YAML reads 1e-3 as text; a number was meant."""
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return value
        return int(number) if number.is_integer() and value.strip().lstrip("+-").isdigit() else number
    return value


def _names(value: Any) -> list[str] | None:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, (list, tuple)) and all(isinstance(item, (str, int)) for item in value):
        return [str(item) for item in value]
    return None


def why_no_data(value: Any) -> str | None:
    """Why a value can't be where data is read from; None where it can."""
    if not isinstance(value, str) or not value:
        return "not a path"
    if value.startswith(_REMOTE):
        return "data is read from local files; download it and name the file"
    if "." in value.rpartition("/")[2] and not value.lower().endswith(DATA_SUFFIXES):
        return "not a format that is read: CSV, Parquet or JSON lines"
    return None


def _take_data(result: Conversion, entry: Entry, setting: str) -> None:
    reason = why_no_data(entry.value)
    if reason:
        result.leave(entry, reason)
    else:
        result.take(entry, setting, entry.value)


def _take_text(result: Conversion, entry: Entry, setting: str) -> None:
    if isinstance(entry.value, str) and entry.value:
        result.take(entry, setting, entry.value)
    else:
        result.leave(entry, "it has no value" if entry.value in (None, "") else "not a text")


def _take_names(result: Conversion, entry: Entry, setting: str) -> None:
    names = _names(entry.value)
    if not names:
        result.leave(entry, "it names no columns")
    elif setting == "kind_features":
        result.settings.setdefault("kind_features", []).extend(names)
        result.outcomes.append(Outcome(entry.key, entry.value, "features", "kinds are found from the data"))
    else:
        result.take(entry, setting, names)


def _take_number(result: Conversion, entry: Entry, setting: str) -> None:
    value = as_number(entry.value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        result.leave(entry, "not a number")
    elif setting == "split.test_size" and not 0 < value < 1:
        result.leave(entry, "test_size is a share between 0 and 1 here")
    elif setting == "split.seed" and result.settings.get(setting, value) != value:
        result.take(entry, "params.random_state", value)
    else:
        result.take(entry, setting, value)


def _take_group(result: Conversion, entry: Entry, setting: str) -> None:
    _take_text(result, entry, "split.group_column")
    if "split.group_column" in result.settings:
        result.settings.setdefault("split.strategy", "group")


def _take_strategy(result: Conversion, entry: Entry, setting: str) -> None:
    strategies = {"time": "time", "temporal": "time", "chronological": "time", "group": "group"}
    word = str(entry.value).lower()
    if word in ("random", "stratified", "shuffle"):
        result.note(entry, "classes are split evenly by default")
    elif word in strategies:
        result.take(entry, setting, strategies[word])
    else:
        result.leave(entry, "strategies are random, time and group")


def _note_stratify(result: Conversion, entry: Entry, setting: str) -> None:
    if entry.value is False:
        result.leave(
            entry, "rows are shuffled and classes split evenly, except with split.strategy time or group"
        )
    else:
        result.note(entry, "shuffled, classes split evenly by default")


def _take_task(result: Conversion, entry: Entry, setting: str) -> None:
    word = normalized(entry.value)
    for task in ("binary", "multiclass", "regression"):
        if task in word.replace("multi_class", "multiclass"):
            result.take(entry, setting, task)
            return
    if "classif" in word:
        result.note(entry, "found from the target")
    else:
        result.leave(entry, "tasks are binary, multiclass and regression")


def _take_class_weight(result: Conversion, entry: Entry, setting: str) -> None:
    if isinstance(entry.value, Mapping):
        result.take(entry, setting, {str(key): weight for key, weight in entry.value.items()})
    elif entry.value is None:
        result.note(entry, "the default")
    elif entry.value == "balanced":
        result.take(entry, setting, "balanced")
    else:
        result.leave(entry, '"balanced" or a weight by class')


def _take_metrics(result: Conversion, entry: Entry, setting: str) -> None:
    names = _names(entry.value) or []
    known: list[str] = []
    for name in names:
        metric, reason = _metric(result, name)
        if metric:
            known.append(metric)
        else:
            result.outcomes.append(Outcome(f"{entry.key}: {name}", name, None, reason))
    if known:
        result.take(entry, setting, list(dict.fromkeys(known)))
    elif not names:
        result.leave(entry, "it names no metric")


def _metric(result: Conversion, name: str) -> tuple[str | None, str]:
    """The metric's own name, or None and why not."""
    from pipelines.metrics import find

    metric = metric_name(name)
    if metric is None:
        return None, "there is no such metric"
    if result.task is not None:
        try:
            find(metric, result.task)
        except SettingsError:
            return None, f"not a metric of {result.task}"
    return metric, ""


def _take_gate_metric(result: Conversion, entry: Entry, setting: str) -> None:
    metric, reason = _metric(result, str(entry.value))
    if metric:
        result.take(entry, setting, metric)
    else:
        result.leave(entry, reason)


def _take_minimum(result: Conversion, entry: Entry, setting: str) -> None:
    given = (
        entry.value if isinstance(entry.value, Mapping) else {metric_of(entry.path[-1]) or "": entry.value}
    )
    for name, value in given.items():
        metric, reason = _metric(result, metric_of(normalized(name)) or str(name))
        limit = as_number(value)
        if metric is None:
            result.leave(entry, reason)
        elif isinstance(limit, bool) or not isinstance(limit, (int, float)):
            result.leave(entry, "not a number")
        else:
            result.settings.setdefault("gate.min", {})[metric] = limit
            result.outcomes.append(Outcome(entry.key, limit, "gate.min"))


def _take_uri(result: Conversion, entry: Entry, setting: str) -> None:
    uri = str(entry.value or "")
    if uri.startswith(("http://", "https://")):
        result.leave(
            entry, f'runs are kept in mlruns/, no server needed; to use yours: [tracking] uri = "{uri}"'
        )
    elif uri.removeprefix("file:").strip("./") == "mlruns":
        result.note(entry, "mlruns/ is the default")
    elif uri:
        result.sections.setdefault("tracking", {})["uri"] = uri
        result.outcomes.append(Outcome(entry.key, entry.value, "tracking.uri"))
    else:
        result.leave(entry, "it has no value")


def _take_host(result: Conversion, entry: Entry, setting: str) -> None:
    if entry.value in ("127.0.0.1", "localhost"):
        result.note(entry, "the default")
    else:
        result.leave(
            entry, "the server is open to this machine only; workbench serve --host opens it to more"
        )


def _take_port(result: Conversion, entry: Entry, setting: str) -> None:
    port = as_number(entry.value)
    if isinstance(port, int) and not isinstance(port, bool) and 0 < port < 65536:
        result.sections.setdefault("serve", {})["port"] = port
        result.outcomes.append(Outcome(entry.key, entry.value, "serve.port"))
    else:
        result.leave(entry, "not a port")


def _take_project_name(result: Conversion, entry: Entry, setting: str) -> None:
    if isinstance(entry.value, str) and entry.value.strip() and not result.project_name:
        result.project_name = entry.value.strip()
        result.outcomes.append(Outcome(entry.key, entry.value, setting))
    else:
        result.leave(
            entry, "not a name" if not isinstance(entry.value, str) else "the project has a name already"
        )


def _leave_nested_params(result: Conversion, entry: Entry, setting: str) -> None:
    result.leave(entry, "it names no parameters")


CONVERTERS: dict[str, Callable[[Conversion, Entry, str], None]] = {
    "data": _take_data,
    "target": _take_text,
    "features": _take_names,
    "kind_features": _take_names,
    "ignore": _take_names,
    "id_column": _take_text,
    "time_column": _take_text,
    "group": _take_group,
    "split.test_size": _take_number,
    "split.seed": _take_number,
    "split.strategy": _take_strategy,
    "split.cv_folds": _take_number,
    "stratify": _note_stratify,
    "params": _leave_nested_params,
    "model": _take_text,
    "experiment": _take_text,
    "task": _take_task,
    "class_weight": _take_class_weight,
    "threshold": _take_number,
    "evaluate.metrics": _take_metrics,
    "gate.metric": _take_gate_metric,
    "gate.min": _take_minimum,
    "gate.min.METRIC": _take_minimum,
    "gate.min_delta": _take_number,
    "tracking.uri": _take_uri,
    "serve.host": _take_host,
    "serve.port": _take_port,
    "project.name": _take_project_name,
}
