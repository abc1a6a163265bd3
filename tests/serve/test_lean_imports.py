"""pandas stays out of the process until a model needs it, and works from then on."""

from __future__ import annotations

import subprocess
import sys

import pytest


def run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_scikit_learn_is_imported_without_pandas_which_can_follow() -> None:
    code = """
import sys
from serve.lean_imports import import_model_libraries
import_model_libraries()
assert "pandas" not in sys.modules
import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import OneHotEncoder, StandardScaler
import pandas as pd
frame = pd.DataFrame({"a": [1.0, 2.0, None], "b": ["x", "y", "x"]})
made = ColumnTransformer([("a", StandardScaler(), ["a"]), ("b", OneHotEncoder(), ["b"])]).fit_transform(frame)
print(made.shape, ColumnTransformer([("a", StandardScaler(), ["a"])]).set_output(transform="pandas")
      .fit_transform(frame).columns[0])
"""
    assert run(code) == "(3, 3) a__a"


def test_a_scikit_learn_that_insists_on_pandas_gets_it() -> None:
    code = """
import sys
from importlib.abc import MetaPathFinder
class Insists(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "skops":
            import pandas
sys.meta_path.insert(0, Insists())
from serve.lean_imports import import_model_libraries
import_model_libraries()
import skops.io
print("pandas" in sys.modules)
"""
    assert run(code) == "True"


@pytest.mark.parametrize(("given", "expected"), [(None, "1"), ("3", "3")])
def test_one_thread_unless_the_environment_says_otherwise(
    given: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    from serve.lean_imports import limit_threads

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if given is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    limit_threads()
    assert os.environ["OMP_NUM_THREADS"] == expected
