"""Small real tables, and projects to train in."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# OpenMP reads it when scikit-learn is imported: threads that spin while waiting slow small fits down.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from pipelines.job_process import Starter
from pipelines.request import TrainEvent, TrainRequest, TrainResult
from pipelines.settings import PipelineSettings
from store.layout import Layout
from store.settings import StoreSettings


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.of(tmp_path).ensure()


def _customers(n: int, seed: int) -> Any:
    import numpy as np
    import pandas as pd

    generator = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "customer id": [f"C{number:05d}" for number in range(n)],
            "age": generator.integers(18, 80, n),
            "größe": generator.normal(170, 10, n).round(1),
            "city": generator.choice(["Köln", "Berlin", "Paris"], n),
            "member": generator.choice([True, False], n),
            "since": pd.date_range("2020-01-01", periods=n, freq="7h").astype(str),
            "income": [f"{value:,.0f}" for value in generator.normal(50_000, 9_000, n)],
        }
    )
    signal = (frame["age"] - 50) / 10 + (frame["city"] == "Köln") * 2 + generator.normal(0, 1, n)
    frame.loc[frame.index % 17 == 0, "city"] = None
    frame.loc[frame.index % 13 == 0, "größe"] = None
    frame["amount"] = signal * 3 + 5
    frame["tier"] = np.select([signal < -1, signal < 1], ["bronze", "silver"], "gold")
    frame["churned"] = np.where(signal > 0, "yes", "no")
    return frame


@pytest.fixture(scope="session")
def customers() -> Any:
    """300 customers: mixed columns with gaps, text numbers, dates, and three targets."""
    return _customers(300, 0)


@pytest.fixture
def train_here(layout: Layout, forked: Starter) -> Callable[..., TrainResult]:
    """Train a pipeline in a project of its own; settings by keyword, the request's own with `_` behind.

    In a forked process, or in one that `start_` makes.
    """
    from pipelines.launch import train

    def run(
        name: str = "demo",
        *,
        promote_: Any = "default",
        reason_: str | None = None,
        store_: StoreSettings | None = None,
        on_event_: Callable[[TrainEvent], None] | None = None,
        start_: Starter = forked,
        **settings: Any,
    ) -> TrainResult:
        request = TrainRequest(
            pipeline=name,
            settings=PipelineSettings.model_validate(settings),
            tracking_uri="mlruns",
            layout=layout,
            store=store_ or StoreSettings(),
            promote=promote_,
            reason=reason_,
        )
        return train(request, on_event=on_event_, start=start_)

    return run


@pytest.fixture
def cancer_csv(layout: Layout) -> Path:
    """scikit-learn's breast_cancer as a file in the project."""
    from sklearn.datasets import load_breast_cancer

    path = layout.root / "cancer.csv"
    load_breast_cancer(as_frame=True).frame.to_csv(path, index=False)
    return path
