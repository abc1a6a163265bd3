"""Another version asked what the one in production was asked: compared on rows whose truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.performance.pairing import MIN_PAIRS, compared
from pipelines.score import features_of
from store.errors import ModelLoadError
from store.predictions import PredictionReader
from store.records import class_text

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from store.layout import Layout
    from store.loaded_model import LoadedModel

MAX_ROWS = 5_000
"""The newest labelled rows that are asked again."""


def replay(
    layout: Layout,
    model: str,
    champion: int,
    challenger: LoadedModel,
    *,
    start: datetime,
    end: datetime,
    classes: tuple[str, ...] | None,
) -> dict[str, Any]:
    """What `compare_roles` says, of labelled rows of the champion that the challenger answers now.

    It takes features in the log. Raises DataError where the challenger needs columns that were not logged,
    ModelLoadError where it fails on them.
    """

    window = [moment.astimezone(UTC).replace(tzinfo=None) for moment in (start, end)]
    truth = "l.actual" if classes is None else "l.label"
    with PredictionReader(layout).opened() as connection:
        cursor = connection.execute(
            f"SELECT p.schema_id, p.numeric, p.categorical, p.prediction, p.label, p.probability, {truth}"
            f" FROM predictions p JOIN labels l USING (prediction_id) WHERE model = ? AND version = ?"
            f" AND predicted_at >= ? AND predicted_at < ? AND {truth} IS NOT NULL"
            " ORDER BY predicted_at DESC LIMIT ?",
            [model, champion, *window, MAX_ROWS],
        )
        rows = cursor.fetchall()
        features = connection.execute(
            "SELECT schema_id, name, kind, slot FROM schemas ORDER BY schema_id, position"
        ).fetchall()
    if len(rows) < MIN_PAIRS:
        return {"rows": len(rows), "metrics": []}
    schema_id = rows[0][0]  # rows of an older schema would lack columns
    rows = [row for row in rows if row[0] == schema_id]
    columns = [(name, kind, slot) for schema, name, kind, slot in features if schema == schema_id]
    answer = _answers(challenger, _frame(columns, rows, challenger))
    arrays = _champion(rows, classes) | _challenger(answer, challenger, classes)
    known = np.ones(len(rows), dtype=bool)
    for name in ("actual", "predicted_a", "predicted_b"):
        known &= np.isfinite(arrays[name]) & ((arrays[name] >= 0) | (classes is None))
    arrays = {name: values[known] for name, values in arrays.items()}
    n = int(known.sum())
    return {"rows": n, "metrics": compared(arrays, classes) if n >= MIN_PAIRS else []}


def _frame(columns: list[tuple[str, str, int]], rows: list[Any], model: LoadedModel) -> pd.DataFrame:
    """The logged features as the challenger takes them."""
    import pandas as pd

    types = {column.name: column.type for column in model.columns}
    places = {"numeric": 1, "categorical": 2}
    found: dict[str, Any] = {}
    for name, kind, slot in columns:
        values = [(row[places[kind]] or [None] * slot)[slot - 1] for row in rows]
        series = pd.Series(values, dtype="float64" if kind == "numeric" else "object")
        if types.get(name) == "datetime" and kind == "numeric":
            series = pd.to_datetime(series, unit="s")
        elif types.get(name) == "boolean" and kind == "numeric" and bool(series.notna().all()):
            series = series.astype(bool)
        found[name] = series
    return features_of(model, pd.DataFrame(found), Path("the prediction log"))


def _answers(model: LoadedModel, X: pd.DataFrame) -> Any:
    try:
        return model.predict(X)
    except Exception as error:  # whatever somebody else's estimator raises
        text = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelLoadError(f"the version fails on logged rows: {text}", "Compare its columns.") from error


def _champion(rows: list[Any], classes: tuple[str, ...] | None) -> dict[str, NDArray[Any]]:
    if classes is None:
        return {
            "predicted_a": np.array([row[3] for row in rows], dtype=np.float64),
            "actual": np.array([row[6] for row in rows], dtype=np.float64),
        }
    return {
        "predicted_a": _positions([row[4] for row in rows], classes),
        "probability_a": np.array([np.nan if row[5] is None else row[5] for row in rows]),
        "actual": _positions([row[6] for row in rows], classes),
    }


def _challenger(answer: Any, model: LoadedModel, classes: tuple[str, ...] | None) -> dict[str, NDArray[Any]]:
    if classes is None:
        return {"predicted_b": np.asarray(answer.prediction, dtype=np.float64)}
    nothing = np.full(len(answer.prediction), np.nan)
    same_order = model.classes is not None and tuple(map(class_text, model.classes)) == classes
    probability = nothing if answer.probability is None or not same_order else answer.probability
    texts = [class_text(value) for value in answer.prediction]
    return {"predicted_b": _positions(texts, classes), "probability_b": np.asarray(probability)}


def _positions(texts: Sequence[str | None], classes: tuple[str, ...]) -> NDArray[Any]:
    places = {text: float(place) for place, text in enumerate(classes)}
    return np.array([places.get(text or "", -1.0) for text in texts])
