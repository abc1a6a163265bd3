"""A customers table as shops have them, and a shorthand to write files."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

Write = Callable[[str, str], Path]


@pytest.fixture
def customers() -> pd.DataFrame:
    """300 customers with every kind of column; who was away for long has mostly churned."""
    rng = np.random.default_rng(7)
    n = 300
    away = rng.integers(0, 365, n)
    return pd.DataFrame(
        {
            "customer_id": [f"C{i:05d}" for i in rng.permutation(n)],
            "age": rng.integers(18, 90, n),
            "orders": rng.integers(0, 30, n),
            "avg_order_value": rng.gamma(2, 30, n).round(2),
            "visits": np.where(rng.random(n) < 0.1, np.nan, rng.integers(0, 60, n)),
            "days_since_last": away,
            "plan": rng.choice(["basic", "pro", "team"], n),
            "newsletter": rng.choice(["yes", "no"], n),
            "country": "NL",
            "signed_up": rng.permutation(pd.date_range("2022-01-01", periods=n).strftime("%Y-%m-%d")),
            "churned": ((away > 180) ^ (rng.random(n) < 0.1)).astype(int),
        }
    )


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file below the test's folder, its text dedented."""

    def write_file(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"), "utf-8")
        return path

    return write_file
