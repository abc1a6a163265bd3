"""A project folder of each test's own, and predictions to log in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from store.layout import Layout
from store.log import FeatureSchema, PredictionLog, new_prediction_ids
from store.settings import StoreSettings

# The first example of a test imports numpy and pyarrow, and other tests run at the same time.
settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")

BIKES = FeatureSchema(("temp", "season", "hum"), ("numeric", "categorical", "numeric"))


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.of(tmp_path).ensure()


@pytest.fixture
def log(layout: Layout) -> Any:
    log = PredictionLog(layout, StoreSettings())
    yield log
    log.close()


@pytest.fixture
def log_bikes() -> Callable[..., list[str]]:
    """Log one request of the model `bikes` (a regression); returns its prediction ids."""

    def log_request(
        log: PredictionLog,
        *,
        rows: int = 1,
        numeric: Sequence[Sequence[float | None]] | None = None,
        categorical: Sequence[Sequence[str | None]] | None = None,
        ids: list[str] | None = None,
        **changes: Any,
    ) -> list[str]:
        ids = ids or new_prediction_ids(rows)
        values: dict[str, Any] = {
            "model": "bikes",
            "version": 3,
            "schema": BIKES,
            "prediction_ids": ids,
            "predicted_at": datetime.now(UTC),
            "predictions": [41.5] * len(ids),
            "probability": None,
            "probabilities": None,
            "classes": None,
            "numeric": numeric or [[0.5, 81.0]] * len(ids),
            "categorical": categorical or [["spring"]] * len(ids),
            "latency_ms": 0.42,
        }
        assert log.append(**(values | changes)), log.problem
        return ids

    return log_request
