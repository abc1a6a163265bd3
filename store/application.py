"""The prediction log for people who serve with an application of their own: two functions, no set-up."""

from __future__ import annotations

import math
import os
import threading
import tomllib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from store.errors import SettingsError
from store.ids import new_prediction_ids
from store.layout import Layout
from store.log import PredictionLog
from store.records import VERSIONS, FeatureSchema, Kind
from store.settings import StoreSettings

_logs: dict[str, PredictionLog] = {}
_kinds: dict[tuple[str, int], dict[str, Kind]] = {}
_lock = threading.Lock()


def _renew_lock() -> None:
    """In a forked child: a thread that isn't there may hold the parent's."""
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)


def log_prediction(
    project: str | Path,
    *,
    model: str,
    features: Mapping[str, Any],
    prediction: float | int | str | bool,
    version: int = 0,
    probability: float | None = None,
    probabilities: Mapping[Any, float] | None = None,
    classes: Sequence[Any] | None = None,
    latency_ms: float = 0.0,
    predicted_at: datetime | None = None,
    prediction_id: str | None = None,
    request_id: str = "",
    settings: StoreSettings | None = None,
) -> str | None:
    """Log a prediction made by your own application; returns its id for later feedback, None if it was lost.

    `project` is the folder that holds `workbench.toml`. Numbers, booleans and datetimes among `features` are
    numeric, the rest is text; a feature keeps the kind of its first value. `probabilities` by class implies
    `classes`; a `prediction` that is text or boolean, or any with `classes`, is a class, else a value.
    Safe for threads and forked workers; takes some 20 microseconds, never waits for the DuckDB file, and
    never raises for what is in `features`. `[store]` of workbench.toml holds (redactions, durability, path)
    unless `settings` are given; the first call for a folder decides. Raises SettingsError where that file
    can't be used, ValueError for a version of more than 32 bits.

        from store import log_prediction
        prediction_id = log_prediction("my-project", model="churn", version=3,
                                       features={"age": 35, "plan": "pro"}, prediction=1, probability=0.83)
    """
    log = _log_of(project, settings)
    if int(version) not in VERSIONS:
        raise ValueError(f"version {version} is no integer of 32 bits: name the model by it, or count")
    with _lock:
        kinds = _kinds.setdefault((model, version), {})
        for name, value in features.items():
            if name not in kinds and not _is_missing(value):
                kinds[name] = "categorical" if _as_number(value) is None else "numeric"
        schema = FeatureSchema(tuple(features), tuple(kinds.get(name, "numeric") for name in features))
    if probabilities is not None:
        classes = tuple(probabilities)
    elif classes is None and isinstance(prediction, (str, bool)):
        classes = (False, True) if isinstance(prediction, bool) else (prediction,)
    elif classes is None and probability is not None:
        classes = (0, 1)
    identifier = prediction_id or new_prediction_ids(1)[0]
    logged = log.append(
        model=model,
        version=version,
        schema=schema,
        prediction_ids=[identifier],
        predicted_at=predicted_at or datetime.now(UTC),
        predictions=[prediction],
        probability=None if probability is None else [probability],
        probabilities=None if probabilities is None else [[float(p) for p in probabilities.values()]],
        classes=classes,
        numeric=[[_as_number(features[name]) for name in schema.numeric_names]],
        categorical=[[_as_text(features[name]) for name in schema.categorical_names]],
        latency_ms=latency_ms,
        request_id=request_id,
    )
    return identifier if logged else None


def log_feedback(
    project: str | Path,
    prediction_id: str,
    actual: float | int | str | bool,
    *,
    observed_at: datetime | None = None,
    settings: StoreSettings | None = None,
) -> bool:
    """Log what really happened to a prediction, any time later; of several labels the last counts.

    False where it could not be written. A label of an id that nobody logged is kept aside, and joins its
    prediction should that come.
    """
    return _log_of(project, settings).append_feedback([(prediction_id, actual, observed_at)])


def _log_of(project: str | Path, settings: StoreSettings | None) -> PredictionLog:
    """This process's log of a project."""
    with _lock:
        found = _logs.get(str(project))
        if found is None:
            root = Path(project).resolve()
            found = _logs.get(str(root))
            if found is None:
                settings = settings or _settings_of(root)
                layout = Layout.of(root, settings.path)
                found = _logs[str(root)] = PredictionLog(layout, settings, writer="application")
            if Path(project).is_absolute():  # a relative one is another when the process changes its folder
                _logs[str(project)] = found
        return found


def _settings_of(root: Path) -> StoreSettings:
    path = root / "workbench.toml"
    try:
        document = tomllib.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        return StoreSettings()
    except (OSError, ValueError) as error:
        raise SettingsError(f"cannot read {path}: {error}", "Mend it: workbench config check.") from error
    try:
        return StoreSettings.model_validate(document.get("store", {}))
    except ValidationError as error:
        problem = error.errors()[0]
        name = ".".join(map(str, ("store", *problem["loc"])))
        raise SettingsError(
            f"{path}: {name}: {problem['msg']}", "Mend it: workbench config check."
        ) from error


def _as_number(value: Any) -> float | None:
    if value is None or isinstance(value, (str, bytes)):
        return None
    try:
        if isinstance(value, datetime):
            if value != value:  # pandas' NaT
                return math.nan
            return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
        return float(value)
    except Exception:  # whatever somebody's own type raises
        return None


def _as_text(value: Any) -> str | None:
    try:
        return None if _is_missing(value) else str(value)
    except Exception:
        return f"<{type(value).__name__}>"


def _is_missing(value: Any) -> bool:
    """Whether a value is None or pandas' NA, which is neither a number nor a text."""
    return value is None or type(value).__name__ == "NAType"
