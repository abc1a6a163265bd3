"""How many predictions have their label yet, and how long labels take to come."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from numpy.typing import NDArray

_LOOK_BACK = timedelta(days=30)
_ENOUGH = 20


def coverage_of(
    lags: NDArray[Any],
    predictions: int,
    labelled: int,
    start: datetime,
    end: datetime,
    *,
    now: datetime | None = None,
) -> dict[str, Any]:
    """{"predictions", "labelled", "coverage", "lag_p50_s", "lag_p90_s", "maturity"}.

    `lags` are seconds from prediction to label of the model's latest labels. `maturity` is the share of the
    labels that will ever come that should be there by now, given how long they took before; None where nobody
    knows.
    """
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


def latest_lags(connection: DuckDBPyConnection, model: str, end: datetime) -> NDArray[Any]:
    """Seconds from prediction to label, of the model's among the newest five hundred labels of 30 days."""
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE newest AS SELECT prediction_id, min(received_at) AS received_at FROM"
        " (SELECT prediction_id, received_at FROM feedback WHERE received_at >= ?"
        " ORDER BY received_at DESC LIMIT 500) GROUP BY prediction_id",
        [(end - _LOOK_BACK).astimezone(UTC).replace(tzinfo=None)],
    )
    # By the bounds of the ids DuckDB passes over most predictions.
    bounds = connection.execute("SELECT min(prediction_id), max(prediction_id) FROM newest").fetchall()[0]
    found = connection.execute(
        "SELECT epoch(n.received_at) - epoch(p.predicted_at) FROM predictions p"
        " JOIN newest n USING (prediction_id) WHERE p.model = ? AND p.prediction_id BETWEEN ? AND ?",
        [model, *bounds],
    ).fetchall()
    return np.array([max(0.0, lag) for (lag,) in found if lag is not None])
