"""Builds the data frame a model was trained on from values that came as JSON or text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from store.model_files import ColumnSpec

_NUMPY_TYPES = {"double": "float64", "float": "float32", "long": "int64", "integer": "int32"}


def build_frame(columns: Sequence[ColumnSpec], values: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    """A frame with `columns` in their order; None is a missing value.

    Dtypes are those pandas gives the same data when it reads a file: an integer or boolean column with
    missing values is float or object, text is pandas' own string type where it has one.
    """
    import pandas as pd

    return pd.DataFrame({column.name: _series(column.type, values[column.name]) for column in columns})


def _series(kind: str, values: Sequence[Any]) -> pd.Series[Any]:
    import pandas as pd

    missing = any(value is None for value in values)
    if kind in ("double", "float"):
        return pd.Series([float("nan") if v is None else v for v in values], dtype=_NUMPY_TYPES[kind])
    if kind in ("long", "integer"):
        if missing or any(value != value for value in values):
            return pd.Series([float("nan") if v is None else v for v in values], dtype="float64")
        return pd.Series([int(value) for value in values], dtype=_NUMPY_TYPES[kind])
    if kind == "boolean" and not missing:
        return pd.Series([bool(value) for value in values], dtype="bool")
    if kind == "datetime":
        series: pd.Series[Any] = pd.Series(pd.to_datetime(pd.Series(list(values), dtype="object"), utc=True))
        naive: pd.Series[Any] = series.dt.tz_localize(None)
        return naive
    texts = pd.Series([float("nan") if v is None else v for v in values], dtype="object")
    # A column with no text at all would be inferred as numbers, which encoders of text refuse.
    is_inferred = kind in ("string", "any") and any(value is not None for value in values)
    return texts.infer_objects() if is_inferred else texts
