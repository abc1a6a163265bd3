"""What a prediction looks like to the client: JSON, or CSV where the client accepts that."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

import orjson
from starlette.responses import Response

from store.loaded_model import LoadedModel, Predictions

JSON = "application/json"
CSV = "text/csv; charset=utf-8"
HIGH, MEDIUM = 0.8, 0.6


def confidence(winning: float) -> str:
    """high, medium or low, by the probability of the likeliest class."""
    return "high" if winning >= HIGH else "medium" if winning >= MEDIUM else "low"


def answer_rows(
    model: LoadedModel,
    name: str,
    version: int,
    predictions: Predictions,
    prediction_ids: Sequence[str | None],
    latency_ms: float,
) -> list[dict[str, Any]]:
    """One answer a row."""
    latency = round(latency_ms, 3)
    tails = [
        {"model": name, "version": version, "prediction_id": prediction_id, "latency_ms": latency}
        for prediction_id in prediction_ids
    ]
    labels = predictions.prediction
    if predictions.probabilities is None or model.classes is None:
        return [{"prediction": label, **tail} for label, tail in zip(labels, tails, strict=True)]
    table = predictions.probabilities.tolist()
    sure = [confidence(max(row)) for row in table]
    if predictions.probability is not None:
        return [
            {"prediction": label, "probability": row[1], "confidence": level, **tail}
            for label, row, level, tail in zip(labels, table, sure, tails, strict=True)
        ]
    keys = [class_key(label) for label in model.classes]
    return [
        {
            "prediction": label,
            "probabilities": dict(zip(keys, row, strict=True)),
            "confidence": level,
            **tail,
        }
        for label, row, level, tail in zip(labels, table, sure, tails, strict=True)
    ]


def class_key(label: Any) -> str:
    """A class as the key of a JSON object."""
    return str(label).lower() if isinstance(label, bool) else str(label)


def wants_csv(accept: str) -> bool:
    """Whether the client asks for CSV before JSON."""
    for part in accept.lower().split(","):
        media_type = part.partition(";")[0].strip()
        if media_type in ("text/csv", "application/csv"):
            return True
        if media_type in ("application/json", "*/*", "application/*"):
            return False
    return False


def json_answer(rows: list[dict[str, Any]], is_single: bool) -> Response:
    """The answer itself for one record, {"predictions": […]} for several."""
    return Response(orjson.dumps(rows[0] if is_single else {"predictions": rows}), media_type=JSON)


def csv_answer(rows: list[dict[str, Any]]) -> Response:
    """One line a row; probabilities by class become columns of their own."""
    flat = flat_rows(rows)
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, fieldnames=list(flat[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return Response(out.getvalue().encode(), media_type=CSV)


def flat_rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Answers as rows of a table."""
    flat = []
    for row in rows:
        spread = row.get("probabilities") or {}
        line = {key: value for key, value in row.items() if key != "probabilities"}
        flat.append({**line, **{f"probability_{key}": value for key, value in spread.items()}})
    return flat
