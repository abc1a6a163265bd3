"""pandas stays out of the process until a model needs it, and works from then on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def run(code: str, *arguments: str) -> str:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


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


def test_statistics_are_imported_when_a_model_uses_them(tmp_path: Path) -> None:
    """Also where scikit-learn took them by name before; and skops loads what it would by itself."""
    code = """
import sys
from pathlib import Path
from serve.lean_imports import import_model_libraries
import_model_libraries()
assert "scipy.stats" not in sys.modules and "sklearn.gaussian_process" not in sys.modules
import numpy as np
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import QuantileTransformer
X = np.arange(40.0).reshape(20, 2)
normal = QuantileTransformer(n_quantiles=5, output_distribution="normal").fit(X)
labels = KNeighborsClassifier().fit(X, np.arange(20) % 2).predict(X[:3])
import scipy.stats
assert abs(normal.transform(X[:1])[0, 0] - scipy.stats.norm.ppf(1e-7)) < 0.01
assert isinstance(scipy.stats.norm, scipy.stats.rv_continuous)
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.pipeline import make_pipeline
import skops.io
model = make_pipeline(normal, GaussianProcessRegressor()).fit(X, X[:, 0])
skops.io.dump(model, sys.argv[1])
from store.model_files import ModelFile
from store.model_loading import load_estimator
path = Path(sys.argv[1])
file = ModelFile(path.parent, None, None, "sklearn", "skops", path.name)
print(load_estimator(file, trusted_types=(), layout=None).predict(X[:1]) == model.predict(X[:1]))
"""
    assert run(code, str(tmp_path / "model.skops")) == "[ True]"


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
