"""A model version in service: loaded, verified against its stored example, with what requests need."""

from __future__ import annotations

import json
import math
import pickle
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from serve.input_schema import Batch, InputSchema
from serve.problems import Problem
from store.errors import ModelLoadError, WorkbenchError
from store.frame_plans import make_frame_plan
from store.loaded_model import LoadedModel
from store.model_files import environment_differences, load_model
from store.plans import make_plan

if TYPE_CHECKING:
    from store.layout import Layout
    from store.registry import ModelVersion

Engine = Literal["native", "onnx"]

SLOW_ROW_MS = 5.0
"""A model that takes longer for one row never runs on the event loop."""
_RELATIVE_TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class ServedModel:
    """What answers for one registered model."""

    name: str
    version: int
    role: str
    loaded: LoadedModel
    schema: InputSchema
    registered: ModelVersion
    row_ms: float
    """Time to predict one row, measured at load."""
    loaded_at: datetime
    differences: tuple[str, ...] = ()
    """How this environment differs from the one of training."""
    example: Mapping[str, Any] | None = None
    """A record of the stored input example, by name; None where there is none."""
    documents: dict[str, Any] = field(default_factory=dict)
    """Answers made from the model once and kept, such as its part of the OpenAPI document."""
    names: tuple[str, ...] = ()
    """Its features, in its order."""
    n_bytes: int = 0
    """What it takes of memory, about, where that was measured."""
    engine: Engine = "native"
    """What answers."""
    engine_note: str | None = None
    """Why, where another engine than scikit-learn was asked for."""


def load_served(
    registered: ModelVersion,
    *,
    role: str = "champion",
    trusted_types: Collection[str] = (),
    layout: Layout | None = None,
    is_measured: bool = False,
    engine: Engine = "native",
) -> ServedModel:
    """Load a registered version and let it predict its stored input example.

    Raises ModelLoadError for a version that can't be loaded, or that fails on or answers its own example
    otherwise than it did when it was logged.
    """
    if registered.model_dir is None:
        raise ModelLoadError(
            f"{registered.name} version {registered.version}: its files at {registered.source} are not here",
            "Restore them, or promote a version that has its files.",
        )
    try:
        loaded = load_model(registered.model_dir, trusted_types=trusted_types, layout=layout)
        loaded.plan = make_plan(loaded)
        loaded.frame_plan = make_frame_plan(loaded)
        schema = InputSchema(loaded)
    except WorkbenchError:
        raise
    except Exception as error:  # whatever a third party's estimator raises is a report, never a crash
        raise _load_error(registered, error) from error
    rows = _example_rows(loaded)
    batch = _example_batch(schema, rows)
    row_ms = _verify(registered, loaded, batch)
    note = None
    if engine == "onnx":
        from store.onnx_plans import make_onnx_plan

        converted = make_onnx_plan(loaded, batch.model_input if batch is not None else None)
        note = converted.note
        if converted.plan is None:
            engine = "native"
        else:
            loaded.plan = converted.plan
            row_ms = _row_ms(registered, loaded, batch)
    is_usable = batch is not None and len(rows[0]) == len(loaded.columns)
    return ServedModel(
        name=registered.name,
        version=registered.version,
        role=role,
        loaded=loaded,
        schema=schema,
        registered=registered,
        row_ms=row_ms,
        loaded_at=datetime.now(UTC),
        differences=tuple(environment_differences(loaded.file)),
        example=dict(zip(loaded.names, rows[0], strict=True)) if is_usable else None,
        names=loaded.names,
        n_bytes=_measured(loaded) if is_measured else 0,
        engine=engine,
        engine_note=note,
    )


class _Counter:
    """A file that keeps nothing but its size."""

    def __init__(self) -> None:
        self.n_bytes = 0

    def write(self, data: Any) -> int:
        self.n_bytes += memoryview(data).nbytes
        return memoryview(data).nbytes


def _measured(loaded: LoadedModel) -> int:
    """About what a model takes in memory: its pickle's size, and again where a plan has its nodes."""
    sink = _Counter()
    try:
        pickle.Pickler(sink, protocol=5).dump(loaded.estimator)
    except Exception:  # an estimator that can't be pickled: its file is the next best measure
        return sum(path.stat().st_size for path in loaded.file.path.rglob("*") if path.is_file())
    is_planned = loaded.plan is not None or loaded.frame_plan is not None
    return sink.n_bytes * (2 if is_planned else 1)


def _example_batch(schema: InputSchema, rows: Sequence[Sequence[Any]]) -> Batch | None:
    """The example as a request would bring it; None where it isn't one, redacted for instance."""
    if not rows:
        return None
    try:
        return schema.from_json(list(rows))
    except Problem:
        return None


def _verify(registered: ModelVersion, loaded: LoadedModel, batch: Batch | None) -> float:
    """Predict the example, and its first row alone; returns the time of the latter in milliseconds."""
    if batch is None:
        return _row_ms(registered, loaded, None)
    try:
        answer = loaded.predict(batch.model_input)
    except Exception as error:
        raise _load_error(registered, error) from error
    expected = loaded.file.metadata.get("example_predictions")
    if isinstance(expected, list) and not _same(answer.prediction, expected):
        raise ModelLoadError(
            f"{registered.name} version {registered.version} answers its stored example otherwise than in "
            f"training: {answer.prediction[:3]}, not {expected[:3]}",
            "Compare the package versions: workbench models show.",
        )
    return _row_ms(registered, loaded, batch)


def _row_ms(registered: ModelVersion, loaded: LoadedModel, batch: Batch | None) -> float:
    """The time one row takes, in milliseconds: the example's first, else one made up."""
    if batch is not None:
        return _timed(registered, loaded, batch.model_input[:1])
    if loaded.frame_plan is not None:
        return _timed(registered, loaded, loaded.frame_plan.sample)
    if loaded.needs_frame:
        return SLOW_ROW_MS + 1
    import numpy as np

    return _timed(registered, loaded, np.zeros((1, len(loaded.columns)), dtype=loaded.dtype))


def _timed(registered: ModelVersion, loaded: LoadedModel, model_input: Any) -> float:
    fastest = math.inf
    try:
        for _ in range(3):
            started = time.perf_counter()
            loaded.predict(model_input)
            fastest = min(fastest, time.perf_counter() - started)
    except ValueError:  # a row of zeros is nothing every model takes
        return SLOW_ROW_MS + 1
    except Exception as error:
        raise _load_error(registered, error) from error
    return fastest * 1000


def _example_rows(loaded: LoadedModel) -> list[list[Any]]:
    """Rows of the stored input example in the model's order of columns; none where it can't be used."""
    path = loaded.file.example_path
    if path is None:
        return []
    try:
        document = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return []
    if isinstance(document, dict) and "data" in document:
        rows, columns = document["data"], document.get("columns")
        if columns is not None and set(map(str, columns)) == set(loaded.names):
            at = {str(name): position for position, name in enumerate(columns)}
            rows = [[row[at[name]] for name in loaded.names] for row in rows]
    else:
        rows = document.get("inputs") if isinstance(document, dict) else document
    width = len(loaded.columns)
    if not isinstance(rows, list) or not all(isinstance(row, list) and len(row) == width for row in rows):
        return []
    return rows


def _same(answered: Sequence[Any], expected: Sequence[Any]) -> bool:
    if len(answered) != len(expected):
        return False
    return all(
        math.isclose(a, b, rel_tol=_RELATIVE_TOLERANCE, abs_tol=1e-9)
        if isinstance(a, float) and isinstance(b, (int, float))
        else a == b
        for a, b in zip(answered, expected, strict=True)
    )


def _load_error(registered: ModelVersion, error: Exception) -> ModelLoadError:
    reason = f"{type(error).__name__}: {error}".splitlines()[0]
    return ModelLoadError(
        f"{registered.name} version {registered.version} can't be served: {reason}",
        "Compare the package versions (workbench models show), or train again.",
    )
