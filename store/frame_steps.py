"""What scikit-learn's transformers of numbers do to an array, without their checks: the same arithmetic."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from store.frame_parts import is_transformer_of, without_names

if TYPE_CHECKING:
    import numpy as np

Step = Callable[["np.ndarray"], "np.ndarray | None"]
"""Takes float64 rows and gives float64 rows; None leaves the rows to scikit-learn."""


def array_step(transformer: Any) -> Step | None:
    """The step of a fitted transformer; None for one that isn't known."""
    for name, make in _MAKERS.items():
        if is_transformer_of(transformer, name):
            return make(transformer)
    return None


def is_scaler(transformer: Any) -> bool:
    """Whether it only shifts and scales: what overflows in it is infinite or NaN from then on."""
    return any(is_transformer_of(transformer, name) for name in _SCALERS)


def calling_step(transformer: Any) -> Step | None:
    """A step that calls scikit-learn's own transformer on the array; None for one that needs a frame."""
    import numpy as np
    from scipy.sparse import issparse

    from store.estimator_parts import needs_column_names

    if not type(transformer).__module__.startswith("sklearn."):
        return None
    bare = without_names(transformer)
    if bare is None or needs_column_names(bare) or not hasattr(bare, "transform"):
        return None

    def step(X: np.ndarray) -> np.ndarray | None:
        try:
            found = bare.transform(X)
        except ValueError:
            return None
        return np.asarray(found.toarray() if issparse(found) else found, dtype=np.float64)

    return step


def _imputer(transformer: Any) -> Step | None:
    import numpy as np

    absent = transformer.missing_values
    if not isinstance(absent, (int, float)) or isinstance(absent, bool):
        return None
    statistics = np.asarray(transformer.statistics_, dtype=np.float64)
    kept = None
    if not transformer.keep_empty_features and np.isnan(statistics).any():
        kept = np.flatnonzero(~np.isnan(statistics))
        statistics = statistics[kept]
    noted = transformer.indicator_.features_ if transformer.add_indicator else None
    is_nan = math.isnan(absent)

    def step(X: np.ndarray) -> np.ndarray | None:
        missing = np.isnan(X)
        if not is_nan:
            if missing.any():
                return None
            missing = absent == X
        if kept is None:
            filled = np.where(missing, statistics, X)
        else:
            filled = np.where(missing[:, kept], statistics, X[:, kept])
        return filled if noted is None else np.hstack([filled, missing[:, noted]])

    return step


def _standard(transformer: Any) -> Step:
    return _shifted(
        transformer.mean_ if transformer.with_mean else None,
        transformer.scale_ if transformer.with_std else None,
    )


def _robust(transformer: Any) -> Step:
    return _shifted(
        transformer.center_ if transformer.with_centering else None,
        transformer.scale_ if transformer.with_scaling else None,
    )


def _shifted(center: Any, scale: Any) -> Step:
    def step(X: np.ndarray) -> np.ndarray | None:
        if center is not None:
            X = X - center
        return X if scale is None else X / scale

    return step


def _min_max(transformer: Any) -> Step:
    scale, start = transformer.scale_, transformer.min_
    clip = _clip(*transformer.feature_range) if transformer.clip else None

    def step(X: np.ndarray) -> np.ndarray | None:
        X = X * scale + start
        return X if clip is None else clip(X)

    return step


def _max_abs(transformer: Any) -> Step:
    scale = transformer.scale_
    clip = _clip(-1.0, 1.0) if getattr(transformer, "clip", False) else None

    def step(X: np.ndarray) -> np.ndarray | None:
        X = X / scale
        return X if clip is None else clip(X)

    return step


def _clip(low: float, high: float) -> Step:
    import numpy as np

    # An infinity, which scikit-learn would have refused, must not be hidden.
    return lambda X: None if np.isinf(X).any() else np.clip(X, low, high)


def _function(transformer: Any) -> Step | None:
    import numpy as np

    function = transformer.func
    if function is None:
        return lambda X: X
    if not isinstance(function, np.ufunc) or transformer.kw_args or function.nin != 1:
        return None

    def step(X: np.ndarray) -> np.ndarray | None:
        return np.asarray(function(X), dtype=np.float64)

    return step


_MAKERS: dict[str, Callable[[Any], Step | None]] = {
    "SimpleImputer": _imputer,
    "StandardScaler": _standard,
    "RobustScaler": _robust,
    "MinMaxScaler": _min_max,
    "MaxAbsScaler": _max_abs,
    "FunctionTransformer": _function,
}
_SCALERS = ("StandardScaler", "RobustScaler", "MinMaxScaler", "MaxAbsScaler")
