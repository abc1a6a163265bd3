"""How many predictions have their label yet, and how long labels take to come."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from store.predictions import PredictionReader

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from store.layout import Layout

_LOOK_BACK = timedelta(days=30)
_ENOUGH = 20


def coverage_of(
    layout: Layout,
    model: str,
    predictions: int,
    labelled: int,
    start: datetime,
    end: datetime,
    *,
    now: datetime | None = None,
) -> dict[str, Any]:
    """{"predictions", "labelled", "coverage", "lag_p50_s", "lag_p90_s", "maturity"}.

    Lags are those of the model's labels of the last 30 days. `maturity` is the share of the labels that
    will ever come that should be there by now, given how long they took before; None where nobody knows.
    """
    lags = _lags(layout, model, end - _LOOK_BACK)
    found: dict[str, Any] = {
        "predictions": predictions,
        "labelled": labelled,
        "coverage": labelled / predictions if predictions else None,
        "lag_p50_s": None,
        "lag_p90_s": None,
        "maturity": None,
    }
    if len(lags) >= _ENOUGH:
        found["lag_p50_s"], found["lag_p90_s"] = np.quantile(lags, [0.5, 0.9]).tolist()
        found["maturity"] = maturity(lags, start, end, now or datetime.now(UTC))
    return found


def maturity(lags: NDArray[Any], start: datetime, end: datetime, now: datetime) -> float:
    """Share of labels with these lags (seconds) that have come by `now`, of predictions from start to end."""
    moments = np.linspace(0.0, 1.0, 50)
    ages = (now - end).total_seconds() + moments * (end - start).total_seconds()
    return float(np.mean(np.searchsorted(np.sort(lags), ages, side="right") / len(lags)))


def _lags(layout: Layout, model: str, since: datetime) -> NDArray[Any]:
    """Seconds from prediction to label, of the model's among the newest five hundred labels."""
    with PredictionReader(layout).opened() as connection:
        connection.execute(
            "CREATE TEMP TABLE newest AS SELECT prediction_id, min(received_at) AS received_at FROM"
            " (SELECT prediction_id, received_at FROM feedback WHERE received_at >= ?"
            " ORDER BY received_at DESC LIMIT 500) GROUP BY prediction_id",
            [since.astimezone(UTC).replace(tzinfo=None)],
        )
        # By the bounds of the ids DuckDB passes over most predictions.
        bounds = connection.execute("SELECT min(prediction_id), max(prediction_id) FROM newest").fetchall()[0]
        found = connection.execute(
            "SELECT epoch(n.received_at) - epoch(p.predicted_at) FROM predictions p"
            " JOIN newest n USING (prediction_id) WHERE p.model = ? AND p.prediction_id BETWEEN ? AND ?",
            [model, *bounds],
        ).fetchall()
    return np.array([max(0.0, lag) for (lag,) in found if lag is not None])
