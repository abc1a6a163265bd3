"""Transformers that scikit-learn lacks.

A leaf: it imports no other room, because a model that uses it carries a copy of this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sklearn.base import BaseEstimator, TransformerMixin

if TYPE_CHECKING:
    import numpy as np

_DAY_S = 86_400


class DatetimeParts(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Turns each date into numbers: days since 1970, month, day of the month and of the week, day of the
    year, and the hour where the training data has times of day. A missing date is NaN throughout.

    Accepts datetime columns or ISO text; output is of shape `(n_rows, n_columns × parts)`, float64.
    """

    def fit(self, X: Any, y: Any = None) -> DatetimeParts:
        frame = _as_frame(X)
        self.feature_names_in_ = [str(name) for name in frame.columns]
        self.n_features_in_ = len(self.feature_names_in_)
        self.has_hours_ = [bool((_dates(frame[name]).dt.hour.fillna(0) > 0).any()) for name in frame.columns]
        return self

    def transform(self, X: Any) -> np.ndarray[Any, Any]:
        import numpy as np

        frame = _as_frame(X)
        parts: list[Any] = []
        for name, has_hours in zip(frame.columns, self.has_hours_, strict=True):
            dates = _dates(frame[name])
            seconds = (dates - _epoch()).dt.total_seconds()
            parts += [
                seconds / _DAY_S,
                dates.dt.month,
                dates.dt.day,
                dates.dt.day_of_week,
                dates.dt.day_of_year,
            ]
            if has_hours:
                parts.append(dates.dt.hour + dates.dt.minute / 60)
        return np.column_stack([part.to_numpy(dtype="float64", na_value=np.nan) for part in parts])

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray[Any, Any]:
        import numpy as np

        names = []
        for name, has_hours in zip(self.feature_names_in_, self.has_hours_, strict=True):
            parts = ["days", "month", "day", "weekday", "yearday", *(["hour"] if has_hours else [])]
            names += [f"{name}_{part}" for part in parts]
        return np.asarray(names, dtype=object)


def _as_frame(X: Any) -> Any:
    import pandas as pd

    return X if isinstance(X, pd.DataFrame) else pd.DataFrame(X)


def _dates(column: Any) -> Any:
    import pandas as pd

    return pd.to_datetime(column, utc=True).dt.tz_localize(None)


def _epoch() -> Any:
    import pandas as pd

    return pd.Timestamp(1970, 1, 1)
